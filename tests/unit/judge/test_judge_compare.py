"""The comparison: its formula, its bounds under peeking, pairs, and what has no bounds."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import inf, log, sqrt
from random import Random

import pytest

from controller.core.measurement import Measurement
from controller.judge.compare import LEAST, difference, pair_up, radius
from controller.judge.window import Observation, Value, Window, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
HISTORIES, LOOKS, ALPHA = 300, 400, 0.05


def side(mean: float | None, samples: int, variance: float | None = 1.0) -> Measurement:
    return Measurement(value=mean, samples=samples, variance=variance)


def excludes(found: Measurement, truth: float) -> bool:
    return (
        found.lower is not None
        and found.upper is not None
        and not found.lower <= truth <= found.upper
    )


def looks(random: Random, kind: str, shift: float) -> list[tuple[Measurement, Measurement]]:
    """Both sides of one history, at every step of it."""

    def draw() -> float:
        return random.gauss(10, 3) if kind == "normal" else float(random.random() < 0.1)

    sides = []
    for effect in (shift, 0.0):
        values = [draw() + effect for _ in range(LOOKS)]
        sums, squares = accumulate(values), accumulate(v * v for v in values)
        sides.append(
            [
                side(s / n, n, max(0.0, q - s * s / n) / max(1, n - 1))
                for n, (s, q) in enumerate(zip(sums, squares, strict=True), 1)
            ]
        )
    return list(zip(*sides, strict=True))


def t_test_alarms(candidate: Measurement, baseline: Measurement) -> bool:
    """The bounds of one look only: 1.96 standard errors (at 5% error)."""
    assert candidate.variance is not None and baseline.variance is not None
    error = sqrt(candidate.variance / candidate.samples + baseline.variance / baseline.samples)
    assert candidate.value is not None and baseline.value is not None
    return abs(candidate.value - baseline.value) > 1.96 * error


@pytest.mark.parametrize("kind", ["normal", "errors"])
def test_looking_at_every_step_of_a_null_history_keeps_the_false_alarm_rate(kind: str) -> None:
    random = Random(20260302)
    alarms = peeked = 0
    for _ in range(HISTORIES):
        steps = looks(random, kind, 0.0)
        alarms += any(excludes(difference(a, b, ALPHA), 0.0) for a, b in steps)
        peeked += any(t_test_alarms(a, b) for a, b in steps[30:])
    assert alarms / HISTORIES <= ALPHA
    assert peeked / HISTORIES > 3 * ALPHA


def test_the_bounds_cover_a_real_difference_at_every_look_and_find_it() -> None:
    random = Random(7)
    missed = found = 0
    for _ in range(HISTORIES):
        steps = [difference(a, b, ALPHA) for a, b in looks(random, "normal", 1.5)]
        missed += any(excludes(step, 1.5) for step in steps)
        found += excludes(steps[-1], 0.0)
    assert missed / HISTORIES <= ALPHA
    assert found / HISTORIES > 0.95


def test_the_radius_is_the_published_one() -> None:
    rho = sqrt((-2 * log(0.05) + log(-2 * log(0.05) + 1)) / 1000)
    for n in (1, 10, 1000, 10**6):
        published = sqrt(2 * (n * rho**2 + 1) / (n * rho) ** 2 * log(sqrt(n * rho**2 + 1) / 0.05))
        assert radius(n, 0.05) == pytest.approx(published)
    assert radius(100, 0.01) > radius(100, 0.05)
    assert radius(1000, 0.05) / (1.96 / sqrt(1000)) < 2


def test_sides_of_unequal_size_have_the_error_of_both() -> None:
    found = difference(side(2.0, 1000, 4.0), side(1.0, 50, 1.0), ALPHA)
    half = sqrt((4 / 1000 + 1 / 50) * 1050) * radius(1050, ALPHA)
    assert (found.value, found.samples) == (1.0, 50)
    assert found.lower == pytest.approx(1 - half)
    assert found.upper == pytest.approx(1 + half)


def test_the_mean_is_compared_where_it_is_known_and_else_the_value() -> None:
    quantile = Measurement(value=9.0, samples=50, mean=3.0, variance=1.0)
    assert difference(quantile, side(1.0, 50), ALPHA).value == 2.0


def test_pairs_take_out_what_both_sides_share() -> None:
    wide = difference(side(10.5, 100, 400.0), side(10.0, 100, 400.0), ALPHA)
    paired = difference(
        side(10.5, 100, 400.0), side(10.0, 100, 400.0), ALPHA, pairs=(100, 0.4, 0.04)
    )
    assert paired.value == 0.4
    assert excludes(paired, 0.0)
    assert not excludes(wide, 0.0)
    assert paired.upper == pytest.approx(0.4 + 0.2 * radius(100, ALPHA))


@pytest.mark.parametrize("pairs", [(LEAST - 1, 9.0, 1.0), (100, 0.0, 0.0)])
def test_pairs_that_say_nothing_are_not_used(pairs: tuple[int, float, float]) -> None:
    sides = side(0.9, 50, 0.09), side(0.8, 50, 0.16)
    assert difference(*sides, ALPHA, pairs) == difference(*sides, ALPHA)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (side(1.0, LEAST - 1), side(1.0, 500)),
        (side(1.0, 500), side(1.0, LEAST - 1)),
        (side(1.0, 500, None), side(1.0, 500)),
        (side(1.0, 500), side(0.5, 500, None)),
        (side(7.0, 500, 0.0), side(7.0, 500, 0.0)),
        (side(1.0, 500, inf), side(1.0, 500)),
    ],
)
def test_too_few_observations_or_no_variance_give_no_bounds(a: Measurement, b: Measurement) -> None:
    found = difference(a, b, ALPHA)
    assert (found.status, found.lower, found.upper) == ("ok", None, None)
    assert found.value is not None
    assert found.detail.startswith("no bounds")


def test_no_errors_on_either_side_is_not_certainty_but_grows_into_it() -> None:
    few, many = (difference(side(0.0, n, 0.0), side(0.0, n, 0.0), ALPHA) for n in (10, 2000))
    assert few.lower is not None and many.lower is not None
    assert few.lower < -0.1
    assert -0.01 < many.lower < 0


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [("error", "ok", "error"), ("ok", "no_data", "no_data"), ("no_data", "error", "error")],
)
def test_a_comparison_is_as_bad_as_its_worse_side(a: str, b: str, status: str) -> None:
    sides = [
        side(1.0, 50) if s == "ok" else Measurement(status=s, detail=f"is {s}")  # type: ignore[arg-type]
        for s in (a, b)
    ]
    found = difference(sides[0], sides[1], ALPHA)
    assert (found.status, found.value) == (status, None)
    assert f"is {status}" in found.detail


def test_a_comparison_is_as_old_as_its_older_side() -> None:
    new = Measurement(value=1.0, samples=9, as_of=T0, through=4)
    old = Measurement(value=1.0, samples=8, as_of=T0 - timedelta(hours=1), through=3)
    found = difference(new, old, ALPHA)
    assert (found.as_of, found.through, found.samples) == (old.as_of, 4, 8)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_an_error_probability_is_between_0_and_1(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        difference(side(1.0, 9), side(1.0, 9), alpha)


# Pairs ------------------------------------------------------------------------------------


def keyed(*rows: tuple[str | None, Value]) -> Window:
    windows = Windows()
    for index, (key, value) in enumerate(rows):
        at = T0 + timedelta(seconds=index)
        windows.add(Observation("v", at, {"x": value}, key=key))
    window = windows.window("v")
    assert window is not None
    return window


def paired(mine: Window | None, other: Window | None, text: str = "mean(x)") -> object:
    return pair_up(mine, other, text, T0 - timedelta(1), T0 + timedelta(1))


def test_differences_are_by_key_whatever_the_order() -> None:
    mine = keyed(*((f"k{n}", n + 1 + n % 2) for n in range(6)))
    other = keyed(*((f"k{n}", n) for n in reversed(range(6))))
    assert paired(mine, other) == (6, 1.5, pytest.approx(0.3))
    window = keyed(*((f"k{n}", n % 2) for n in range(6)))
    assert paired(mine, window, "ratio(x)") == (6, 0.5, pytest.approx(0.3))


def test_several_observations_of_a_key_count_as_their_mean() -> None:
    mine = keyed(*((f"k{n % 5}", n // 5) for n in range(10)))
    other = keyed(*((f"k{n}", 0) for n in range(5)))
    assert paired(mine, other) == (5, 0.5, 0.0)


def test_a_new_observation_is_not_hidden_by_what_is_remembered() -> None:
    mine, other = keyed(*((f"k{n}", 1) for n in range(6))), keyed(*((f"k{n}", 0) for n in range(6)))
    before = paired(mine, other)
    other.numbers["x"].insert(other.all.places[0] + 1, 6.0, "k0")
    assert before == (6, 1.0, 0.0)
    assert paired(mine, other) == (6, 0.5, pytest.approx(1.5))


def test_keys_that_hardly_meet_are_no_pairs() -> None:
    mine = keyed(*((f"m{n}", 1) for n in range(20)), *((f"k{n}", 1) for n in range(6)))
    other = keyed(*((f"o{n}", 1) for n in range(20)), *((f"k{n}", 1) for n in range(6)))
    assert paired(mine, other) is None
    assert paired(keyed(*((None, 1),) * 9), other) is None
    assert paired(mine, None) is None
    assert paired(mine, other, "count()") is None
    assert paired(mine, other, "mean(y)") is None
