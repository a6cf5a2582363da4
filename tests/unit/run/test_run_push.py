"""What is pushed to a running rollout: whose it is, when it counts, what is refused, who asks."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
from support.plans import POLICY
from support.services import Desk

from controller.core.event import Command
from controller.core.measurement import Outcome
from controller.run.controller import Controller
from controller.run.unit import UnknownRollout
from controller.sources.base import Request, UnknownSource
from controller.sources.push import PushSource, Received
from controller.sources.sql import SqlSource
from controller.store.base import StoreError

MINUTE = timedelta(minutes=1)
STAGED = POLICY.replace(
    "  errors: {source",
    "  staged: {source: signals, value: mean(correct), window: stage, max_age: 1d}\n"
    "  errors: {source",
).replace(
    "triggers:",
    "triggers:\n  - {name: staged, when: candidate.staged < 1%, severity: low, stages: [canary]}",
).replace("min_samples: 100", "min_samples: 1")  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, STAGED)
    yield desk
    desk.close()


def into_canary(desk: Desk) -> None:
    """One signal routed in shadow, whose outcome is not known, and the rollout in canary."""
    desk.command("start")
    desk.go(MINUTE)
    assert desk.push({"version": "v3", "id": "early", "failed": False}).received.accepted == 1
    trade(desk, 11)
    assert desk.state().name == "canary"


def trade(desk: Desk, minutes: int) -> None:
    """Both versions at work, without outcomes."""
    for _ in range(minutes):
        desk.push(*({"version": version, "failed": False, "pnl": 1.0} for version in ("v1", "v3")))
        desk.go(MINUTE)


def test_a_late_outcome_counts_for_the_stage_that_routed_it(desk: Desk) -> None:
    into_canary(desk)
    desk.push({"version": "v3", "id": "mine", "failed": False})
    trade(desk, 2)
    desk.push({"id": "early", "correct": False}, {"id": "mine", "correct": True})
    found = desk.measured()["candidate.staged"]
    assert (found.value, found.samples) == (1.0, 1)


def test_an_outcome_cannot_move_a_signal_to_another_version_or_time(desk: Desk) -> None:
    into_canary(desk)
    ts = desk.now.isoformat()
    desk.push({"id": "early", "version": "v1", "ts": ts, "correct": False, "pnl": -900_000})
    found = desk.measured()
    assert found["candidate.staged"].status == "no_data"
    # It is the candidate's loss all the same, and acts at once.
    assert found["candidate.drawdown"].value == pytest.approx(0.9)
    assert desk.state().name.startswith("rolling_back")


def test_a_crash_between_signal_and_outcome_loses_neither(desk: Desk) -> None:
    into_canary(desk)
    desk.push({"version": "v3", "id": "mine"})
    desk.restart()
    trade(desk, 2)
    assert desk.push({"id": "early", "correct": False}).received.accepted == 1
    desk.restart()
    assert desk.push({"id": "mine", "correct": True}).received.accepted == 1
    for _ in range(2):
        found = desk.measured()["candidate.staged"]
        assert (found.value, found.samples) == (1.0, 1)
        desk.restart()


def test_an_outcome_whose_window_has_passed_is_kept_and_moves_nothing(desk: Desk) -> None:
    into_canary(desk)
    assert desk.push({"id": "early", "correct": True}).received.accepted == 1
    assert desk.measured()["candidate.accuracy"].status == "no_data"


def test_an_outcome_of_an_unknown_signal_is_refused_and_told(desk: Desk) -> None:
    into_canary(desk)
    received = desk.push({"id": "never", "correct": True}).received
    assert (received.accepted, received.refused) == (0, 1)
    assert received.reasons == ("observation 1: no version, and id never is not known",)


def test_a_version_that_no_rule_speaks_of_is_refused_and_does_not_count_as_heard(
    desk: Desk,
) -> None:
    desk.command("start")
    desk.go(MINUTE)
    received = desk.push({"version": "v4", "pnl": 1}, {"version": "v3", "pnl": 1}).received
    assert (received.accepted, received.refused) == (1, 1)
    assert received.reasons == ("observation 1: version 'v4' is neither v1 nor v3",)
    heard = desk.now
    desk.go(MINUTE)
    desk.push(*({"version": f"v{n}"} for n in range(1000, 2000)))
    assert desk.measured()["signals.silent"].as_of == heard


def test_versions_follow_the_policy_that_runs(desk: Desk) -> None:
    desk.command("start")
    desk.go(MINUTE)
    assert desk.push({"version": "v3.1"}).received.refused == 1
    desk.write(STAGED.replace("candidate: v3", "candidate: v3.1"))
    loaded = desk.service.plans.read_file(desk.policies / "signal.yaml")
    known = desk.service.plans.save(loaded, desk.now)
    command = Command("apply", "kim", policy=known.plan.digest, state="shadow")
    assert not desk.service.command("signal", command).refused
    assert desk.push({"version": "v3.1"}).received.accepted == 1
    assert desk.push({"version": "v3"}).received.refused == 1


def test_what_was_refused_is_in_the_heartbeat_for_others_to_see(desk: Desk) -> None:
    desk.push({"version": "v3"}, {"version": "v4"}, {"nonsense": [1]})
    desk.go(MINUTE)
    ((_, _, note),) = desk.service.store.heartbeats()
    assert msgspec.json.decode(note)["refusals"] == {
        "signal/signals": {"count": 2, "last": "signals: observation 3: "
                           "nonsense is a number, true, false, null or text, not list"}
    }  # fmt: skip


def test_a_stamp_a_little_ahead_counts_as_now_and_is_counted(desk: Desk) -> None:
    ahead = (desk.now + timedelta(seconds=30)).isoformat()
    received = desk.push({"version": "v3", "ts": ahead, "pnl": 1}, {"version": "v3"}).received
    assert (received.accepted, received.ahead) == (2, 1)
    source = desk.service.connections.sources(desk.state(), desk.now)["signals"]
    assert "1 stamped ahead of the clock here" in source.check()
    later = (desk.now + timedelta(minutes=2)).isoformat()
    assert desk.push({"version": "v3", "ts": later}).received.refused == 1


def test_a_field_that_says_otherwise_than_before_is_counted(desk: Desk) -> None:
    desk.push({"version": "v3", "id": "a", "pnl": 1})
    received = desk.push({"id": "a", "pnl": 1}, {"id": "a", "pnl": 2}).received
    assert (received.accepted, received.contradicted) == (2, 1)


def test_names_that_are_not_there_are_answered_with_the_nearest(desk: Desk) -> None:
    with pytest.raises(UnknownRollout, match="did you mean 'signal'"):
        desk.service.push("singal", "signals", [])
    with pytest.raises(UnknownSource, match="did you mean 'signals'"):
        desk.push(source="signal")


ASKING = STAGED.replace(
    "sources:", "sources:\n  ops: {type: sql, tables: {t: t.csv}}"
).replace(
    "  errors: {source",
    "  load: {source: ops, query: 'select 1 as value'}\n  errors: {source",
).replace(
    "triggers:", "triggers:\n  - {name: load, when: candidate.load > 5, severity: critical}"
)  # fmt: skip


def test_a_push_asks_no_database_not_even_when_it_breaks_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    measure = SqlSource.measure

    def counted(self: SqlSource, requests: list[Request]) -> object:
        asked.append(len(requests))
        return measure(self, requests)

    monkeypatch.setattr(SqlSource, "measure", counted)
    desk = Desk(tmp_path, ASKING)
    (desk.policies / "t.csv").write_text("a\n1\n")
    desk.command("start")
    desk.go(MINUTE)
    asked.clear()
    assert desk.push({"version": "v3", "pnl": 1.0}).decision is None
    assert asked == []
    decision = desk.push({"version": "v3", "pnl": -50_000.0}).decision
    assert decision is not None and decision.move
    assert asked == []
    (told,) = [t for t in decision.explanation.triggers if t.name == "load"]
    assert told.outcome is Outcome.NO_DATA
    desk.close()


def test_what_is_kept_is_no_failure_when_limits_cannot_be_looked_at_just_now(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.command("start")
    desk.go(MINUTE)

    def locked(*_arguments: object) -> None:
        raise StoreError("locked by another program")

    monkeypatch.setattr(Controller, "observed", locked)
    pushed = desk.push({"version": "v3", "pnl": -50_000})
    assert (pushed.received.accepted, pushed.decision) == (1, None)
    desk.go(MINUTE)
    assert desk.state().name.startswith("rolling_back")


def test_a_push_that_meets_an_edit_of_the_policy_is_seen_under_the_new_text(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.command("start")
    desk.go(MINUTE)
    push, edited = PushSource.push, desk.policies / "signal.yaml"

    def after_an_edit(source: PushSource, *arguments: Any) -> Received:
        monkeypatch.undo()
        edited.write_text(STAGED.replace("candidate.errors > 10%", "candidate.errors > 9%"))
        assert desk.service.reloader.look(desk.now)
        assert desk.measured()["candidate.drawdown"].status == "no_data"
        return push(source, *arguments)

    monkeypatch.setattr(PushSource, "push", after_an_edit)
    assert desk.push({"version": "v3", "pnl": -50_000}).decision is not None
    assert desk.measured()["candidate.drawdown"].samples == 1


def test_writers_lose_nothing_while_the_policy_is_edited(desk: Desk) -> None:
    desk.command("start")
    desk.go(MINUTE)
    taken: list[int] = []

    def write(writer: int) -> None:
        for number in range(20):
            observation = {"version": "v3", "id": f"{writer}/{number}", "pnl": 1.0}
            taken.append(desk.push(observation).received.accepted)

    threads = [Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for limit in range(2, 8):
        desk.write(STAGED.replace("candidate.errors > 10%", f"candidate.errors > {limit}%"))
        desk.service.reloader.look(desk.now)
    for thread in threads:
        thread.join()
    desk.now += timedelta(seconds=1)
    assert sum(taken) == 80
    assert desk.measured()["candidate.drawdown"].samples == 80
