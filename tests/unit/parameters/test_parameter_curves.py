"""A number on its way: exact at both ends, monotone between, on its grid."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.parameters.curves import Curve, Number, between, nearest, on_grid, shape

CURVES = st.sampled_from(
    [
        Curve("linear"),
        Curve("smoothstep"),
        Curve("log"),
        *(Curve("logistic", steepness=k) for k in (1.0, 6.0, 50.0)),
        *(Curve("steps", steps=n) for n in (2, 3, 7, 1000)),
    ]
)
FLOATS = st.floats(1e-300, 1e300)
WHOLES = st.integers(1, 10**18)
NUMBERS = st.one_of(FLOATS, WHOLES)
PROGRESS = st.integers(0, 100_000).map(lambda units: Fraction(units, 100_000))


@given(NUMBERS, NUMBERS, CURVES)
def test_both_ends_are_the_given_values_and_types(start: Number, end: Number, curve: Curve) -> None:
    for progress, wanted in ((Fraction(0), start), (Fraction(1), end)):
        found = between(start, end, progress, curve)
        assert found == wanted
        assert type(found) is type(wanted)


@given(NUMBERS, NUMBERS, CURVES, st.lists(PROGRESS, min_size=2, max_size=6).map(sorted))
@example(1e300, 1e-300, Curve("linear"), [Fraction(1, 3), Fraction(99_999, 100_000)])
@example(10**60, 10**60 + 7, Curve("log"), [Fraction(n, 9) for n in range(10)])
@example(0.1, 0.3, Curve("log"), [Fraction(1, 100_000), Fraction(1)])
def test_it_never_turns_and_never_leaves_the_two_ends(
    start: Number, end: Number, curve: Curve, way: list[Fraction]
) -> None:
    values = [between(start, end, progress, curve) for progress in way]
    assert values == sorted(values, reverse=end < start)
    assert all(min(start, end) <= value <= max(start, end) for value in values)


@given(WHOLES, WHOLES, CURVES, PROGRESS)
def test_whole_numbers_stay_whole(start: int, end: int, curve: Curve, progress: Fraction) -> None:
    assert type(between(start, end, progress, curve)) is int


@given(st.integers(-400, 400), st.integers(-400, 400), PROGRESS, st.sampled_from(["0.25", "0.01"]))
def test_values_lie_on_the_tick_as_it_is_written(
    low: int, high: int, progress: Fraction, tick: str
) -> None:
    start, end = (float(n * Decimal(tick)) for n in (low, high))
    found = between(start, end, progress, Curve("smoothstep", tick=float(tick)))
    assert on_grid(found, float(tick))


@pytest.mark.parametrize(
    ("curve", "values"),
    [
        (Curve("linear"), [10, 12, 15, 18, 20]),
        (Curve("smoothstep"), [10, 12, 15, 18, 20]),
        (Curve("steps", steps=2), [10, 10, 15, 15, 20]),
    ],
)
def test_halves_are_rounded_away_from_nothing(curve: Curve, values: list[int]) -> None:
    way = [Fraction(n, 4) for n in range(5)]
    told = [between(10, 20, progress, curve) for progress in way]
    if curve.name == "linear":
        values = [10, 13, 15, 18, 20]
    assert told == values
    assert [between(-10, -20, progress, curve) for progress in way] == [-v for v in values]


def test_nearest_is_symmetric() -> None:
    assert [nearest(Fraction(n, 2)) for n in (-5, -3, -1, 0, 1, 3, 5)] == [-3, -2, -1, 0, 1, 2, 3]


@pytest.mark.parametrize("steepness", [1.0, 6.0, 10.0, 50.0])
def test_the_logistic_is_the_formula_rescaled(steepness: float) -> None:
    """Raw, a steepness of 10 would begin at 0.0067 of the way."""

    def raw(u: float) -> float:
        return 1 / (1 + math.exp(-steepness * (u - 0.5)))

    for units in range(11):
        u = Fraction(units, 10)
        wanted = (raw(float(u)) - raw(0)) / (raw(1) - raw(0))
        assert float(shape(Curve("logistic", steepness=steepness), u)) == pytest.approx(
            wanted, abs=1e-12
        )


def test_log_goes_in_equal_ratios() -> None:
    values = [between(1, 16, Fraction(n, 4), Curve("log")) for n in range(5)]
    assert values == [1, 2, 4, 8, 16]


def test_a_tenth_is_a_tenth() -> None:
    assert between(0.1, 0.3, Fraction(1, 2), Curve()) == 0.2
