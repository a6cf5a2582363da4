"""A target that no longer serves what it had acknowledged."""

from datetime import timedelta

import pytest
from support.plans import POLICY, Driver, plan_of

from controller.core.effect import Alert, SetShare, Severity
from controller.core.event import Acknowledgement, Drift
from controller.core.share import Share

BALANCER = """
publish:
  share: {type: file, path: s.json}
  balancer: {type: haproxy, socket: /s, backend: b, baseline: [a], candidate: [c]}
"""


@pytest.fixture
def driver() -> Driver:
    driver = Driver(plan_of(POLICY + BALANCER))
    driver.to("canary")
    return driver


def drift(driver: Driver, **changes: object) -> Drift:
    state = driver.state
    said = {"target": "balancer", "share": state.share, "epoch": state.epoch, "detail": "restarted"}
    return Drift(**(said | changes))  # type: ignore[arg-type]


def test_it_is_told_loudly_and_published_again_there_alone(driver: Driver) -> None:
    driver.acknowledges = False
    decision = driver.event(drift(driver))
    alert, published = decision.effects
    assert isinstance(alert, Alert) and isinstance(published, SetShare)
    assert (alert.severity, alert.kind, alert.reasons) == (Severity.HIGH, "drift", ("restarted",))
    assert alert.title == "balancer no longer shows 5% of signal: published again"
    assert (published.target, published.share, published.mirror) == (
        "balancer",
        Share(5_000),
        False,
    )
    assert published.token == decision.state.seq
    assert decision.state.unacknowledged == (published.key,)


def test_a_mirror_is_published_again_as_one(driver: Driver) -> None:
    driver = Driver(driver.plan)
    driver.to("shadow")
    (_, published) = driver.event(drift(driver)).effects
    assert isinstance(published, SetShare) and published.mirror


def test_nothing_dwells_and_the_split_is_not_judged_until_it_is_shown(driver: Driver) -> None:
    driver.ticks(timedelta(minutes=10))
    dwelt = driver.state.dwell_ms
    driver.acknowledges = False
    driver.event(drift(driver))
    assert driver.state.split_since is None
    driver.ticks(timedelta(minutes=10))
    assert driver.state.dwell_ms == dwelt
    driver.acknowledges = True
    (key,) = driver.state.unacknowledged
    driver.event(Acknowledgement(key, ok=True))
    assert driver.state.split_since == driver.now
    driver.tick()
    assert driver.state.dwell_ms > dwelt


@pytest.mark.parametrize(
    "changes",
    [{"share": Share(0)}, {"epoch": 0}, {"target": "gone"}],
    ids=["another share", "an epoch before", "a target that is none"],
)
def test_late_news_changes_nothing(driver: Driver, changes: dict[str, object]) -> None:
    decision = driver.event(drift(driver, **changes))
    assert decision.effects == () and decision.state.unacknowledged == ()
    assert decision.explanation.notes == ("late: nothing is changed by it",)


def test_what_is_still_being_told_is_not_told_twice(driver: Driver) -> None:
    driver.acknowledges = False
    driver.event(drift(driver))
    assert driver.event(drift(driver)).effects == ()


def test_it_never_stands_in_the_way_of_the_way_back(driver: Driver) -> None:
    late = drift(driver)
    driver.acknowledges = False
    driver.command("rollback")
    assert driver.event(late).effects == ()
    assert driver.state.name == "rolling_back.baseline_traffic"
    assert driver.event(drift(driver)).effects == ()


def test_in_the_cooldown_the_baseline_is_published_again_and_it_ends_all_the_same(
    driver: Driver,
) -> None:
    driver.command("rollback")
    driver.ticks(timedelta(minutes=10))
    assert driver.state.name == "cooldown"
    (_, published) = driver.event(drift(driver)).effects
    assert isinstance(published, SetShare) and published.share == 0
    assert driver.state.name == "cooldown" and driver.state.unacknowledged == ()
    driver.ticks(timedelta(hours=2))
    assert driver.state.name == "rolled_back"


def test_a_paused_rollout_is_put_right_too(driver: Driver) -> None:
    driver.command("pause")
    (_, published) = driver.event(drift(driver)).effects
    assert isinstance(published, SetShare) and published.share == 5_000
    assert driver.state.name == "canary.paused"
