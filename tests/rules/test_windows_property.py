"""Windows against a plain list: whatever comes in, in whatever order, however often, in parts."""

from datetime import UTC, datetime, timedelta
from math import fsum, isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.judge.aggregate import WHOLE, measure
from controller.judge.window import Column, Observation, Value, Window, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EXPRESSIONS = (
    "count()", "count(x)", "sum(x)", "mean(x)", "ratio(x)", "min(x)", "max(x)", "last(x)",
    "quantile(x, 90%)", "max_drawdown(x)", "drawdown(x)", "consecutive_losses(x)",
)  # fmt: skip

seconds = st.integers(0, 60)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-50, 50), st.floats(-1e6, 1e6), st.just(float("nan"))
)
observations = st.builds(
    lambda version, at, x, y, id: Observation(version, T0 + at * SECOND, {"x": x, "y": y}, id),
    st.sampled_from(["v1", "v3"]),
    seconds,
    values,
    values,
    st.one_of(st.none(), st.sampled_from("abcdef")),
)


def windows_of(arrived: list[Observation], limit: int = 1000) -> Windows:
    windows = Windows(limit)
    for observation in arrived:
        windows.add(observation)
    return windows


def expected(arrived: list[Observation], version: str) -> list[tuple[datetime, float]]:
    """Values of `x` of one version by event time: each id once, at its first part's time."""
    kept: list[tuple[datetime, str, dict[str, Value]]] = []
    first: dict[str, dict[str, Value]] = {}
    for observation in arrived:
        fields: dict[str, Value] = {
            n: v for n, v in observation.fields.items() if v is not None and isfinite(float(v))
        }
        if observation.id is not None and observation.id in first:
            known = first[observation.id]
            known.update({n: v for n, v in fields.items() if n not in known})
            continue
        if observation.id is not None:
            first[observation.id] = fields
        kept.append((observation.at, observation.version, fields))
    kept.sort(key=lambda row: row[0])
    return [(at, float(f["x"] or 0)) for at, v, f in kept if v == version and "x" in f]


@given(st.lists(observations, max_size=60), seconds, seconds)
def test_a_window_holds_what_a_plain_list_holds(
    arrived: list[Observation], after: int, until: int
) -> None:
    windows = windows_of(arrived)
    since, now = T0 + (after - 1) * SECOND, T0 + until * SECOND
    for version in ("v1", "v3"):
        inside = [x for at, x in expected(arrived, version) if since < at <= now]
        window = windows.window(version)
        assert measure(window, "sum(x)", since, now).samples == len(inside)
        if inside:
            assert measure(window, "sum(x)", since, now).value == fsum(inside)
            assert measure(window, "last(x)", since, now).value == inside[-1]
            assert measure(window, "max(x)", since, now).value == max(inside)


@given(st.lists(observations, max_size=40), st.data())
def test_the_same_again_in_any_order_changes_nothing(
    arrived: list[Observation], data: st.DataObject
) -> None:
    known = [observation for observation in arrived if observation.id is not None]
    again = data.draw(st.lists(st.sampled_from(known), max_size=20)) if known else []
    once, more = windows_of(arrived), windows_of(arrived + again)
    for version in ("v1", "v3"):
        for expression in EXPRESSIONS:
            now = T0 + 60 * SECOND
            assert measure(more.window(version), expression, T0 - SECOND, now) == measure(
                once.window(version), expression, T0 - SECOND, now
            )


@settings(max_examples=60)
@given(st.lists(st.tuples(observations, seconds, seconds), max_size=40), st.integers(2, 12))
def test_what_earlier_looks_left_behind_never_shows(
    steps: list[tuple[Observation, int, int]], limit: int
) -> None:
    kept = Windows(limit)
    for count, (observation, after, until) in enumerate(steps, 1):
        kept.add(observation)
        fresh = windows_of([seen for seen, _, _ in steps[:count]], limit)
        for expression in EXPRESSIONS:
            for since in (T0 - SECOND, T0 + after * SECOND):
                for version in ("v1", "v3"):
                    now = T0 + until * SECOND
                    ours = measure(kept.window(version), expression, since, now, capital=1e7)
                    theirs = measure(fresh.window(version), expression, since, now, capital=1e7)
                    # Only what was dropped can be known of one and not of the other.
                    same = replace(ours, detail="") == replace(theirs, detail="")
                    assert same or theirs.detail.startswith("it needs all")


@pytest.mark.parametrize("expression", sorted(f"{name}(x)" for name in WHOLE))
@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=60), st.integers(2, 12))
def test_what_is_dropped_is_not_forgotten_where_all_of_it_counts(
    expression: str, pnl: list[float], limit: int
) -> None:
    small, large = Windows(limit), Windows(1000)
    for at, value in enumerate(pnl):
        now = T0 + at * SECOND
        for windows in (small, large):
            windows.add(Observation("v3", now, {"x": value}))
        ours, theirs = (
            measure(windows.window("v3"), expression, T0 - SECOND, now, capital=1e9)
            for windows in (small, large)
        )
        assert ours.samples == theirs.samples
        assert ours.as_of == theirs.as_of
        assert ours.value == pytest.approx(theirs.value, rel=1e-9, abs=1e-6)


@given(st.lists(observations, max_size=80), st.integers(1, 10))
def test_a_window_never_holds_more_than_its_limit_and_counts_what_it_dropped(
    arrived: list[Observation], limit: int
) -> None:
    windows = windows_of(arrived, limit)
    for window in windows:
        assert len(window) <= limit
        assert len(window.all.values) == len(window)
        assert all(len(column.values) <= limit for column in window.numbers.values())
        oldest_kept = window.records[0].place
        assert window.dropped == 0 or window.dropped_until is not None
        assert all(column.places[0] >= oldest_kept for column in _columns(window))


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60), st.floats(1, 1e9))
def test_falls_are_what_their_definition_says(pnl: list[float], capital: float) -> None:
    windows = windows_of(
        [Observation("v3", T0 + n * SECOND, {"x": x}) for n, x in enumerate(pnl, 1)]
    )
    equity, curve = capital, [capital]
    for x in pnl:
        equity += x
        curve.append(equity)
    falls = [1 - e / max(curve[: n + 1]) for n, e in enumerate(curve)]
    window, now = windows.window("v3"), T0 + timedelta(hours=1)
    deepest = measure(window, "max_drawdown(x)", T0, now, capital=capital)
    present = measure(window, "drawdown(x)", T0, now, capital=capital)
    assert deepest.value == pytest.approx(max(falls), abs=1e-12)
    assert present.value == pytest.approx(falls[-1], abs=1e-12)


def _columns(window: Window) -> list[Column]:
    return [c for c in (window.all, *window.numbers.values()) if c.places]
