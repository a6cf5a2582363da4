"""What is counted is told: explanations, reasons and the journal speak of counts and dry runs."""

import io
from datetime import timedelta

from rich.console import Console
from support.plans import POLICY, Driver, plan_of

from controller.cli.render.explain import explain_screen
from controller.core.assess import span
from controller.core.decision import RuleResult
from controller.core.effect import Alert
from controller.core.event import PolicyEdit, Tick
from controller.core.measurement import Measurement, Outcome

MINUTE = timedelta(minutes=1)
BAD = Measurement(value=0.2, samples=500)
NO_DATA = Measurement(status="no_data", detail="nothing came")
ERRORS = "severity: high, confirm: 3 of 5}"
TRIAL = POLICY.replace(
    "value: ratio(failed), window", "value: ratio(failed), dry_run: true, window"
)


def canary(text: str) -> Driver:
    driver = Driver(plan_of(text))
    driver.to("canary")
    return driver


def errors(driver: Driver) -> RuleResult:
    """What the last explanation says of the trigger."""
    told = driver.decisions[-1].explanation
    (found,) = [result for result in told.triggers if result.name == "errors"]
    return found


def test_an_explanation_says_how_far_each_count_has_come() -> None:
    for confirm, count in (
        ("confirm: 3 of 5", "2 of 3 in 5"),
        ("confirm: 3 in a row", "2 of 3 in a row"),
        ("confirm: 3 in total", "2 of 3 in total"),
        ("for: 5m", "30s of 5m"),
    ):
        driver = canary(POLICY.replace(ERRORS, f"severity: high, {confirm}}}"))
        driver.ticks(MINUTE, candidate__errors=BAD)
        assert (errors(driver).outcome, errors(driver).count) == (Outcome.FAIL, count)


def test_time_that_was_not_measured_is_not_time_for_which_it_held() -> None:
    driver = canary(POLICY.replace(ERRORS, "severity: high, for: 5m}"))
    driver.ticks(3 * MINUTE, candidate__errors=BAD)
    driver.ticks(60 * MINUTE, candidate__errors=NO_DATA)
    assert (errors(driver).outcome, errors(driver).count) == (Outcome.NO_DATA, "3m of 5m")
    driver.ticks(2 * MINUTE, candidate__errors=BAD)
    assert driver.state.name == "canary"
    driver.tick(candidate__errors=BAD)
    assert driver.state.share == 0


def test_a_trigger_that_fires_for_want_of_a_measurement_says_so_in_reason_and_alert() -> None:
    unknown = "unknown: {no_data: {fail_after: 10m}}"
    driver = canary(POLICY.replace(ERRORS, f"severity: high, confirm: 3 of 5, {unknown}}}"))
    driver.ticks(10 * MINUTE, candidate__errors=NO_DATA)
    assert errors(driver).count == "not measured for 9m 30s, fails at 10m"
    driver.acknowledges = False
    decision = driver.tick(candidate__errors=NO_DATA)
    words = "candidate.errors > 10%, not measured for 10m"
    assert decision.reasons == (f"trigger errors (high): {words}",)
    alerts = [effect for effect in decision.effects if isinstance(effect, Alert)]
    assert [alert.title for alert in alerts if alert.kind == "trigger"] == [f"errors: {words}"]


def test_a_measured_look_ends_the_failure_for_want_of_one() -> None:
    text = POLICY.replace(
        ERRORS, "severity: medium, escalate_after: 1h, unknown: {error: {fail_after: 2m}}}"
    )
    driver = canary(text)
    driver.ticks(3 * MINUTE, candidate__errors=Measurement(status="error"))
    assert driver.state.name == "canary.held"
    driver.tick()
    assert (driver.state.name, driver.state.firing) == ("canary", ())
    assert "errors" not in driver.state.counters


def test_a_clear_level_is_told_while_the_trigger_fires() -> None:
    clear = "severity: medium, escalate_after: 1h, clear: candidate.errors < 5%}"
    driver = canary(POLICY.replace(ERRORS, clear))
    driver.tick(candidate__errors=BAD)
    assert errors(driver).count == "until candidate.errors < 5%"
    driver.tick(candidate__errors=Measurement(value=0.07, samples=500))
    assert (errors(driver).outcome, errors(driver).firing) == (Outcome.PASS, True)
    assert "trigger errors: firing" in driver.decisions[-1].explanation.blockers


def test_what_a_dry_run_would_have_done_is_in_the_journal_and_stays_told() -> None:
    driver = canary(TRIAL)
    for _ in range(2):
        decision = driver.tick(candidate__errors=BAD)
        assert (decision.reasons, driver.state.would_have) == ((), {})
    decision = driver.tick(candidate__errors=BAD)
    first = driver.now
    assert (decision.move, decision.effects) == ("", ())
    assert decision.reasons == (
        "dry run: trigger errors (high): candidate.errors > 10% would have rolled back",
    )
    assert errors(driver).dry_run and errors(driver).firing
    driver.ticks(30 * MINUTE)
    driver.ticks(3 * MINUTE, candidate__errors=BAD)
    assert driver.state.would_have == {"errors": first}, "the first time is kept"
    told = driver.decisions[-1].explanation.would_have
    assert told == (f"trigger errors would have rolled back at {first:%Y-%m-%d %H:%M:%S} UTC",)
    shown = io.StringIO()
    screen = explain_screen(9, Tick({}), driver.state, driver.decisions[-1], local=False)
    Console(file=shown, width=120).print(screen)
    assert f"dry run: {told[0]}" in shown.getvalue()
    assert driver.state.name == "canary"
    driver.command("rollback")
    assert driver.decisions[-1].explanation.would_have == told
    driver.ticks(120 * MINUTE)
    driver.command("start")
    assert driver.state.would_have == {}


def test_an_approval_outlives_a_dry_run_that_fails() -> None:
    driver = Driver(plan_of(TRIAL))
    driver.to("ramp-25")
    driver.ticks(60 * MINUTE)
    assert driver.state.name == "ramp-25.approval"
    driver.tick(candidate__errors=BAD)
    assert driver.state.name == "ramp-25.approval"


def test_an_edit_counts_checks_afresh_and_triggers_on() -> None:
    gate = "{check: candidate.errors <= 5%, confirm: 300 in a row}]"
    plan = plan_of(POLICY.replace("candidate.errors <= 5%]", gate))
    driver = Driver(plan)
    driver.to("canary")
    driver.tick()
    driver.tick(candidate__errors=BAD)
    driver.tick()
    assert {"canary[1]", "errors"} == set(driver.state.counters)
    driver.event(PolicyEdit(plan.digest, ("owner: desk",)))
    assert set(driver.state.counters) == {"errors"}


def test_a_clock_that_is_set_does_not_make_the_unmeasured_time_longer() -> None:
    unknown = "unknown: {no_data: {fail_after: 10m}}"
    driver = canary(POLICY.replace(ERRORS, f"severity: high, {unknown}}}"))
    driver.ticks(5 * MINUTE, candidate__errors=NO_DATA)
    before = errors(driver).count
    driver.now -= timedelta(hours=1)
    driver.event(PolicyEdit(driver.plan.digest, ()))
    since = driver.state.counters["errors"].unmeasured
    assert since is not None
    lasted = span((driver.now - since) // timedelta(milliseconds=1))
    assert before == f"not measured for {lasted}, fails at 10m"
