"""The way back: triggers, the saga's steps, cooldown, lock, partial."""

from datetime import timedelta

import pytest
from support.plans import GOOD, POLICY, Driver, plan_of

from controller.core.clocks import next_due
from controller.core.decide import decide
from controller.core.effect import Activate, Alert, SetShare, Severity, Verify
from controller.core.event import Acknowledgement, Command, PolicyEdit, Tick
from controller.core.measurement import Measurement
from controller.core.share import Share

MINUTE = timedelta(minutes=1)
LOSS = Measurement(value=0.0101, samples=1)


@pytest.fixture
def driver() -> Driver:
    return Driver(plan_of())


def with_configs() -> str:
    text = POLICY.replace("baseline: v1", "baseline: {version: v1, config: a.json}").replace(
        "candidate: v3", "candidate: {version: v3, config: b.json}"
    )
    return text + "publish: {config: {type: config, path: live.json}}\n"


def test_a_hard_limit_goes_back_at_once_whatever_the_samples_and_the_dwell(
    driver: Driver,
) -> None:
    driver.to("canary")
    driver.acknowledges = False
    decision = driver.tick(candidate__drawdown=LOSS)
    assert driver.state.name == "rolling_back.baseline_traffic"
    assert decision.reasons == ("trigger loss (critical): candidate.drawdown > 1%",)
    published = [e for e in decision.effects if isinstance(e, SetShare)]
    assert [(e.share, e.epoch, e.token) for e in published] == [(Share(0), 2, driver.state.seq)]


def test_a_hard_limit_acts_between_ticks_and_other_rules_do_not(driver: Driver) -> None:
    driver.to("canary")
    bad = dict(GOOD) | {"candidate.errors": Measurement(value=0.5, samples=500)}
    counters = driver.state.counters
    assert driver.event(Tick(bad, scheduled=False)).move == ""
    assert driver.state.counters == counters
    driver.event(Tick(bad | {"candidate.drawdown": LOSS}, scheduled=False))
    assert driver.state.share == 0


def test_three_of_five_confirms_and_two_do_not(driver: Driver) -> None:
    driver.to("canary")
    bad, good = Measurement(value=0.2, samples=500), GOOD["candidate.errors"]
    for found in (bad, good, bad, good, good, bad, good, bad):
        driver.tick(candidate__errors=found)
        assert driver.state.name == "canary"
    driver.tick(candidate__errors=bad)
    assert driver.state.share == 0


@pytest.mark.parametrize("unknown", [Measurement(status="error"), Measurement(status="no_data")])
def test_what_cannot_be_measured_neither_confirms_nor_clears(
    driver: Driver, unknown: Measurement
) -> None:
    driver.to("canary")
    bad = Measurement(value=0.2, samples=500)
    for found in (bad, unknown, bad, unknown, unknown, unknown, unknown):
        driver.tick(candidate__errors=found)
        assert driver.state.name == "canary"
    driver.tick(candidate__errors=bad)
    assert driver.state.share == 0


def test_several_triggers_are_one_action_at_the_highest_severity_with_all_reasons(
    driver: Driver,
) -> None:
    driver.to("canary")
    bad = Measurement(value=0.9, samples=500)
    for _ in range(2):
        driver.tick(candidate__errors=bad)
    silent = Measurement(value=999.0, samples=1)
    driver.acknowledges = False
    decision = driver.tick(candidate__errors=bad, candidate__drawdown=LOSS, signals__silent=silent)
    assert [reason.split()[1] for reason in decision.reasons] == ["loss", "errors", "silent"]
    rollbacks = [e for e in decision.effects if isinstance(e, Alert) and e.kind == "rollback"]
    assert [e.severity for e in rollbacks] == [Severity.CRITICAL]
    assert len([e for e in decision.effects if isinstance(e, SetShare)]) == 1


def test_the_same_trigger_again_on_the_way_back_changes_nothing(driver: Driver) -> None:
    driver.to("canary")
    driver.tick(candidate__drawdown=LOSS)
    first = len(driver.state.rollbacks)
    for _ in range(5):
        driver.tick(candidate__drawdown=LOSS)
    assert len(driver.state.rollbacks) == first == 1


@pytest.mark.parametrize("where", ["shadow", "canary", "ramp-25", "ramp-50", "watch"])
@pytest.mark.parametrize("side", ["", ".paused", ".held"])
def test_every_live_state_goes_back_on_a_hard_limit_and_on_a_persons_word(
    where: str, side: str
) -> None:
    for act in ("trigger", "person"):
        driver = Driver(plan_of())
        driver.to(where)
        if side == ".paused":
            driver.command("pause")
        if side == ".held":
            driver.tick(signals__silent=Measurement(value=500.0, samples=1))
        assert driver.state.name == where + side
        if act == "person":
            driver.command("rollback", reason="enough")
        else:
            driver.tick(candidate__drawdown=LOSS)
        assert driver.state.share == 0
        assert driver.state.name == "rolling_back.verify"


def test_the_steps_come_in_order_each_after_the_acknowledgement_of_the_last() -> None:
    driver = Driver(plan_of(with_configs()))
    driver.to("canary")
    driver.acknowledges = False
    driver.command("rollback")
    share_key = driver.state.unacknowledged[0]
    driver.tick()
    assert driver.state.name == "rolling_back.baseline_traffic"
    restore = driver.event(Acknowledgement(share_key, ok=True))
    assert driver.state.name == "rolling_back.restore"
    assert [e.version for e in restore.effects if isinstance(e, Activate)] == ["v1"]
    driver.event(Acknowledgement(driver.state.unacknowledged[0], ok=True))
    assert driver.state.name == "rolling_back.verify"


def test_verified_means_read_back_after_the_declared_time(driver: Driver) -> None:
    driver.to("canary")
    driver.command("rollback")
    driver.acknowledges = False
    driver.ticks(4 * MINUTE)
    assert not driver.state.unacknowledged
    decision = driver.ticks(MINUTE)
    assert [e.share for e in decision.effects if isinstance(e, Verify)] == [Share(0)]
    driver.event(Acknowledgement(driver.state.unacknowledged[0], ok=True, detail="share 0"))
    assert driver.state.name == "cooldown"


def test_a_step_that_is_not_acknowledged_leaves_partial_and_never_success(driver: Driver) -> None:
    driver.to("canary")
    driver.acknowledges = False
    driver.command("rollback")
    lost = driver.state.unacknowledged[0]
    told = driver.event(Acknowledgement(lost, ok=False, detail="connection refused"))
    assert [e.kind for e in told.effects if isinstance(e, Alert)] == ["target"]
    driver.ticks(MINUTE)
    assert driver.state.name == "rolling_back.verify"
    assert driver.state.failed_steps == ("baseline_traffic",)
    driver.ticks(5 * MINUTE)
    driver.event(Acknowledgement(driver.state.unacknowledged[0], ok=True))
    assert driver.state.name == "partial"
    assert driver.decisions[-1].effects[-1] == Alert(
        driver.decisions[-1].effects[-1].key,
        Severity.CRITICAL,
        "partial",
        "signal is only partly rolled back: baseline_traffic",
        driver.state.reasons,
        driver.now,
    )
    driver.event(Acknowledgement(lost, ok=True, detail="late, but done"))
    assert driver.state.name == "cooldown"


def test_a_read_back_that_finds_something_else_publishes_the_baseline_once_more() -> None:
    driver = Driver(plan_of(with_configs()))
    driver.to("canary")
    driver.command("rollback")
    driver.acknowledges = False
    driver.ticks(5 * MINUTE)
    share, active = driver.state.unacknowledged
    told = driver.event(Acknowledgement(share, ok=False, detail="share 25%, not 0%"))
    again = [e for e in told.effects if not isinstance(e, Alert)]
    assert [type(e) for e in again] == [SetShare, Activate]
    assert driver.state.unacknowledged == (share, active, *(e.key for e in again))
    # One that fails in its turn, or the other read-back: nothing more, the deadline speaks.
    for key in (again[0].key, active):
        told = driver.event(Acknowledgement(key, ok=False, detail="refused"))
        assert [type(e) for e in told.effects] == [Alert]
    for key in (*driver.state.unacknowledged,):
        assert driver.state.name == "rolling_back.verify"
        driver.event(Acknowledgement(key, ok=True))
    assert driver.state.name == "cooldown"


def test_what_is_published_once_more_takes_the_place_of_what_an_earlier_step_waits_for(
    driver: Driver,
) -> None:
    """The outbox has given up the older share for the newer one: nobody will answer for it."""
    driver.to("canary")
    driver.acknowledges = False
    driver.command("rollback")
    driver.ticks(6 * MINUTE)
    assert driver.state.name == "rolling_back.verify" and driver.state.overdue
    (verify,) = driver.state.unacknowledged
    driver.event(Acknowledgement(verify, ok=False, detail="out of reach"))
    driver.ticks(2 * MINUTE)
    assert driver.state.name == "partial"
    for key in driver.state.overdue:
        driver.event(Acknowledgement(key, ok=True))
    assert driver.state.name == "cooldown"
    assert set(driver.state.failed_steps) == {"baseline_traffic", "verify"}


def test_the_next_rollback_can_put_things_right_again(driver: Driver) -> None:
    driver.to("canary")
    driver.command("rollback")
    driver.acknowledges = False
    driver.ticks(5 * MINUTE)
    driver.event(Acknowledgement(driver.state.unacknowledged[0], ok=False))
    assert driver.state.put_right
    for key in driver.state.unacknowledged:
        driver.event(Acknowledgement(key, ok=True))
    driver.acknowledges = True
    driver.ticks(120 * MINUTE)
    driver.to("canary")
    driver.command("rollback")
    assert not driver.state.put_right


def test_a_verify_that_was_slept_through_still_gets_its_time(driver: Driver) -> None:
    driver.to("canary")
    driver.command("rollback")
    driver.now += timedelta(hours=3)
    driver.tick()
    assert driver.state.name == "cooldown"
    assert driver.state.failed_steps == ()


def test_the_cooldown_refuses_a_start_and_then_a_person_starts_at_the_declared_stage(
    driver: Driver,
) -> None:
    driver.to("ramp-25")
    driver.command("rollback")
    driver.ticks(6 * MINUTE)
    assert driver.state.name == "cooldown"
    assert "start is not possible in cooldown until" in driver.command("start").refused
    driver.ticks(61 * MINUTE)
    assert driver.state.name == "rolled_back"
    assert driver.state.reasons == ("cooldown of 1h is over",)
    driver.command("start", by="ann")
    assert driver.state.name == "canary"


def test_the_fourth_rollback_still_goes_back_and_locks_the_next_start(driver: Driver) -> None:
    for number in range(4):
        driver.to("canary") if number == 0 else driver.command("start")
        assert driver.state.name == "canary"
        driver.command("rollback")
        assert driver.state.share == 0
        driver.ticks(70 * MINUTE)
    assert driver.state.name == "locked"
    assert "possible: reset" in driver.command("start").refused
    driver.command("reset", by="head-of-risk")
    assert driver.state.name == "rolled_back"


def test_a_rollback_after_completion_takes_the_same_way(driver: Driver) -> None:
    driver.to("watch")
    driver.ticks(timedelta(hours=2))
    assert driver.state.name == "completed"
    driver.command("rollback", reason="second thoughts")
    assert (driver.state.share, driver.state.name) == (Share(0), "rolling_back.verify")


def test_a_rollback_of_what_is_back_already_is_refused_and_changes_nothing(
    driver: Driver,
) -> None:
    driver.to("canary")
    driver.command("rollback")
    before = driver.state
    decision = driver.command("rollback")
    assert decision.refused.startswith("already on the way back")
    assert driver.state.rollbacks == before.rollbacks


def test_a_safe_edit_takes_over_where_the_rollout_stands(driver: Driver) -> None:
    driver.to("canary")
    tighter = plan_of(POLICY.replace("85%", "90%"))
    driver.plan = tighter
    decision = driver.event(PolicyEdit(tighter.digest, ("accuracy limit 85% to 90%",)))
    assert (driver.state.name, driver.state.policy) == ("canary", tighter.digest)
    assert decision.reasons == ("policy: accuracy limit 85% to 90%",)


def test_a_safe_edit_that_clients_read_is_published_with_the_share_it_has(driver: Driver) -> None:
    driver.to("canary")
    event = PolicyEdit(driver.plan.digest, ("transition.blend.limits.account",), published=True)
    before, decision = driver.state, driver.event(event)
    (effect,) = decision.effects
    assert isinstance(effect, SetShare)
    assert (effect.share, effect.epoch) == (before.share, before.epoch)
    assert effect.token > before.seq
    assert effect.key in decision.state.unacknowledged


@pytest.mark.parametrize("published", [False, True])
def test_an_edit_of_what_is_back_publishes_nothing(driver: Driver, published: bool) -> None:
    driver.to("canary")
    driver.command("rollback")
    assert driver.event(PolicyEdit(driver.plan.digest, (), published)).effects == ()


def test_an_applied_policy_says_which_state_it_maps_to(driver: Driver) -> None:
    driver.to("canary")
    changed = plan_of(
        POLICY.replace("name: canary", "name: tiny").replace("restart: canary", "restart: tiny")
    )
    with pytest.raises(ValueError, match="no state 'canary'"):
        decide(changed, driver.state, Tick({}), driver.now)
    driver.plan = changed
    refused = driver.command("apply", policy=changed.digest)
    assert "canary is not a stage step" in refused.refused
    driver.command("apply", policy=changed.digest, state="tiny")
    assert driver.state.name == "tiny"


def test_rest_is_not_ticked_and_everything_else_is(driver: Driver) -> None:
    assert next_due(driver.plan, driver.state, driver.now) is None
    driver.command("start")
    due = next_due(driver.plan, driver.state, driver.now)
    assert due == driver.now + driver.plan.tick
    late = driver.now + 7.5 * driver.plan.tick
    assert next_due(driver.plan, driver.state, late) == driver.now + 8 * driver.plan.tick
    driver.command("rollback")
    assert next_due(driver.plan, driver.state, driver.now) is not None


def test_a_person_is_named_in_the_reasons_of_every_act(driver: Driver) -> None:
    driver.to("canary")
    acts: list[Command] = [Command("pause", "ann", "look"), Command("resume", "bob")]
    for act in acts:
        assert act.by in driver.event(act).reasons[0]
