"""What is no longer held, against a plain list: no observation is lost, and what is approximate is
so within what is promised."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import fsum
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.judge.aggregate import measure
from controller.judge.folded import SHARE
from controller.judge.sketch import BINS, ERROR, Sketch, merged
from controller.judge.summary import Joined, Part, Values, exact_sum, summed_up
from controller.judge.window import Observation, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMIT = 100

numbers = st.floats(-1e6, 1e6)
rows = st.lists(numbers, min_size=1, max_size=40)


def arrivals(seed: int, count: int, late: int) -> list[tuple[float, float]]:
    """Times, in seconds, and values in the order of arrival: `late` per cent are behind, by up to
    all the time there is; now and then there is a pause."""
    random, at, found = Random(seed), 0.0, []
    for _ in range(count):
        at += random.expovariate(1.0) + (1000.0 if random.random() < 0.002 else 0.0)
        behind = random.random() * at if random.random() * 100 < late else 0.0
        found.append((at - behind, random.choice((-1, 1)) * random.expovariate(0.01)))
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4000), st.sampled_from([0, 5]), st.floats(0, 1))
@example(seed=3, count=4000, late=0, start=0.0)
def test_a_window_past_what_is_held_is_the_true_number_of_one_a_little_longer(
    seed: int, count: int, late: int, start: float
) -> None:
    arrived = arrivals(seed, count, late)
    windows = Windows(LIMIT)
    for at, value in arrived:
        windows.add(Observation("v", T0 + at * SECOND, {"x": value}))
    window = windows.window("v")
    assert window is not None
    end = max(at for at, _ in arrived)
    since, now = T0 + (start * end - 1e-3) * SECOND, T0 + end * SECOND
    in_order = sorted(arrived, key=lambda each: T0 + each[0] * SECOND)
    inside = sum(since < T0 + at * SECOND for at, _ in arrived)
    found = measure(window, "sum(x)", since, now)
    more = found.samples - inside
    assert 0 <= more <= SHARE * inside + window.folded.late
    assert ("early" in found.detail) == (more > 0) or late
    values = [value for _, value in in_order[len(in_order) - found.samples :]]

    def of(expression: str) -> float | None:
        return measure(window, expression, since, now, capital=1e7).value

    assert found.value == fsum(values)
    assert of("mean(x)") == fsum(values) / len(values)
    assert (of("min(x)"), of("max(x)")) == (min(values), max(values))
    ordered = sorted(values)
    for share in (0.01, 0.5, 0.95):
        place = (len(values) - 1) * share
        near = ordered[int(place) : int(place) + 2]
        bound = 1.001 * ERROR * max(map(abs, near))
        told = of(f"quantile(x, {100 * share:g}%)")
        assert told is not None
        assert near[0] - bound <= told <= near[-1] + bound
    if not window.folded.late:
        curve = list(accumulate(values, initial=1e7))
        falls = [1 - e / peak for e, peak in zip(curve, accumulate(curve, max), strict=True)]
        assert of("max_drawdown(x)") == pytest.approx(max(falls), rel=1e-6, abs=1e-12)
        assert of("drawdown(x)") == pytest.approx(falls[-1], rel=1e-6, abs=1e-12)
        row = next((n for n, v in enumerate(reversed(values)) if v >= 0), len(values))
        assert of("consecutive_losses(x)") == row
        assert of("last(x)") == values[-1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3000), st.integers(1, 600))
def test_the_newest_so_many_reach_past_what_is_held(seed: int, count: int, newest: int) -> None:
    windows = Windows(LIMIT)
    for at, value in arrivals(seed, count, 0):
        windows.add(Observation("v", T0 + at * SECOND, {"x": value}))
    now = T0 + timedelta(days=30)
    found = measure(windows.window("v"), "sum(x)", T0 - SECOND, now, newest=newest)
    least = min(newest, count)
    assert least <= found.samples <= least * (1 + SHARE)
    values = [value for _, value in arrivals(seed, count, 0)]
    assert found.value == fsum(values[-found.samples :])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([60, 600]))
def test_what_no_look_reaches_is_not_held_and_looks_stay_exact(seed: int, reach: int) -> None:
    all_held, less = Windows(100_000), Windows(100_000, reach * SECOND)
    for at, value in arrivals(seed, 6000, 0):
        for windows in (all_held, less):
            windows.add(Observation("v", T0 + at * SECOND, {"x": value}))
    window, whole = less.window("v"), all_held.window("v")
    assert window is not None
    now = T0 + at * SECOND
    assert len(window) < reach * 2 + 2000
    assert len(window) + len(window.folded) == 6000
    assert len(window.folded.slices) < 20
    for expression in ("count()", "sum(x)", "quantile(x, 95%)", "max_drawdown(x)"):
        ours = measure(window, expression, now - reach * SECOND, now)
        theirs = measure(whole, expression, now - reach * SECOND, now)
        assert (ours.samples, ours.detail) == (theirs.samples, "")
        assert ours.value == pytest.approx(theirs.value, rel=1e-9)


# Pieces ---------------------------------------------------------------------------------------


@given(rows, rows, rows)
def test_pieces_come_to_the_same_however_they_are_put_together(
    a: list[float], b: list[float], c: list[float]
) -> None:
    first, second, third = (summed_up(Values(each, 0)) for each in (a, b, c))
    left: Part = summed_up(Joined([summed_up(Joined([first, second])), third]))
    right: Part = summed_up(Joined([first, summed_up(Joined([second, third]))]))
    once: Part = Values(a + b + c, 0)
    for other in (right, once):
        assert fsum(left.sums) == fsum(other.sums)
        for name in ("count", "low", "high", "nonzero", "last", "losses"):
            assert getattr(left, name) == getattr(other, name)
        assert list(left.sketch.keys) == list(other.sketch.keys)
        assert list(left.sketch.upto) == list(other.sketch.upto)
        assert left.spread == pytest.approx(other.spread, rel=1e-9, abs=1e-3)
        assert left.course.end == pytest.approx(other.course.end, rel=1e-9, abs=1e-6)


@given(rows, rows, st.floats(1, 1e8))
@example(a=[-1.0], b=[-1.0], capital=1.0)
def test_falls_of_two_pieces_are_those_of_the_whole_whatever_the_capital(
    a: list[float], b: list[float], capital: float
) -> None:
    both = Joined([summed_up(Values(a, 0)), summed_up(Values(b, 0))]).course
    curve = list(accumulate(a + b, initial=capital))
    peaks = list(accumulate(curve, max))
    deepest = max((p - e) / p for e, p in zip(curve, peaks, strict=True))
    found = max(((p - e) / (capital + p) for p, e in both.falls), default=0.0)
    if min(curve) >= 0:
        assert found == pytest.approx(deepest, rel=1e-6, abs=1e-9)
    else:
        # More than everything is lost: that is said, and not exactly how much more.
        assert min(found, deepest) >= 1 - 1e-9


@given(st.lists(st.floats(-1e300, 1e300), max_size=50))
def test_an_exact_sum_loses_nothing(values: list[float]) -> None:
    assert fsum([*exact_sum(values), *(-v for v in values)]) == 0
    assert fsum(exact_sum(values)) == fsum(values)


def test_a_sum_too_large_to_be_told_is_infinite() -> None:
    assert exact_sum([1e308, 1e308]) == (float("inf"),)


@given(st.permutations(range(5)))
def test_sketches_merge_to_the_same_in_any_order(order: list[int]) -> None:
    pieces = [Sketch.of([n - 2.0, 10.0**n, -(3.0**n), 0.0] * n) for n in range(5)]
    found, expected = merged([pieces[n] for n in order]), merged(pieces)
    assert (found.keys, found.upto) == (expected.keys, expected.upto)


def test_a_sketch_of_values_from_the_smallest_to_the_largest_stays_small_and_says_its_error() -> (
    None
):
    values = [sign * 10.0 ** (n / 50) for n in range(-15_000, 15_400) for sign in (1, -1)]
    windows = Windows(limit=10)
    for second, value in enumerate(values):
        windows.add(Observation("v", T0 + second * SECOND, {"x": value}))
    window, now = windows.window("v"), T0 + timedelta(days=30)
    assert window is not None
    assert max(len(each.fields["x"].sketch.keys) for each in window.folded.slices) <= BINS
    found = measure(window, "quantile(x, 90%)", T0 - SECOND, now)
    exact = sorted(values)[int((len(values) - 1) * 0.9)]
    assert found.value is not None
    error = float(found.detail.split("within ")[1].split()[0])
    assert abs(found.value - exact) <= error * exact
    assert ERROR < error < 1
