"""The way forward: dwell, gates, approval, pause, hold, freeze."""

from datetime import timedelta

import pytest
from support.plans import GOOD, POLICY, T0, Driver, plan_of

from controller.core.decision import Decision
from controller.core.effect import Activate, Alert, SetShare
from controller.core.event import Acknowledgement, Tick
from controller.core.measurement import Measurement, Outcome
from controller.core.share import Share

HOUR = timedelta(hours=1)


@pytest.fixture
def driver() -> Driver:
    return Driver(plan_of())


def shares(decision: Decision) -> list[int]:
    return [e.share for e in decision.effects if isinstance(e, SetShare)]


def test_a_start_enters_the_first_stage_and_publishes_its_share(driver: Driver) -> None:
    decision = driver.command("start")
    assert driver.state.name == "shadow"
    assert [(e.share, e.mirror) for e in decision.effects if isinstance(e, SetShare)] == [(0, True)]
    assert decision.reasons == ("start by kim",)


def test_the_stage_is_left_at_the_tick_that_completes_the_dwell_and_not_before(
    driver: Driver,
) -> None:
    driver.to("canary")
    entered = driver.now
    driver.ticks(HOUR - driver.plan.tick)
    assert driver.state.name == "canary"
    decision = driver.tick()
    assert driver.state.name == "ramp-25"
    assert driver.now - entered == HOUR
    assert decision.reasons == ("gate of canary passed",)


def test_one_sample_too_few_is_inconclusive_and_blocks(driver: Driver) -> None:
    driver.to("canary")
    short = Measurement(value=0.99, samples=99)
    decision = driver.ticks(2 * HOUR, candidate__accuracy=short)
    assert driver.state.name == "canary"
    assert decision.explanation.checks[0].outcome is Outcome.INCONCLUSIVE
    assert "check candidate.accuracy >= 85%: inconclusive, samples 99 of 100" in (
        decision.explanation.blockers
    )
    driver.tick()
    assert driver.state.name == "ramp-25"


@pytest.mark.parametrize(
    "nothing",
    [
        Measurement(value=float("nan"), samples=500),
        Measurement(value=float("inf"), samples=500),
        Measurement(value=None, samples=500),
        Measurement(status="no_data"),
        Measurement(status="error", detail="refused"),
        Measurement(value=0.99, samples=500, as_of=T0 - timedelta(days=1)),
    ],
)
def test_what_is_no_number_in_time_never_passes_a_gate(
    driver: Driver, nothing: Measurement
) -> None:
    driver.to("canary")
    decision = driver.ticks(2 * HOUR, candidate__accuracy=nothing)
    assert driver.state.name == "canary"
    assert decision.explanation.checks[0].outcome in (Outcome.NO_DATA, Outcome.ERROR)


def test_exactly_on_the_limit_is_decided_by_the_operator(driver: Driver) -> None:
    driver.to("canary")
    driver.ticks(HOUR, candidate__accuracy=Measurement(value=0.85, samples=100))
    assert driver.state.name == "ramp-25"


def test_approval_is_waited_for_and_then_evidence_is_taken_afresh(driver: Driver) -> None:
    driver.to("canary")
    driver.ticks(HOUR)
    driver.ticks(HOUR)
    assert driver.state.name == "ramp-25.approval"
    assert driver.command("approve", by="risk-officer").move == "approve"
    assert driver.state.name == "ramp-25"
    decision = driver.tick()
    assert driver.state.name == "ramp-50"
    assert decision.reasons == ("gate of ramp-25 passed", "approved by risk-officer")


def test_an_approval_nobody_gives_goes_back_when_its_time_is_up(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    assert driver.state.name == "ramp-25.approval"
    driver.ticks(2 * HOUR - driver.plan.tick)
    assert driver.state.name == "ramp-25.approval"
    decision = driver.tick()
    assert decision.reasons == ("approval: nobody approved in time",)
    assert driver.state.share == 0


def test_a_gate_that_fails_while_waiting_for_approval_is_judged_again(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    driver.tick(candidate__accuracy=Measurement(value=0.7, samples=200))
    assert driver.state.name == "ramp-25"


def test_pause_keeps_share_and_dwell_and_resume_goes_on_from_there(driver: Driver) -> None:
    driver.to("canary")
    driver.ticks(timedelta(minutes=20))
    dwell = driver.state.dwell_ms
    assert dwell == 20 * 60_000
    driver.command("pause", reason="lunch")
    driver.ticks(10 * HOUR)
    assert (driver.state.name, driver.state.share) == ("canary.paused", Share(5000))
    assert driver.state.dwell_ms == dwell
    driver.command("resume")
    driver.ticks(timedelta(minutes=40))
    assert driver.state.name == "ramp-25"


def test_a_hold_ends_when_no_trigger_asks_for_it(driver: Driver) -> None:
    driver.to("canary")
    driver.tick(signals__silent=Measurement(value=121.0, samples=1))
    assert driver.state.name == "canary.held"
    dwell = driver.state.dwell_ms
    driver.ticks(timedelta(minutes=5), signals__silent=Measurement(value=300.0, samples=1))
    assert (driver.state.name, driver.state.dwell_ms) == ("canary.held", dwell)
    driver.tick()
    assert driver.state.name == "canary"


def test_a_hold_that_lasts_too_long_goes_back(driver: Driver) -> None:
    driver.to("canary")
    silent = Measurement(value=300.0, samples=1)
    driver.ticks(timedelta(minutes=10), signals__silent=silent)
    assert driver.state.name == "canary.held"
    driver.tick(signals__silent=silent)
    assert driver.state.name.startswith("rolling_back") or driver.state.name == "cooldown"


def test_the_watch_stage_is_the_promotion_and_its_end_completes() -> None:
    text = POLICY.replace("baseline: v1", "baseline: {version: v1, config: a.json}").replace(
        "candidate: v3", "candidate: {version: v3, config: b.json}"
    )
    text += "publish: {config: {type: config, path: live.json}}\n"
    driver = Driver(plan_of(text))
    driver.to("watch")
    activated = [e for d in driver.decisions for e in d.effects if isinstance(e, Activate)]
    assert [e.version for e in activated] == ["v3"]
    driver.ticks(2 * HOUR)
    assert (driver.state.name, driver.state.share) == ("completed", Share(100_000))


def test_nothing_advances_in_a_freeze_window_but_dwell_goes_on() -> None:
    window = "{name: fomc, from: 2026-03-02T14:40:00Z, to: 2026-03-02T18:00:00Z}"
    schedule = f"schedule: {{tick: 30s, freeze: [{window}]}}"
    driver = Driver(plan_of(POLICY.replace("schedule: {tick: 30s}", schedule)))
    driver.command("start")
    driver.ticks(timedelta(minutes=29))
    assert driver.state.name == "shadow"
    assert driver.state.dwell_ms == 29 * 60_000
    assert "freeze window fomc" in driver.command("advance").refused
    driver.now += timedelta(hours=3)
    driver.tick()
    driver.tick()
    assert driver.state.name == "canary"


def test_a_share_that_no_target_acknowledges_earns_no_dwell(driver: Driver) -> None:
    driver.to("canary")
    driver.command("rollback")
    driver.ticks(timedelta(hours=2))
    driver.acknowledges = False
    driver.command("start")
    assert driver.state.name == "canary"
    decision = driver.ticks(2 * HOUR)
    assert driver.state.dwell_ms == 0
    assert any(b.startswith("share:") for b in decision.explanation.blockers)


def test_a_gap_in_the_watch_counts_one_tick_and_is_noted(driver: Driver) -> None:
    driver.to("canary")
    driver.ticks(timedelta(minutes=5))
    dwell = driver.state.dwell_ms
    driver.now += timedelta(minutes=30)
    decision = driver.tick()
    assert driver.state.dwell_ms == dwell + 30_000
    assert "60 ticks missed" in decision.explanation.notes[0]


def test_a_clock_that_goes_back_counts_nothing_and_is_noted(driver: Driver) -> None:
    driver.to("canary")
    driver.ticks(timedelta(minutes=5))
    before = driver.state
    driver.now -= HOUR
    decision = driver.tick()
    assert (driver.state.dwell_ms, driver.state.waited_ms) == (before.dwell_ms, before.waited_ms)
    assert decision.explanation.notes[0].startswith("clock went back by 59m 30s")
    driver.tick()
    assert driver.state.dwell_ms == before.dwell_ms + 30_000


def test_a_stage_that_takes_too_long_goes_back_at_its_deadline(driver: Driver) -> None:
    driver.to("canary")
    poor = Measurement(value=0.80, samples=500)
    driver.ticks(timedelta(hours=6) - driver.plan.tick, candidate__accuracy=poor)
    assert driver.state.name == "canary"
    decision = driver.tick(candidate__accuracy=poor)
    assert decision.reasons == ("deadline: the stage took too long",)
    assert driver.state.share == 0


def test_a_persons_advance_takes_the_place_of_the_gate_but_not_of_the_triggers(
    driver: Driver,
) -> None:
    driver.to("canary")
    driver.command("advance", by="ann")
    failing = Measurement(value=0.2, samples=500)
    driver.tick(candidate__errors=failing)
    assert driver.state.name == "canary"
    driver.tick(candidate__accuracy=Measurement(status="no_data"))
    assert driver.state.name == "ramp-25"
    assert driver.decisions[-2].reasons == ("ann said so",)


def test_an_explanation_has_value_limit_samples_and_distance(driver: Driver) -> None:
    driver.to("canary")
    decision = driver.tick(candidate__accuracy=Measurement(value=0.83, samples=140))
    term = decision.explanation.checks[0].terms[0]
    assert (term.reference, term.operator, term.unit) == ("candidate.accuracy", ">=", "%")
    assert term.value == pytest.approx(83.0)
    assert term.limit == pytest.approx(85.0)
    assert term.distance == pytest.approx(-2.0)
    assert (term.samples, term.min_samples) == (140, 100)
    loss = next(t for t in decision.explanation.triggers if t.name == "loss")
    assert loss.terms[0].distance == pytest.approx(0.8), "how far from firing"


def test_a_trigger_about_the_candidate_says_nothing_where_the_candidate_sees_no_work() -> None:
    driver = Driver(plan_of(POLICY.replace("mirror: true, ", "")))
    driver.command("start")
    decision = driver.event(Tick({"signals.silent": GOOD["signals.silent"]}))
    assert [t.name for t in decision.explanation.triggers] == ["silent"]


def test_entering_a_state_alerts_once(driver: Driver) -> None:
    driver.to("canary")
    silent = Measurement(value=300.0, samples=1)
    driver.ticks(timedelta(minutes=3), signals__silent=silent)
    alerts = [
        e.kind
        for d in driver.decisions
        for e in d.effects
        if isinstance(e, Alert) and e.kind in ("trigger", "held")
    ]
    assert alerts == ["trigger", "held"]


def test_a_persons_word_does_not_take_the_place_of_an_acknowledged_share(driver: Driver) -> None:
    driver.acknowledges = False
    driver.command("start")
    driver.command("advance", by="ann")
    driver.ticks(timedelta(minutes=2))
    assert driver.state.name == "shadow"
    driver.event(Acknowledgement(driver.state.unacknowledged[0], ok=True, detail="read back"))
    driver.tick()
    assert driver.state.name == "canary"
