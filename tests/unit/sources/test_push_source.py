"""Observations brought in: checked, stored first, seen again after a restart, by many threads."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from controller.core.measurement import Measurement
from controller.policy.models import Quality
from controller.policy.quality import MEASURES
from controller.sources.base import Request, SourceError
from controller.sources.observation import AHEAD, ObservationError, parse
from controller.sources.push import BATCH, VERSIONS, PushSource
from controller.store import open_store
from controller.store.base import Store, StoreError

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(str(tmp_path / "rollout.db"))
    yield store
    store.close()


def opened(store: Store, **more: Any) -> PushSource:
    return PushSource("signals", store, "ifd/signals", **more)


def ask(
    source: PushSource, expression: str, version: str = "v3", now: datetime = NOW
) -> Measurement:
    since = now - timedelta(days=30)
    (found,) = source.measure([Request("candidate", "m", version, expression, since, now)])
    return found


def test_what_is_pushed_is_measured_and_counted_from_when_it_came(store: Store) -> None:
    source = opened(store)
    received = source.push(
        [{"version": "v3", "pnl": 5}, {"version": "v1", "ts": "2026-03-02T09:00:00-05:00"}], NOW
    )
    assert (received.accepted, received.refused) == (2, 0)
    assert ask(source, "sum(pnl)") == Measurement(value=5.0, samples=1, as_of=NOW, through=1)
    assert ask(source, "count()", "v1").as_of == datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
    assert source.last_received() == NOW
    assert "v3: 1, v1: 1" in source.check()


def test_json_lines_and_mappings_give_the_same(store: Store) -> None:
    rows: list[dict[str, Any]] = [
        {"version": "v3", "pnl": -1.5, "ok": True},
        {"version": "v3", "pnl": 2},
    ]
    lines, mappings = PushSource("a", store), PushSource("b", store)
    lines.push("\n".join(json.dumps(row) for row in rows).encode(), NOW)
    mappings.push(rows, NOW)
    for expression in ("sum(pnl)", "ratio(ok)", "count()"):
        assert ask(lines, expression) == ask(mappings, expression)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"pnl": 1}, "no version"),
        ({"id": "x", "pnl": 1}, "id x is not known"),
        ({"version": "", "pnl": 1}, "version is a text"),
        ({"version": 3}, "version is a text"),
        ({"version": "v3", "ts": "2026-03-02T14:30:00"}, "with its zone"),
        ({"version": "v3", "ts": 1772461800}, "with its zone"),
        ({"version": "v3", "ts": "0001-01-01T00:00:00+14:00"}, "with its zone"),
        ({"version": "v3", "ts": "2026-03-04T14:30:00Z"}, "ahead of the clock"),
        ({"version": "v3", "x": [1]}, "not list"),
        ({"version": "v3", "x": "a" * 1001}, "at most 1000"),
        ({"version": "v3", "": 1}, "name of a field"),
        ({"version": "v3", **{f"f{i}": i for i in range(105)}}, "at most 100"),
        ([], "an object, not list"),
    ],
)
def test_a_bad_observation_is_refused_and_told_and_keeps_no_other(
    store: Store, raw: Any, said: str
) -> None:
    source = opened(store)
    received = source.push([{"version": "v3", "x": 1}, raw, {"version": "v3", "x": 2}], NOW)
    assert (received.accepted, received.refused, source.refused) == (2, 1, 1)
    assert said in source.last_error
    assert source.last_error.startswith("signals: observation 2: ")
    assert "1 refused" in source.check()
    assert ask(source, "sum(x)").value == 3


def test_a_bad_line_is_named_and_nan_is_no_value(store: Store) -> None:
    source = opened(store)
    lines = b'{"version": "v3", "x": NaN, "y": 1}\n\nnot json\n{"version": "v3", "x": 4}'
    assert source.push(lines, NOW).accepted == 2
    assert source.last_error.startswith("signals: line 3: not JSON")
    assert ask(source, "mean(x)").value == 4
    assert opened(store).measure([]) == []
    assert ask(opened(store), "sum(y)") == ask(source, "sum(y)")


def test_nothing_good_in_a_batch_is_nothing_received(store: Store) -> None:
    source = opened(store)
    assert source.push([{"x": 1}], NOW).accepted == 0
    assert source.last_received() is None
    assert list(store.observations("ifd/signals")) == []


def test_a_later_part_needs_no_version_and_belongs_to_the_first(store: Store) -> None:
    source = opened(store)
    source.push([{"version": "v1", "id": "a"}, {"id": "a", "quick": 1}], NOW)
    source.push([{"id": "a", "version": "v3", "pnl": -9}], NOW + 60 * SECOND)
    for seen in (source, opened(store)):
        assert ask(seen, "sum(pnl)", "v1").as_of == NOW
        assert ask(seen, "count()", "v1").value == 1
        assert ask(seen, "sum(pnl)", "v3").status == "no_data"


def test_a_later_part_stays_right_when_the_first_has_been_pruned(store: Store) -> None:
    source = opened(store)
    source.push([{"version": "v1", "id": "a"}], NOW)
    source.push([{"id": "a", "pnl": -9}], NOW + 60 * SECOND)
    assert store.prune_observations("ifd/signals", NOW + SECOND) == 1
    assert ask(opened(store), "sum(pnl)", "v1").as_of == NOW


def test_a_value_told_twice_and_otherwise_is_reported(store: Store) -> None:
    source = opened(store)
    source.push([{"version": "v3", "id": "a", "pnl": 1}], NOW)
    source.push([{"version": "v3", "id": "a", "pnl": 2}], NOW)
    assert ask(source, "sum(pnl)").value == 1
    assert "id a: pnl was given before, otherwise" in source.last_error


def test_a_restart_sees_what_was_seen(store: Store) -> None:
    source = opened(store, limit=50)
    for index in range(120):
        at = (NOW - ((index * 37) % 100) * SECOND).isoformat()
        version, id = f"v{index % 2}", f"i{index % 90}"
        source.push([{"version": version, "ts": at, "id": id, "x": index / 7}], NOW)
    again = opened(store, limit=50)
    for expression in ("mean(x)", "max_drawdown(x)", "last(x)", "count()"):
        for version in ("v0", "v1"):
            assert ask(again, expression, version) == ask(source, expression, version)
    assert again.last_received() == source.last_received()
    assert again.accepted == source.accepted


def test_a_batch_known_by_a_key_is_not_taken_again(store: Store) -> None:
    source = opened(store)
    rows = [{"version": "v3", "x": 1}]
    assert not source.push(rows, NOW, keys=["k1"]).repeated
    for repeated in (source, opened(store)):
        received = repeated.push(rows, NOW + SECOND, keys=["k1", "k2"])
        assert (received.repeated, received.accepted) == (True, 0)
    assert ask(source, "count()").value == 1


def test_nothing_is_judged_that_could_not_be_stored(store: Store, tmp_path: Path) -> None:
    source = opened(store)
    with closing(sqlite3.connect(tmp_path / "rollout.db")) as database:
        database.execute("drop table observations")
    with pytest.raises(StoreError):
        source.push([{"version": "v3", "x": 1}], NOW)
    assert ask(source, "count()").status == "no_data"
    assert source.last_received() is None


def test_writers_at_the_same_time_lose_nothing(store: Store) -> None:
    sources = [opened(store), opened(store)]
    count = 10

    def write(number: int) -> None:
        for index in range(count):
            sources[number % 2].push([{"version": "v3", "id": f"{number}/{index}", "x": 1}], NOW)

    threads = [Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for source in sources:
        source.push([{"version": "v1"}], NOW)
    assert ask(opened(store), "sum(x)").value == 4 * count
    assert ask(sources[1], "sum(x)") == ask(opened(store), "sum(x)")


def test_what_grows_is_bounded(store: Store) -> None:
    source = opened(store)
    with pytest.raises(SourceError, match="at a time"):
        source.push([{"version": "v3"}] * (BATCH + 1), NOW)
    received = source.push([{"version": f"v{n}"} for n in range(VERSIONS + 1)], NOW)
    assert (received.accepted, received.refused) == (VERSIONS, 1)
    long = b'{"version": "v1", "x": "' + b"a" * 70_000 + b'"}'
    assert source.push(long, NOW).refused == 1


def test_observations_that_share_a_key_pair_up(store: Store) -> None:
    source = opened(store)
    for n in range(20):
        key, x = f"bar{n}", n * 100.0
        source.push([{"version": "v1", "key": key, "x": x}], NOW)
        source.push([{"version": "v3", "key": key, "x": x + 1 + n % 2}], NOW)
    since = NOW - SECOND
    mine = Request("candidate", "m", "v3", "mean(x)", since, NOW, factor=0.5)
    pairs = source.pairs(mine, Request("baseline", "m", "v1", "mean(x)", since, NOW, factor=0.5))
    assert pairs is not None
    assert pairs == pytest.approx((20, 0.75, 20 / 19 / 16))


def test_what_is_stamped_a_little_ahead_of_the_clock_counts_at_once() -> None:
    part = parse({"version": "v3", "ts": NOW + AHEAD, "pnl": -5}, NOW)
    assert part.at == NOW
    earlier = parse({"version": "v3", "ts": NOW - AHEAD}, NOW)
    assert earlier.at == NOW - AHEAD
    with pytest.raises(ObservationError, match="is 1m 01s ahead of the clock"):
        parse({"version": "v3", "ts": NOW + AHEAD + timedelta(seconds=1)}, NOW)


# Quality ----------------------------------------------------------------------------------

RULES = Quality(required=("price",), range={"price": (0.0, 100.0)}, min_samples=1)


def quality(source: PushSource, name: str = "quality", now: datetime = NOW) -> Measurement:
    (found,) = source.measure([Request("signals", name, "", name, now - RULES.window, now)])
    return found


def test_what_is_refused_counts_in_the_quality_of_its_source(store: Store) -> None:
    source = opened(store, quality=RULES)
    good = {"version": "v3", "price": 5.0}
    source.push([good, {"version": "v3", "ts": "yesterday"}, good, {"price": 1.0}], NOW)
    assert quality(source, "refused").value == 0.5
    assert quality(source, "bad").value == 0.5
    found = quality(source)
    assert (found.value, found.samples) == (0.5, 4)


def test_a_push_of_which_all_is_refused_is_remembered_after_a_restart(store: Store) -> None:
    source = opened(store, quality=RULES)
    source.push([{"version": "v3", "price": 5.0, "id": "a"}], NOW)
    source.push(b"not json\n{}\n", NOW)
    source.push([{"version": "v3", "price": 6.0, "id": "a"}], NOW)
    before = [quality(source, name) for name in MEASURES]
    assert quality(source, "refused").value == 0.75
    again = opened(store, quality=RULES)
    assert [quality(again, name) for name in MEASURES] == before
    without = opened(store)
    assert without.accepted == 2
    assert quality(without).status == "error"


def test_refusals_alone_do_not_say_that_a_source_was_heard(store: Store) -> None:
    source = opened(store, quality=RULES)
    source.push([{}], NOW)
    assert source.last_received() is None


def test_the_same_again_is_a_duplicate_and_a_later_part_is_not(store: Store) -> None:
    source = opened(store, quality=RULES)
    first = {"version": "v3", "id": "a", "price": 5.0}
    source.push([first], NOW)
    source.push([{"id": "a", "pnl": 3.0}], NOW)
    assert quality(source, "duplicates").value == 0
    source.push([first], NOW)
    found = quality(source, "duplicates")
    assert (found.value, found.samples) == (0.5, 2)
    assert quality(source).value == 1
