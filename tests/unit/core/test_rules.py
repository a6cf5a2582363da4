"""What counts as a measurement: how old it may be, and of how many observations."""

from datetime import timedelta

import pytest
from support.plans import GOOD, POLICY, Driver, plan_of

from controller.core.compiler import MAX_AGE
from controller.core.measurement import Contrast, Measurement, Outcome, Side

MINUTE = timedelta(minutes=1)
DAILY = POLICY.replace(
    "advance: [candidate.accuracy >= 85%, candidate.errors <= 5%]",
    "advance: [candidate.drawdown <= 1%]",
)


def of_age(driver: Driver, age: timedelta, value: float = 0.002) -> Measurement:
    return Measurement(value=value, samples=120, as_of=driver.now + driver.plan.tick - age)


def test_over_a_rollout_or_session_too_something_must_be_new() -> None:
    driver = Driver(plan_of(DAILY))
    driver.to("canary")
    driver.ticks(timedelta(minutes=59))
    driver.tick(candidate__drawdown=of_age(driver, MAX_AGE + timedelta(milliseconds=1)))
    decision = driver.tick(candidate__drawdown=of_age(driver, MAX_AGE + MINUTE))
    assert driver.state.name == "canary"
    assert any("no data, late" in line for line in decision.explanation.blockers)
    driver.tick(candidate__drawdown=of_age(driver, MAX_AGE))
    assert driver.state.name == "ramp-25"


def test_how_old_a_measurement_may_be_is_declared() -> None:
    declared = "window: rollout, max_age: 5m, capital"
    driver = Driver(plan_of(DAILY.replace("window: rollout, capital", declared)))
    driver.to("canary")
    driver.ticks(timedelta(minutes=59))
    driver.tick(candidate__drawdown=of_age(driver, 6 * MINUTE))
    driver.tick(candidate__drawdown=of_age(driver, 6 * MINUTE))
    assert driver.state.name == "canary"
    driver.tick(candidate__drawdown=of_age(driver, 5 * MINUTE))
    assert driver.state.name == "ramp-25"


@pytest.mark.parametrize(("age", "outcome"), [(5, Outcome.PASS), (6, Outcome.NO_DATA)])
def test_a_comparison_of_what_is_late_is_none(age: int, outcome: Outcome) -> None:
    text = POLICY.replace(
        "advance: [candidate.accuracy >= 85%, candidate.errors <= 5%]",
        "advance: ['not_worse(accuracy, margin: 2%)']",
    )
    driver = Driver(plan_of(text))
    step = driver.plan.by_name["canary"]
    side = Side(0.9, 120, 1e-6, 1e-8)
    found = Measurement(
        value=0.01, samples=120, contrast=Contrast(side, side), as_of=driver.now - age * MINUTE
    )
    assert step.checks[0].evaluate({"difference.accuracy": found}, driver.now)[0] is outcome


def test_a_money_limit_needs_no_samples_even_where_its_metric_asks_for_some() -> None:
    text = POLICY.replace("window: rollout, capital", "window: rollout, min_samples: 100, capital")
    driver = Driver(plan_of(text))
    driver.to("canary")
    driver.tick(candidate__drawdown=Measurement(value=0.02, samples=1))
    assert driver.state.name.startswith("rolling_back")


def test_a_money_limit_that_asks_for_samples_itself_gets_them() -> None:
    text = POLICY.replace("severity: critical}", "severity: critical, min_samples: 10}")
    driver = Driver(plan_of(text))
    driver.to("canary")
    driver.tick(candidate__drawdown=Measurement(value=0.02, samples=9))
    assert driver.state.name == "canary"
    driver.tick(candidate__drawdown=Measurement(value=0.02, samples=10))
    assert driver.state.name.startswith("rolling_back")


def test_a_share_of_few_observations_is_no_hard_limit() -> None:
    text = POLICY.replace("severity: high, confirm: 3 of 5}", "severity: critical}")
    driver = Driver(plan_of(text))
    driver.to("canary")
    driver.tick(candidate__errors=Measurement(value=1.0, samples=1))
    assert driver.state.name == "canary"
    assert GOOD["candidate.errors"].samples == 120
