"""What people do between ticks: resume, approve, advance, apply."""

from datetime import timedelta

import pytest
from support.plans import GOOD, POLICY, T0, Driver, plan_of

from controller.core.effect import Activate, Alert, SetShare
from controller.core.measurement import Measurement
from controller.core.share import Share

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BAD = Measurement(value=0.5, samples=120)
SILENT = Measurement(value=600.0, samples=1)
FROZEN = POLICY.replace(
    "{tick: 30s}",
    "{tick: 30s, freeze: [{name: fomc, from: 2026-03-02T14:00Z, to: 2026-03-02T20:00Z}]}",
)


@pytest.fixture
def driver() -> Driver:
    return Driver(plan_of())


def shares(driver: Driver) -> list[tuple[int, int]]:
    """Share and epoch of what the last decision of a person published."""
    last = next(d for d in reversed(driver.decisions) if d.reasons)
    return [(e.share, e.epoch) for e in last.effects if isinstance(e, SetShare)]


@pytest.mark.parametrize(
    ("state", "possible"),
    [
        ("canary", "rollback, pause, advance"),
        ("canary.paused", "rollback, resume"),
        ("pending", "start"),
    ],
)
def test_a_refusal_names_everything_that_a_person_can_do_instead(state: str, possible: str) -> None:
    driver = Driver(plan_of())
    if state != "pending":
        driver.to("canary")
    if state.endswith(".paused"):
        driver.command("pause")
    assert driver.state.name == state
    refused = driver.command("approve").refused
    assert refused == f"approve is not possible in {state}; possible: {possible}"


# Approval ---------------------------------------------------------------------------------


def test_a_persons_advance_does_not_stand_for_the_approval(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.command("advance")
    decision = driver.tick()
    assert driver.state.name == "ramp-25.approval"
    assert decision.reasons == ("kim said so; approval is needed",)
    refused = driver.command("advance").refused
    assert refused == "cannot advance from ramp-25.approval: approve it"
    driver.command("approve", by="risk")
    assert driver.tick().reasons == ("kim said so", "approved by risk")
    assert driver.state.name == "ramp-50"


def test_a_word_to_advance_ends_with_the_gate(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.command("advance")
    driver.tick()
    driver.tick(candidate__errors=Measurement(value=0.2, samples=120))
    assert driver.state.name == "ramp-25"
    driver.tick()
    assert driver.state.name == "ramp-25"


@pytest.mark.parametrize("stop", ["pause", "hold"])
def test_a_word_to_advance_ends_with_a_stop(driver: Driver, stop: str) -> None:
    driver.to("canary")
    driver.command("advance")
    if stop == "pause":
        driver.command("pause")
        driver.command("resume")
    else:
        driver.tick(signals__silent=SILENT)
        assert driver.state.name == "canary.held"
        driver.tick()
    driver.tick()
    assert driver.state.name == "canary"


def test_an_approval_is_void_once_the_gate_fails(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    assert driver.state.name == "ramp-25.approval"
    driver.command("approve", by="risk")
    decision = driver.tick(candidate__accuracy=BAD)
    assert driver.state.approved_by == ()
    assert [e.title for e in decision.effects if isinstance(e, Alert)] == [
        "signal: the approval of ramp-25 is void, its gate fails"
    ]
    driver.tick()
    assert driver.state.name == "ramp-25.approval"


def test_an_approval_survives_a_look_that_knows_nothing(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    driver.command("approve", by="risk")
    driver.tick(candidate__accuracy=Measurement(status="no_data"))
    assert (driver.state.name, driver.state.approved_by) == ("ramp-25", ("risk",))


def test_a_flapping_gate_does_not_give_the_approver_another_time(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    for _ in range(2 * 60 // 2 + 2):
        driver.tick(candidate__accuracy=BAD)
        driver.ticks(2 * MINUTE)
    assert ("approval: nobody approved in time",) in [d.reasons for d in driver.decisions]


def test_waiting_for_approval_is_no_time_of_the_stage(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    waited = driver.state.waited_ms
    driver.ticks(HOUR)
    assert (driver.state.name, driver.state.waited_ms) == ("ramp-25.approval", waited)


# Resume -----------------------------------------------------------------------------------


def test_a_person_ends_a_hold_whose_total_would_never_fall() -> None:
    text = POLICY.replace("then: hold,", "then: hold, confirm: 2 in total,")
    driver = Driver(plan_of(text))
    driver.to("canary")
    driver.ticks(MINUTE, signals__silent=SILENT)
    assert driver.state.name == "canary.held"
    driver.tick()
    assert driver.state.name == "canary.held", "successes take nothing off a total"
    driver.command("resume")
    driver.tick()
    assert (driver.state.name, driver.state.firing) == ("canary", ())
    driver.tick(signals__silent=SILENT)
    assert driver.state.name == "canary", "counting begins again"


def test_successes_take_nothing_off_a_total() -> None:
    text = POLICY.replace("confirm: 3 of 5", "confirm: 2 in total")
    driver = Driver(plan_of(text))
    driver.to("canary")
    failing = Measurement(value=0.2, samples=120)
    driver.tick(candidate__errors=failing)
    driver.ticks(10 * MINUTE)
    driver.tick(candidate__errors=failing)
    assert driver.state.name.startswith("rolling_back")


# Holds ------------------------------------------------------------------------------------


def test_a_hold_escalates_however_often_a_look_passes_while_it_fires() -> None:
    text = POLICY.replace("then: hold,", "then: hold, confirm: 2 of 5,")
    driver = Driver(plan_of(text))
    driver.to("canary")
    for look in range(2 * 13):
        driver.tick(signals__silent=SILENT if look % 2 else GOOD["signals.silent"])
    assert driver.state.name.startswith("rolling_back")


def test_a_hold_escalates_while_nobody_knows_whether_it_is_over(driver: Driver) -> None:
    driver.to("canary")
    driver.tick(signals__silent=SILENT)
    driver.ticks(10 * MINUTE, signals__silent=Measurement(status="error"))
    assert driver.state.name.startswith("rolling_back")


def test_what_only_alerts_keeps_nobody_from_advancing() -> None:
    text = POLICY.replace("then: hold, escalate_after: 10m", "then: alert")
    driver = Driver(plan_of(text))
    driver.to("canary")
    driver.ticks(HOUR, signals__silent=SILENT)
    assert driver.state.name == "ramp-25"
    assert [e.kind for d in driver.decisions for e in d.effects if isinstance(e, Alert)].count(
        "trigger"
    ) == 1


# Clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", ["baseline_traffic", "verify"])
def test_a_clock_set_back_does_not_delay_the_way_back(driver: Driver, waits: str) -> None:
    driver.to("canary")
    driver.acknowledges = waits == "verify"
    driver.command("rollback")
    assert driver.state.name == f"rolling_back.{waits}"
    driver.now -= 24 * HOUR
    driver.tick()
    assert driver.state.name == f"rolling_back.{waits}"
    driver.acknowledges = True
    driver.ticks(10 * MINUTE)
    assert driver.state.name in ("cooldown", "partial")


def test_a_rule_is_not_seen_to_fail_in_a_gap() -> None:
    text = POLICY.replace("confirm: 3 of 5", "for: 5m")
    driver = Driver(plan_of(text))
    driver.to("canary")
    failing = Measurement(value=0.2, samples=120)
    driver.tick(candidate__errors=failing)
    driver.now += HOUR
    driver.tick(candidate__errors=failing)
    assert driver.state.name == "canary"
    driver.ticks(5 * MINUTE, candidate__errors=failing)
    assert driver.state.name.startswith("rolling_back")


# The frozen baseline ----------------------------------------------------------------------


def test_what_was_last_known_of_the_baseline_is_kept_for_when_it_has_no_work() -> None:
    text = POLICY.replace(
        "hold: 2h, against: frozen_baseline}",
        "hold: 2h, against: frozen_baseline, advance: [candidate.errors <= 2 * baseline.errors]}",
    )
    driver = Driver(plan_of(text))
    driver.to("ramp-50")
    driver.tick(baseline__errors=Measurement(value=0.02, samples=120))
    driver.tick(baseline__errors=Measurement(status="no_data"))
    driver.command("advance")
    driver.tick()
    driver.command("approve")
    driver.tick()
    assert driver.state.name == "watch"
    assert driver.state.frozen["baseline.errors"].value == 0.02


# Apply ------------------------------------------------------------------------------------


def test_an_applied_policy_publishes_its_share_under_a_new_epoch(driver: Driver) -> None:
    driver.to("canary")
    epoch = driver.state.epoch
    driver.plan = plan_of(POLICY.replace("weight: 5%", "weight: 4%"))
    driver.command("apply", policy=driver.plan.digest)
    assert shares(driver) == [(Share(4_000), epoch + 1)]
    assert (driver.state.share, driver.state.dwell_ms) == (Share(4_000), 0)


def test_a_policy_that_changes_no_share_is_published_all_the_same(driver: Driver) -> None:
    driver.to("canary")
    driver.ticks(MINUTE)
    dwelt = driver.state.dwell_ms
    driver.plan = plan_of(POLICY.replace("after: 6h", "after: 7h"))
    driver.command("apply", policy=driver.plan.digest)
    assert shares(driver) == [(Share(5_000), driver.state.epoch)]
    assert driver.state.dwell_ms == dwelt


def test_a_policy_that_maps_down_from_the_watch_restores_the_baselines_configuration() -> None:
    text = POLICY.replace("baseline: v1", "baseline: {version: v1, config: a.json}").replace(
        "candidate: v3", "candidate: {version: v3, config: b.json}"
    )
    driver = Driver(plan_of(text + "publish: {config: {type: config, path: live.json}}\n"))
    driver.to("watch")
    decision = driver.command("apply", policy=driver.plan.digest, state="ramp-50")
    activated = [e.version for e in decision.effects if isinstance(e, Activate)]
    assert activated == ["v1"]
    assert shares(driver) == [(Share(50_000), driver.state.epoch)]


@pytest.mark.parametrize("there", ["pending", "rolling_back", "cooldown", "rolled_back"])
def test_no_policy_leads_from_the_baseline_to_a_live_state(driver: Driver, there: str) -> None:
    if there != "pending":
        driver.to("canary")
        driver.acknowledges = there != "rolling_back"
        driver.command("rollback")
        while driver.acknowledges and driver.state.name != there:
            driver.tick()
    stood = driver.state.name
    decision = driver.command("apply", policy=driver.plan.digest, state="ramp-50")
    assert decision.refused
    assert not decision.effects
    assert (driver.state.name, driver.state.share) == (stood, 0)


def test_a_policy_may_be_applied_where_the_baseline_has_the_work(driver: Driver) -> None:
    driver.plan = plan_of(POLICY.replace("weight: 5%", "weight: 4%"))
    decision = driver.command("apply", policy=driver.plan.digest)
    assert not decision.refused
    assert (driver.state.policy, driver.state.name) == (driver.plan.digest, "pending")


def test_an_applied_policy_raises_no_share_in_a_freeze_window_and_may_lower_it(
    driver: Driver,
) -> None:
    driver.to("canary")
    driver.plan = plan_of(FROZEN)
    assert driver.now - T0 < HOUR
    rising = driver.command("apply", policy=driver.plan.digest, state="ramp-25")
    assert rising.refused == "freeze window fomc: the share does not rise now"
    falling = driver.command("apply", policy=driver.plan.digest, state="shadow")
    assert not falling.refused
    assert driver.state.share == 0


def test_an_applied_policy_raises_no_share_past_a_pause(driver: Driver) -> None:
    driver.to("canary")
    driver.command("pause")
    decision = driver.command("apply", policy=driver.plan.digest, state="ramp-25")
    assert decision.refused == "the share does not rise to 25% from canary.paused: resume first"


def test_a_policy_applied_to_the_step_of_an_approval_is_published_anew(driver: Driver) -> None:
    driver.to("ramp-25")
    driver.ticks(HOUR)
    assert driver.state.name == "ramp-25.approval"
    driver.command("apply", policy=driver.plan.digest, state="ramp-25")
    assert (driver.state.name, driver.state.dwell_ms) == ("ramp-25", 0)
    assert shares(driver) == [(Share(25_000), driver.state.epoch)]


def test_a_policy_maps_to_a_step_and_not_into_its_pause(driver: Driver) -> None:
    driver.to("canary")
    decision = driver.command("apply", policy=driver.plan.digest, state="shadow.paused")
    assert decision.refused.startswith("shadow.paused is not a stage step of the new policy")


# The lock ---------------------------------------------------------------------------------


def test_a_reset_of_partial_does_not_get_round_the_lock(driver: Driver) -> None:
    for _ in range(4):
        driver.acknowledges = True
        driver.command("start")
        driver.tick()
        driver.acknowledges = False
        driver.command("rollback")
        while driver.state.name != "partial":
            driver.tick()
        driver.command("reset")
        while driver.state.name == "cooldown":
            driver.tick()
    assert driver.state.name == "locked"
