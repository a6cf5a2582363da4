"""A rollout that runs is decided on, and brought back, whatever became of the world around it."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from support.plans import POLICY, T0

from controller.core.calendar import Lapsed
from controller.core.effect import SetShare
from controller.core.event import Command, Tick
from controller.core.measurement import Measurement
from controller.effects.base import EffectError
from controller.run.calendars import Calendars
from controller.run.commands import left_behind, register, submit_command
from controller.run.connections import Opened
from controller.run.dispatch import Dispatcher
from controller.run.plans import Plans
from controller.run.unit import handle
from controller.store import open_store
from controller.store.base import Store

ELSEWHERE = POLICY.replace(
    "  signals: {type: push}",
    '  signals: {type: push}\n  files: {type: sql, tables: {t: "${DATA}/t.csv"}}',
).replace(
    "stages:\n",
    '  cost: {source: files, query: "select 1 as value, 1 as samples where $version = $version"}\n'
    "publish:\n"
    '  here: {type: file, path: share.json}\n  there: {type: file, path: "${DATA}/share.json"}\n'
    "stages:\n",
)


def started(store: Store, environment: dict[str, str], path: Path, text: str = ELSEWHERE) -> Plans:
    """A rollout in its first stage, under a policy read with `environment`."""
    plans = Plans(store, environment)
    loaded = plans.read(text, path)
    assert loaded.ok, [str(f) for f in loaded.findings]
    assert register(store, plans, loaded, T0)
    handle(store, plans.plan, "signal", Command("start", "kim"), T0)
    return plans


def test_a_person_brings_it_back_from_a_shell_without_the_variables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with open_store("sqlite://") as store:
        started(store, {"DATA": str(tmp_path)}, tmp_path / "policy.yaml")
        plans = Plans(store, {})
        opened = Opened(store, plans, tmp_path)
        dispatcher = Dispatcher(
            store, plans.plan, opened.target, "kim", random=Random(0), lease=timedelta(seconds=9)
        )
        now = T0 + timedelta(minutes=1)
        back = Command("rollback", "kim")
        decision = submit_command(store, plans, dispatcher, "signal", back, now)
        assert decision.state.name == "rolling_back.baseline_traffic"
        assert '"percent": "0%"' in (tmp_path / "share.json").read_text()
        waits = [d for d in store.outbox("signal") if isinstance(d.effect, SetShare)]
        assert {d.effect.target for d in waits if isinstance(d.effect, SetShare)} == {"there"}
        assert waits[-1].last_error == "there: environment variable DATA is not set"
        assert not (tmp_path / "${DATA}").exists()


def test_a_source_whose_place_is_not_set_is_an_error_of_that_source_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with open_store("sqlite://") as store:
        started(store, {"DATA": str(tmp_path)}, tmp_path / "policy.yaml")
        row = store.rollout("signal")
        assert row is not None
        opened = Opened(store, Plans(store, {}), tmp_path)
        sources = opened.sources(row.state, T0)
        assert set(sources) == {"signals", "files"}
        with pytest.raises(Exception, match="environment variable DATA is not set"):
            sources["files"].check()
        assert sources["signals"].check()
        opened.close()


def test_what_is_kept_as_written_changes_no_decision(tmp_path: Path) -> None:
    with open_store("sqlite://") as store:
        known = started(store, {"DATA": str(tmp_path)}, tmp_path / "policy.yaml")
        row = store.rollout("signal")
        assert row is not None
        digest = row.state.policy
        ours, theirs = known.plan(digest, T0), Plans(store, {}).plan(digest, T0)
        assert ours.digest == theirs.digest
        assert [s.name for s in ours.steps] == [s.name for s in theirs.steps]
        assert [t.name for t in ours.triggers] == [t.name for t in theirs.triggers]


def test_an_effect_without_its_place_is_never_written(tmp_path: Path) -> None:
    with open_store("sqlite://") as store:
        started(store, {"DATA": str(tmp_path)}, tmp_path / "policy.yaml")
        row = store.rollout("signal")
        assert row is not None
        opened = Opened(store, Plans(store, {}), tmp_path)
        effects = [d.effect for d in store.outbox("signal") if isinstance(d.effect, SetShare)]
        there = next(e for e in effects if e.target == "there")
        with pytest.raises(EffectError, match="DATA is not set"):
            opened.target(row.state, there, T0)


def test_with_a_calendar_that_has_ended_nothing_advances_and_all_time_counts() -> None:
    text = POLICY.replace("{tick: 30s}", "{tick: 30s, calendar: XNYS}")
    with open_store("sqlite://") as store:
        started(store, {}, Path("/policies/signal.yaml"), text)
        row = store.rollout("signal")
        assert row is not None
        plans = Plans(store, {})
        far = T0.replace(year=T0.year + 300)
        plan = plans.plan(row.state.policy, far)
        assert isinstance(plan.calendar, Lapsed)
        assert not plan.calendar.is_open(far)
        assert plan.calendar.open_ms(far, far + timedelta(days=2)) == 2 * 86_400_000
        gone = {key: Measurement(status="no_data") for key in plan.references}
        back = handle(store, plans.plan, "signal", Tick(gone), far)
        assert back.state.name == "rolling_back.baseline_traffic"


def test_the_library_is_asked_again_for_a_calendar_that_has_ended() -> None:
    calendars = Calendars()
    far = T0.replace(year=T0.year + 300)
    lapsed = calendars.span_or_lapsed("XNYS", far)
    assert lapsed.covers(far)
    assert not lapsed.covers(far + timedelta(hours=1))


@pytest.mark.parametrize(
    ("old", "new", "dropped"),
    [
        ("", "", ()),
        ("a: {type: file, path: s.json}", "a: {type: file, path: ./s.json}", ()),
        ("a: {type: file, path: s.json}", "a: {type: file, path: t.json}", ("a",)),
        ("a: {type: file, path: s.json}", "b: {type: file, path: s.json}", ("a",)),
        ("a: {type: file, path: s.json}", "", ("a",)),
        ("", "a: {type: file, path: s.json}", ("share",)),
        ("a: {type: file, path: s.json}",
         "a: {type: file, path: s.json}, b: {type: file, path: t.json}", ()),
    ],
)  # fmt: skip
def test_a_publisher_that_is_dropped_or_moved_is_left_behind(
    old: str, new: str, dropped: tuple[str, ...]
) -> None:
    with open_store("sqlite://") as store:
        plans = Plans(store, {})
        before, after = (
            plans.compile(plans.read(f"{POLICY}publish: {{{text}}}\n", Path("/p/signal.yaml")), T0)
            for text in (old, new)
        )
        assert left_behind(before, after) == dropped
