"""Bounds: the published formulas, what they grow with, and what can be seen at all."""

from math import comb, exp, inf, log, sqrt
from random import Random

import pytest

from controller.core.bounds import bounds
from controller.core.measurement import Contrast, Pairs, Side
from controller.policy.precision import (
    independent,
    needed,
    radius,
    smallest_effect,
    split_evidence,
)

ALPHA = 0.05


def side(mean: float, samples: int, variance: float = 1.0, worth: float = 1.0) -> Side:
    return Side(mean, samples, variance, variance / (samples * worth))


def half(contrast: Contrast, ratio: float = 1.0) -> float:
    found = bounds(contrast, ratio, ALPHA)
    assert found is not None and found.lower is not None and found.upper is not None
    assert (found.lower + found.upper) / 2 == pytest.approx(found.value)
    return (found.upper - found.lower) / 2


def test_the_radius_is_the_published_one() -> None:
    rho = sqrt((-2 * log(0.05) + log(-2 * log(0.05) + 1)) / 1000)
    for n in (1, 10, 1000, 10**6):
        published = sqrt(2 * (n * rho**2 + 1) / (n * rho) ** 2 * log(sqrt(n * rho**2 + 1) / 0.05))
        assert radius(n, 0.05) == pytest.approx(published)
    assert radius(100, 0.01) > radius(100, 0.05)
    assert radius(1000, 0.05) / (1.96 / sqrt(1000)) < 2


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_an_error_probability_is_between_0_and_1(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        radius(9, alpha)


def test_sides_of_unequal_size_count_as_their_harmonic_mean() -> None:
    found = bounds(Contrast(side(2, 1000), side(1, 50)), 1.0, ALPHA)
    assert found is not None
    count = 2 * 1000 * 50 / 1050
    assert (found.value, found.samples, found.method) == (1, 50, "unpaired")
    assert found.independent == pytest.approx(count)
    assert half(Contrast(side(2, 1000), side(1, 50))) == pytest.approx(
        sqrt(2) * radius(count, ALPHA)
    )


def test_a_side_that_stands_still_leaves_its_own_error() -> None:
    frozen = side(1, 400, 4.0)
    widths = [half(Contrast(side(2, n, 4.0), frozen)) for n in (100, 10_000, 10**8)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(sqrt(8) * radius(800, ALPHA), rel=1e-3)


def test_what_observations_share_makes_them_count_for_less() -> None:
    alone = bounds(Contrast(side(2, 900, worth=1 / 9)), 0.0, ALPHA)
    assert alone is not None
    assert (alone.samples, alone.method) == (900, "alone")
    assert alone.independent == pytest.approx(100)
    assert half(Contrast(side(2, 900, worth=1 / 9)), 0.0) == pytest.approx(radius(100, ALPHA))
    assert half(Contrast(side(2, 900, worth=4.0)), 0.0) == pytest.approx(radius(900, ALPHA))


def test_pairs_take_out_what_both_versions_share() -> None:
    pairs = Pairs(100, 10.4, 10.0, (400.0, 400.0, 399.98), (4.0, 4.0, 3.9998))
    found = bounds(Contrast(side(10.4, 100, 400), side(10, 100, 400), pairs), 1.0, ALPHA)
    assert found is not None and found.lower is not None
    assert (found.samples, found.method) == (100, "paired")
    assert found.value == pytest.approx(0.4)
    assert found.lower == pytest.approx(0.4 - 0.2 * radius(100, ALPHA))


def test_a_limit_on_the_quotient_is_one_on_the_difference() -> None:
    pairs = Pairs(500, 110.0, 100.0, (25.0, 16.0, 10.0), (0.05, 0.032, 0.02))
    found = bounds(Contrast(pairs=pairs), 1.1, ALPHA)
    assert found is not None
    assert found.value == pytest.approx(0.0)
    variance = 25 - 2 * 1.1 * 10 + 1.1**2 * 16
    assert half(Contrast(pairs=pairs), 1.1) == pytest.approx(sqrt(variance) * radius(500, ALPHA))


@pytest.mark.parametrize(
    ("contrast", "ratio"),
    [(Contrast(), 1.0), (Contrast(side(1, 9)), 1.0), (Contrast(None, side(1, 9)), 0.0)],
)
def test_a_side_that_is_missing_bounds_nothing(contrast: Contrast, ratio: float) -> None:
    assert bounds(contrast, ratio, ALPHA) is None


@pytest.mark.parametrize("variance", [0.0, inf])
def test_no_variance_gives_no_bounds(variance: float) -> None:
    found = bounds(Contrast(Side(7.0, 500, variance, variance / 500)), 0.0, ALPHA)
    assert found is not None
    assert (found.value, found.lower, found.upper) == (7, None, None)


# What can be seen ---------------------------------------------------------------------------


def test_the_smallest_effect_is_half_the_interval_and_its_inverse_the_samples_needed() -> None:
    assert smallest_effect(2.0, 500, ALPHA) == pytest.approx(2 * radius(500, ALPHA))
    assert smallest_effect(2.0, 500, ALPHA, 0.8) > smallest_effect(2.0, 500, ALPHA)
    for power in (0.5, 0.8):
        count = needed(2.0, 0.1, ALPHA, power)
        assert smallest_effect(2.0, count, ALPHA, power) == pytest.approx(0.1, rel=1e-5)
    assert needed(1.0, 0.0, ALPHA) == smallest_effect(1.0, 0, ALPHA) == inf


def test_a_comparison_has_as_many_independent_observations_as_its_sides_and_their_worth() -> None:
    assert independent(500) == 500
    assert independent(500, worth=0.1) == 50
    assert independent(50, 950) == pytest.approx(2 * 50 * 950 / 1000)
    assert independent(0, 0) == 0


# Splits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("total", [1, 7, 40])
def test_the_evidence_against_a_share_that_is_right_is_one_on_average(
    share: float, total: int
) -> None:
    expected = sum(
        comb(total, k) * share**k * (1 - share) ** (total - k)
        * exp(split_evidence(k, total, share))
        for k in range(total + 1)
    )  # fmt: skip
    assert expected == pytest.approx(1.0)


def test_looking_after_every_assignment_keeps_the_false_alarm_rate_and_finds_a_wrong_share() -> (
    None
):
    random, threshold = Random(8), log(1 / ALPHA)

    def alarmed(share: float, looks: int) -> bool:
        count = 0
        for total in range(1, looks + 1):
            count += random.random() < share
            if split_evidence(count, total, 0.05) >= threshold:
                return True
        return False

    assert sum(alarmed(0.05, 1000) for _ in range(200)) <= 200 * ALPHA + 3 * sqrt(200 * 0.05 * 0.95)
    assert all(alarmed(0.12, 1000) for _ in range(20))
