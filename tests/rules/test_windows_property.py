"""Windows against a plain list: whatever comes in, in whatever order, however often, in parts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import fsum, isfinite
from random import Random
from statistics import variance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.judge import column, quantile
from controller.judge.aggregate import measure
from controller.judge.window import Observation, Value, Windows

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EXPRESSIONS = (
    "count()", "count(x)", "sum(x)", "mean(x)", "ratio(x)", "min(x)", "max(x)", "last(x)",
    "quantile(x, 90%)", "max_drawdown(x)", "drawdown(x)", "consecutive_losses(x)",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    """Few values make several blocks and groups, and a search of several rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column, "BLOCK", 4)
        patch.setattr(column, "GROUP", 2)
        patch.setattr(quantile, "FEW", 2)
        yield


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


def windows_of(
    arrived: list[Observation], limit: int = 1000, reach: timedelta | None = None
) -> Windows:
    windows = Windows(limit, reach)
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


def fall(curve: list[float]) -> tuple[float, float]:
    """How deep a curve fell from its peak as fractions: at the deepest, and at its end."""
    falls = [1 - e / peak for e, peak in zip(curve, accumulate(curve, max), strict=True)]
    return max(falls), falls[-1]


def row_of_losses(values: list[float]) -> int:
    return next((n for n, v in enumerate(reversed(values)) if v >= 0), len(values))


def type_7(values: list[float], share: float) -> float:
    ordered, place = sorted(values), (len(values) - 1) * share
    low = ordered[int(place)]
    return low + (ordered[min(int(place) + 1, len(values) - 1)] - low) * (place - int(place))


@settings(deadline=None)
@given(st.lists(observations, max_size=120), seconds, seconds)
def test_a_window_says_what_a_plain_list_says(
    arrived: list[Observation], after: int, until: int
) -> None:
    windows = windows_of(arrived)
    since, now = T0 + (after - 1) * SECOND, T0 + until * SECOND
    for version in ("v1", "v3"):
        inside = [x for at, x in expected(arrived, version) if since < at <= now]
        window = windows.window(version)

        def of(expression: str) -> float | None:
            return measure(window, expression, since, now, capital=1e9).value  # noqa: B023

        assert measure(window, "sum(x)", since, now).samples == len(inside)
        if not inside:
            continue
        assert of("count(x)") == len(inside)
        assert of("sum(x)") == fsum(inside)
        assert of("mean(x)") == fsum(inside) / len(inside)
        assert of("ratio(x)") == sum(x != 0 for x in inside) / len(inside)
        assert (of("min(x)"), of("max(x)"), of("last(x)")) == (min(inside), max(inside), inside[-1])
        assert of("quantile(x, 90%)") == type_7(inside, 0.9)
        assert of("consecutive_losses(x)") == row_of_losses(inside)
        deepest, present = fall(list(accumulate(inside, initial=1e9)))
        assert of("max_drawdown(x)") == pytest.approx(deepest, rel=1e-9, abs=1e-12)
        assert of("drawdown(x)") == pytest.approx(present, rel=1e-9, abs=1e-12)
        found = measure(window, "mean(x)", since, now).variance
        assert found == (pytest.approx(variance(inside), rel=1e-9) if len(inside) > 1 else None)


@given(st.lists(observations, max_size=80), seconds, st.integers(1, 30))
def test_the_newest_so_many_are_the_end_of_a_plain_list(
    arrived: list[Observation], until: int, newest: int
) -> None:
    windows, now = windows_of(arrived), T0 + until * SECOND
    for version in ("v1", "v3"):
        inside = [x for at, x in expected(arrived, version) if at <= now][-newest:]
        found = measure(windows.window(version), "sum(x)", column.EPOCH, now, newest=newest)
        assert (found.samples, found.value) == (len(inside), fsum(inside) if inside else None)


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(observations, seconds, seconds), max_size=60),
    st.integers(2, 1000),
    st.sampled_from([None, 5, 40]),
)
def test_what_earlier_looks_left_behind_never_shows(
    steps: list[tuple[Observation, int, int]], limit: int, reach: int | None
) -> None:
    limit = limit if limit > 500 else limit % 20 + 2
    kept = Windows(limit, None if reach is None else reach * SECOND)
    for count, (observation, after, until) in enumerate(steps, 1):
        kept.add(observation)
        if count % 5 and count < len(steps):
            for expression in EXPRESSIONS:
                look = T0 + after * SECOND, T0 + until * SECOND
                measure(kept.window(observation.version), expression, *look, capital=1e7)
            continue
        fresh = windows_of([seen for seen, _, _ in steps[:count]], limit, kept.reach)
        for expression in EXPRESSIONS:
            for since in (T0 - SECOND, T0 + after * SECOND):
                for version in ("v1", "v3"):
                    now = T0 + until * SECOND
                    ours = measure(kept.window(version), expression, since, now, capital=1e7)
                    theirs = measure(fresh.window(version), expression, since, now, capital=1e7)
                    assert ours == theirs


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([30, 1000]))
def test_a_late_value_is_in_every_look_after_it(seed: int, limit: int) -> None:
    random, arrived, kept = Random(seed), [], Windows(limit)
    now = T0 + 200 * SECOND
    for second in range(200):
        late = second * random.random() if random.random() < 0.2 else 0.0
        at = T0 + (second - late) * SECOND
        arrived.append(Observation("v3", at, {"x": random.gauss(0, 1)}))
        kept.add(arrived[-1])
        if second % 10:
            for expression in EXPRESSIONS:
                measure(kept.window("v3"), expression, T0 - SECOND, now)
            continue
        fresh = windows_of(arrived, limit)
        for expression in EXPRESSIONS:
            ours = measure(kept.window("v3"), expression, T0 - SECOND, now)
            assert ours == measure(fresh.window("v3"), expression, T0 - SECOND, now)


@given(st.lists(observations, max_size=80), st.integers(1, 10))
def test_a_window_never_holds_more_than_its_limit_and_loses_nothing(
    arrived: list[Observation], limit: int
) -> None:
    without_ids = [replace(observation, id=None) for observation in arrived]
    small, large = windows_of(without_ids, limit), windows_of(without_ids)
    for window in small:
        whole = large.window(window.version)
        assert whole is not None
        assert len(window) <= limit
        assert len(window) + len(window.folded) == len(whole)
        columns = [window.all, *window.numbers.values()]
        assert all(c.places[0] > window.folded.until for c in columns if c.places)
