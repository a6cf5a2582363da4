"""How far a rollout is and when it will be done: what is foretold is what comes, at the earliest
when nothing holds it and at the latest when everything does."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.parameters import POLICY as WITH_PARAMETERS
from support.parameters import plan_of as plan_with_parameters
from support.parameters import write_files
from support.plans import GOOD, POLICY, T0, Driver, plan_of

from controller.core.calendar import Sessions
from controller.core.completion import Standing, left, standing
from controller.core.measurement import Measurement
from controller.core.plan import Plan
from controller.core.state import COMPLETED, State

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ALONE = POLICY.replace("    approval: {by: risk, within: 2h, else: rollback}\n", "")
PARAMETERS_GOOD = {"candidate.accuracy": Measurement(value=0.9, samples=200)}


def where(driver: Driver) -> Standing:
    found = standing(driver.plan, driver.state, driver.now)
    assert found is not None
    return found


def test_from_the_start_the_holds_are_the_earliest_and_deadlines_with_approvals_the_latest() -> (
    None
):
    found = left(plan_of(), None, T0)
    assert found.earliest == T0 + timedelta(hours=5, minutes=10)
    assert found.latest == T0 + timedelta(hours=0.5 + 6 + 2 * (8 + 2) + 6)
    assert (found.earliest_ms, found.latest_ms) == (18_600_000, 117_000_000)


def test_a_rollout_that_nothing_holds_is_done_at_the_earliest_end_that_was_foretold() -> None:
    driver = Driver(plan_of(ALONE))
    driver.command("start")
    foretold = []
    while driver.state.name != COMPLETED:
        foretold.append(where(driver).left)
        driver.tick()
    assert {each.earliest for each in foretold} == {driver.now}
    assert all(each.latest is not None and each.latest > driver.now for each in foretold)
    assert foretold[-1].earliest_ms == 30_000


@settings(deadline=None, max_examples=20)
@given(lost=st.lists(st.integers(0, 900), max_size=6))
def test_the_earliest_end_never_comes_nearer_and_the_latest_is_never_passed(
    lost: list[int],
) -> None:
    """At some looks nothing is measured, so that it is held."""
    driver = Driver(plan_of(ALONE))
    driver.command("start")
    first, earliest = where(driver).left, T0
    for look in range(2_000):
        found = standing(driver.plan, driver.state, driver.now)
        if found is None:
            break
        assert found.left.earliest is not None
        assert found.left.earliest >= earliest
        earliest = found.left.earliest
        driver.tick({"candidate.accuracy": Measurement()} if look in lost else None)
    assert first.latest is not None
    assert driver.now <= first.latest + len(driver.plan.steps) * driver.plan.tick


def test_a_gate_that_never_passes_is_on_its_way_back_at_the_latest_end_of_its_step() -> None:
    driver = Driver(plan_of(ALONE))
    driver.to("canary")
    rest = sum((timedelta(hours=hours) for hours in (8, 8, 6)), timedelta(0))
    latest = where(driver).left.latest
    assert latest is not None
    poor = GOOD | {"candidate.accuracy": Measurement(value=0.8, samples=120)}
    while driver.state.name == "canary":
        last = where(driver).left
        driver.tick(poor)
    assert driver.state.name.startswith("rolling_back")
    assert driver.now == latest - rest
    assert last.latest == latest


def test_phase_and_whole_are_told_by_the_holds_of_their_steps() -> None:
    driver = Driver(plan_of(ALONE))
    driver.to("ramp-50")
    driver.ticks(30 * MINUTE)
    found = where(driver)
    assert (found.phase, found.number, found.of) == ("ramp", 3, 4)
    assert (found.phase_done_ms, found.phase_ms) == (5_400_000, 7_200_000)
    assert (found.done_ms, found.all_ms) == (9_600_000, 18_600_000)


def test_a_hold_that_is_over_counts_no_further() -> None:
    driver = Driver(plan_of(ALONE))
    driver.to("canary")
    poor = Measurement(value=0.8, samples=120)
    driver.ticks(2 * HOUR, candidate__accuracy=poor)
    assert where(driver).phase_done_ms == 3_600_000
    assert where(driver).left.earliest == driver.now + 4 * HOUR


def test_paused_it_has_no_latest_end_and_the_earliest_moves_on_with_time() -> None:
    driver = Driver(plan_of(ALONE))
    driver.to("canary")
    driver.command("pause")
    driver.ticks(HOUR)
    found = where(driver).left
    assert (found.latest, found.latest_ms) == (None, None)
    assert "paused" in found.unending
    assert found.earliest == driver.now + 5 * HOUR


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("deadline: {after: 6h}", "deadline: {after: 6h, then: pause}", "canary pauses"),
        ("within: 2h, else: rollback", "within: 2h, else: pause", "ramp-25 pauses"),
    ],
)
def test_where_silence_pauses_nothing_ends_it_by_itself(old: str, new: str, why: str) -> None:
    found = left(plan_of(POLICY.replace(old, new)), None, T0)
    assert (found.latest, found.latest_ms) == (None, None)
    assert found.unending.startswith(why)
    assert found.earliest == T0 + timedelta(hours=5, minutes=10)


def test_a_person_who_says_advance_takes_the_place_of_the_hold() -> None:
    driver = Driver(plan_of(ALONE))
    driver.to("canary")
    driver.command("advance")
    assert where(driver).left.earliest == driver.now + 4 * HOUR


def test_a_freeze_window_that_a_hold_ends_in_is_waited_for() -> None:
    freeze = "freeze: [{name: fomc, from: 2026-03-02T15:00:00Z, to: 2026-03-02T17:00:00Z}, " \
             "{name: after, from: 2026-03-02T17:00:00Z, to: 2026-03-02T17:30:00Z}]"  # fmt: skip
    driver = Driver(plan_of(ALONE.replace("tick: 30s", f"tick: 30s, {freeze}")))
    driver.command("start")
    # shadow until 14:40, canary until 15:40, which is frozen until 17:30; then four hours
    assert where(driver).left.earliest == datetime(2026, 3, 2, 21, 30, tzinfo=T0.tzinfo)
    while driver.state.name != COMPLETED:
        driver.tick()
    assert driver.now == datetime(2026, 3, 2, 21, 30, tzinfo=T0.tzinfo)


def test_closed_time_counts_for_neither_end() -> None:
    days = tuple((T0 + n * 24 * HOUR, T0 + n * 24 * HOUR + 4 * HOUR) for n in range(30))
    found = left(plan_of(ALONE, Sessions("desk", days)), None, T0)
    assert found.earliest == T0 + timedelta(days=1, hours=1, minutes=10)
    assert found.latest == T0 + timedelta(days=7, minutes=30)  # 28h 30m


def test_past_the_end_of_the_calendar_nobody_can_tell_the_moment() -> None:
    found = left(plan_of(ALONE, Sessions("desk", ((T0, T0 + HOUR),))), None, T0)
    assert (found.earliest, found.latest) == (None, None)
    assert found.earliest_ms == 18_600_000


def with_parameters(directory: Path, hold: str) -> Plan:
    text = WITH_PARAMETERS.replace("mirror: true, hold: 1h", f"mirror: true, hold: {hold}")
    return plan_with_parameters(text, write_files(directory))


@pytest.mark.parametrize("hold", ["30m", "1h", "2h"])
def test_parameters_that_need_longer_than_their_stage_holds_are_waited_for(
    tmp_path: Path, hold: str
) -> None:
    driver = Driver(with_parameters(tmp_path, hold))
    driver.command("start")
    driver.tick(PARAMETERS_GOOD)
    foretold = where(driver).left.earliest
    while driver.state.name != COMPLETED:
        driver.tick(PARAMETERS_GOOD)
    assert foretold is not None
    # the last vector is asked for at a look and acknowledged by the next
    assert timedelta(0) <= driver.now - foretold <= driver.plan.tick
    assert foretold >= T0 + (5 if hold == "2h" else 4) * HOUR


def test_what_was_not_watched_counts_as_one_look() -> None:
    driver = Driver(plan_of(ALONE))
    driver.to("canary")
    rest = 5 * HOUR
    assert driver.state.at is not None
    soon = standing(driver.plan, driver.state, driver.state.at + MINUTE)
    late = standing(driver.plan, driver.state, driver.state.at + HOUR)
    assert soon is not None
    assert late is not None
    assert soon.left.earliest == driver.state.at + rest
    assert late.left.earliest == driver.state.at + HOUR - driver.plan.tick + rest


@pytest.mark.parametrize(
    "name", ["pending", "rolling_back.verify", "cooldown", "rolled_back", "completed"]
)
def test_what_is_not_on_its_way_forward_has_no_end_to_tell(name: str) -> None:
    plan = plan_of()
    state = State(rollout=plan.rollout, policy=plan.digest, name=name, at=T0)
    assert standing(plan, state, T0) is None
