"""Observations brought in: checked, stored first, seen again after a restart, by many threads."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.plans import plan_of

from controller.core.measurement import Measurement
from controller.policy.quality import MEASURES
from controller.policy.source import Quality
from controller.sources import UNDER_WAY, longest_window
from controller.sources.base import ClosedError, Comparing, Request, SourceError
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


def opened(store: Store, name: str = "ifd/signals", **more: Any) -> PushSource:
    return PushSource("signals", store, name, **more)


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


def test_a_source_that_is_closed_takes_nothing_more(store: Store) -> None:
    source = opened(store)
    source.close()
    with pytest.raises(ClosedError):
        source.push([{"version": "v3"}], NOW)
    assert list(store.observations("ifd/signals")) == []


def test_only_the_versions_that_are_named_are_taken(store: Store) -> None:
    source = opened(store, versions=("v1", "v3"))
    rows: list[dict[str, Any]] = [
        {"version": "v1", "id": "a"},
        {"version": "v2"},
        {"id": "a", "version": "v2", "x": 1},
    ]
    received = source.push(rows, NOW)
    assert (received.accepted, received.refused) == (2, 1)
    assert received.reasons == ("observation 2: version 'v2' is neither v1 nor v3",)
    # What was taken under another policy is still there, and is for nobody to refuse.
    assert opened(store, versions=("v3", "v4")).refused == 0


def test_the_first_refusals_are_told_and_all_are_counted(store: Store) -> None:
    received = opened(store).push([{"x": 1}] * 50, NOW)
    assert (received.refused, len(received.reasons)) == (50, 10)
    assert received.reasons[9].startswith("observation 10: ")


def test_a_line_that_is_nested_without_end_is_refused(store: Store) -> None:
    lines = b'{"version": "v3", "x": ' + b"[" * 60_000 + b'\n{"version": "v3"}'
    received = opened(store).push(lines, NOW)
    assert (received.accepted, received.refused) == (1, 1)


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
    other = Request("baseline", "m", "v1", "mean(x)", since, NOW, factor=0.5)
    assert isinstance(source, Comparing)
    found = source.contrast(mine, other, "independent")
    assert found is not None and found.pairs is not None
    assert found.pairs.count == 20
    assert found.pairs.candidate - found.pairs.baseline == pytest.approx(0.75)
    again = opened(store).contrast(mine, other, "independent")
    assert again == found
    assert source.shift(mine, other).samples == 20
    assert source.split(("v3", "v1"), since, NOW).samples == 20


def test_what_is_stamped_a_little_ahead_of_the_clock_counts_at_once() -> None:
    part = parse({"version": "v3", "ts": NOW + AHEAD, "pnl": -5}, NOW)
    assert part.at == NOW
    earlier = parse({"version": "v3", "ts": NOW - AHEAD}, NOW)
    assert earlier.at == NOW - AHEAD
    with pytest.raises(ObservationError, match="is 1m 01s ahead of the clock"):
        parse({"version": "v3", "ts": NOW + AHEAD + timedelta(seconds=1)}, NOW)


EXPRESSIONS = (
    "count()", "sum(x)", "mean(x)", "ratio(x)", "quantile(x, 90%)", "max_drawdown(x)", "last(x)",
)  # fmt: skip


def test_answers_are_the_same_bytes_however_it_was_batched_and_asked_and_after_a_restart(
    store: Store,
) -> None:
    random = Random(7)
    lines = [
        {
            "version": random.choice(["v1", "v3"]),
            "ts": (NOW + (n - random.choice([0, 0, 0, 40])) * SECOND).isoformat(),
            "x": random.gauss(0, 100),
        }
        for n in range(4_000)
    ]
    end = NOW + 4_000 * SECOND
    one_by_one, at_once = opened(store, "a", limit=500), opened(store, "b", limit=500)
    for number, line in enumerate(lines):
        now = NOW + number * SECOND
        one_by_one.push([line], now)
        if number % 7 == 0:
            for expression in EXPRESSIONS:
                ask(one_by_one, expression, now=now)
    at_once.push(b"\n".join(map(msgspec.json.encode, lines)), end)
    again = opened(store, "a", limit=500)

    def answers(source: PushSource) -> list[bytes]:
        """But for the number of the last batch."""
        requests = [
            Request("candidate", "m", version, expression, end - span * SECOND, end, 1e6)
            for version in ("v1", "v3")
            for expression in EXPRESSIONS
            for span in (60, 900, 3_000, 10_000)
        ]
        found = [replace(each, through=None) for each in source.measure(requests)]
        return [msgspec.json.encode(each) for each in found]

    expected = answers(one_by_one)
    assert any(b"approximate" in each for each in expected)
    assert answers(again) == expected
    assert answers(at_once) == expected


def test_lines_are_stored_as_they_came_unless_they_do_not_say_it_all(store: Store) -> None:
    source = opened(store)
    good = b'{"version":"v3","id":"a","x":1.50}'
    note = b'{"note":"x","version":"v3"}'
    source.push(b"\n".join((good, b'{"id":"a","y":2}', note + b"\r", b"{")), NOW)
    (batch,) = store.observations("ifd/signals")
    first, second, third = batch.lines.rstrip(b"\n").split(b"\n")
    assert first == good
    assert json.loads(second)["version"] == "v3"
    assert third.startswith(b'{"version":"v3"')
    for each in (source, opened(store)):
        assert ask(each, "count()").value == 2
        assert ask(each, "sum(y)").value == 2
        assert ask(each, "count(note)").value == 1


def test_check_tells_what_is_held_folded_late_and_forgotten(store: Store) -> None:
    source = opened(store, limit=10)
    rows = [
        {"version": "v3", "id": f"i{n}", "ts": (NOW + n * SECOND).isoformat(), "x": n}
        for n in range(30)
    ]
    source.push([*rows, {"version": "v3", "ts": NOW.isoformat(), "x": -1}], NOW + 30 * SECOND)
    assert "v3: 10, and 21 folded in " in source.check()
    assert "2 values came after their time had been folded" in source.check()
    assert "20 ids forgotten" in source.check()


def test_a_source_holds_no_more_than_its_metrics_look_at(store: Store) -> None:
    source = opened(store, reach=timedelta(minutes=1))
    for minute in range(100):
        now = NOW + minute * timedelta(minutes=1)
        source.push([{"version": "v3", "x": n} for n in range(100)], now)
    assert "v3: 2000, and 8000 folded in 1 slices" in source.check()
    (found,) = source.measure([Request("candidate", "m", "v3", "count()", now - SECOND, now)])
    assert (found.value, found.detail) == (100, "")


def looked_back(
    window: str, rule: str = "candidate.m > 5", value: str = "mean(x)"
) -> timedelta | None:
    return longest_window(
        plan_of(
            f"""
            rollout: ifd
            baseline: v1
            candidate: v3
            sources: {{signals: {{type: push}}, other: {{type: push}}}}
            metrics:
              short: {{source: signals, value: mean(x), window: 5m}}
              m: {{source: signals, value: "{value}", window: {window}, better: lower}}
              far: {{source: other, value: mean(x), window: rollout}}
            stages:
              - {{name: canary, weight: 5%, hold: 6h, advance: [candidate.far <= 7]}}
              - {{name: full, weight: 100%, hold: 6h}}
            triggers:
              - {{name: high, when: {rule}, severity: high, stages: [canary]}}
            """
        ),
        "signals",
    )


def test_how_far_a_plan_looks_is_the_longest_of_its_windows_where_it_can_be_told() -> None:
    assert looked_back("5h") == timedelta(hours=5) + UNDER_WAY
    assert looked_back("1m") == timedelta(minutes=5) + UNDER_WAY
    for window in ("session", "stage", "rollout", "last 100", "30m open"):
        assert looked_back(window) is None
    assert looked_back("5m", "candidate.m > 5%", "outliers(x)") is None


def test_the_age_of_what_came_in_is_the_same_after_a_restart(store: Store) -> None:
    source = opened(store)
    source.push([{"version": "v3", "ts": (NOW - SECOND).isoformat(), "x": 1}], NOW)
    source.push([{"version": "v1", "x": 1}], NOW + 8 * SECOND)
    for each in (source, opened(store)):
        assert ask(each, "silent()", now=NOW + 9 * SECOND).value == 9
        assert ask(each, "staleness()", now=NOW + 9 * SECOND).value == 10


@pytest.mark.parametrize("rule", ["not not_worse(m, margin: 2)", "not split_as_asked(signals)"])
def test_what_grows_since_a_stage_began_is_held_for_a_restart(rule: str) -> None:
    assert looked_back("5h", rule) is None


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


def test_an_observation_that_looks_like_a_count_of_refusals_is_an_observation(store: Store) -> None:
    source = opened(store, quality=RULES)
    source.push(b'{"refused":7,"version":"v3","price":5}', NOW)
    for each in (source, opened(store, quality=RULES)):
        assert ask(each, "sum(refused)").value == 7
        assert quality(each, "refused").value == 0


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
