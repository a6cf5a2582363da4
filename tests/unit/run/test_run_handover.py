"""A handover through the real controller, store and files: what it waits for is told, nobody is
paged for it, and the way back does not wait for anything."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.handover import POLICY, Pair
from support.services import Desk
from typer.testing import CliRunner

from controller.cli.app import app, register
from controller.core.effect import Alert, Phase
from controller.traffic.handover import ORDER, Order, decode_order

TEXT = POLICY[: POLICY.index("triggers:")] + POLICY[POLICY.index("rollback:") :]
for old, new in (
    ("hold: 10m}", "hold: 1m}"), ("hold: 30m, ", "hold: 1m, "), ("hold: 1h, ", "hold: 1m, "),
    ("bars: 20", "bars: 5"), ("20 ticks", "4 ticks"), ("ramp: 10m", "ramp: 5m"),
):  # fmt: skip
    assert TEXT.count(old) == 1, old
    TEXT = TEXT.replace(old, new)
BAR = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, TEXT)
    desk.command("start")
    yield desk
    desk.close()


def order(desk: Desk) -> Order:
    return decode_order((desk.policies / "live" / "handover" / ORDER).read_bytes())


def pair(desk: Desk) -> Pair:
    """Both processes, at the controller's orders."""
    pair = Pair(desk.policies / "live" / "handover")
    pair.bar = desk.now
    return pair


def go(desk: Desk, processes: Pair, span: timedelta) -> None:
    """Rounds and bars every five seconds."""
    for _ in range(span // BAR):
        desk.go(BAR, BAR)
        processes.turn()
        processes.bar = desk.now


def test_a_phase_that_nobody_answers_is_no_failure_of_its_target(desk: Desk) -> None:
    desk.go(timedelta(minutes=5))
    assert order(desk).phase is Phase.WARM
    effects = [e for entry in desk.service.store.journal("signal") for e in entry.effects]
    alerts = [effect.kind for effect in effects if isinstance(effect, Alert)]
    assert "target" not in alerts
    (waiting,) = desk.service.store.outbox("signal")
    assert "engine-1 says nothing; engine-3 says nothing" in waiting.last_error


def test_a_rollback_does_not_wait_for_the_phase_that_was_asked_before(desk: Desk) -> None:
    desk.go(timedelta(minutes=5))
    desk.command("rollback")
    assert (order(desk).phase, order(desk).writer) == (Phase.BACK, "engine-1")
    assert order(desk).epoch == 2


def test_the_writing_passes_at_the_first_bar_at_which_both_agree(desk: Desk) -> None:
    processes = pair(desk)
    processes.new.target = -1.0
    go(desk, processes, 3 * MINUTE)
    assert order(desk).phase is Phase.AGREE
    processes.new.target = 2.0
    go(desk, processes, 6 * BAR)
    assert order(desk).phase is Phase.WRITE
    assert not order(desk).ramps
    assert processes.writers() == ["engine-3"]
    go(desk, processes, 4 * MINUTE)
    assert (desk.state().name, order(desk).phase) == ("completed", Phase.RETIRE)
    assert processes.baseline.order is not None
    assert processes.baseline.turn(desk.now).value == "rests"


def test_without_an_agreement_in_so_many_ticks_the_new_writer_ramps(desk: Desk) -> None:
    processes = pair(desk)
    processes.new.target = -1.0
    go(desk, processes, 5 * MINUTE)
    assert order(desk).phase is Phase.WRITE
    assert order(desk).ramps
    told = processes.candidate.target("NQ", -1.0)
    assert -1.0 < told <= 2.0


def test_a_controller_that_dies_at_each_phase_goes_on_with_it(desk: Desk) -> None:
    processes = pair(desk)
    seen: list[Phase] = []
    for _ in range(4 * MINUTE // BAR):
        desk.go(BAR, BAR)
        processes.turn()
        if order(desk).phase not in seen:
            seen.append(order(desk).phase)
            desk.restart()
        if order(desk).phase is Phase.WRITE:
            break
    assert seen == [Phase.WARM, Phase.COPY, Phase.AGREE, Phase.FENCE, Phase.WRITE]
    assert desk.state().epoch == 1


def test_status_and_explain_say_who_writes_and_what_is_waited_for(desk: Desk) -> None:
    processes = pair(desk)
    processes.new.target = -1.0
    go(desk, processes, 3 * MINUTE)
    database = f"sqlite:///{desk.place / 'rollout.db'}"
    register()
    run = CliRunner().invoke
    told = run(app, ["status", "signal", "--database", database]).output
    assert "handover: both targets have to agree, not acknowledged yet" in told
    assert "engine-1 writes by decision" in told
    data = json.loads(
        run(app, ["status", "signal", "--database", database, "--format", "json"]).output
    )
    (rollout,) = data if isinstance(data, list) else (data,)
    assert rollout["handover"] == "agree"
    assert rollout["handover_acknowledged"] is False
    assert "handover: both targets have to agree, for" in str(rollout["explanation"])


def test_the_policys_terms_reach_the_processes(desk: Desk) -> None:
    terms = order(desk).terms
    assert (terms.bars, terms.decisions, terms.ramp_s, terms.risk) == (5, 5, 300.0, 0.001)
