"""The handover in the core: one phase after the other, nobody left waiting, and one writer whatever
happens."""

from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.handover import POLICY
from support.plans import Driver, plan_of

import controller.core.decide as deciding
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.effect import HandOver, Phase, SetShare
from controller.core.event import Acknowledgement, Event, Tick
from controller.core.explain import explanation
from controller.core.measurement import Measurement
from controller.core.state import State
from controller.policy.change import classify
from controller.policy.load import load_text

GOOD = {"candidate.accuracy": Measurement(value=0.9, samples=200)}
BAD = {"candidate.accuracy": Measurement(value=0.4, samples=200)}
FORWARD = ["warm", "copy", "agree", "fence", "write"]


class Deaf(Driver):
    """Acknowledges everything but some phases."""

    deaf: tuple[Phase, ...] = ()

    def event(self, event: Event) -> Decision:
        self.acknowledges = False
        decision = super().event(event)
        for effect in decision.effects:
            if isinstance(effect, HandOver) and effect.phase in self.deaf:
                continue
            if self.state.awaits(effect.key):
                self.event(Acknowledgement(effect.key, ok=True, detail="read back"))
        return decision

    def hears(self) -> None:
        """What was outstanding is acknowledged."""
        self.deaf = ()
        assert self.state.handover is not None
        self.event(Acknowledgement(self.state.handover.key, ok=True))


def driver_of(text: str = POLICY, *deaf: Phase) -> Deaf:
    driver = Deaf(plan_of(text))
    driver.deaf = deaf
    driver.command("start")
    return driver


def told(driver: Driver) -> list[HandOver]:
    """Every phase so far."""
    return [e for one in driver.decisions for e in one.effects if isinstance(e, HandOver)]


def phases(driver: Driver) -> list[str]:
    return [effect.phase.value for effect in told(driver)]


def ticks(driver: Driver, count: int) -> None:
    for _ in range(count):
        driver.tick(GOOD)


def test_the_candidate_warms_up_from_the_start_and_takes_over_in_its_stage() -> None:
    driver = driver_of()
    ticks(driver, 20)
    assert (driver.state.name, phases(driver)) == ("handover", ["warm"])
    ticks(driver, 1)
    assert phases(driver) == FORWARD
    ticks(driver, 200)
    assert driver.state.name == "completed"
    assert phases(driver) == [*FORWARD, "retire"]


def test_tokens_of_the_phases_rise() -> None:
    driver = driver_of()
    ticks(driver, 220)
    driver.command("rollback")
    fences = [(effect.epoch, effect.token) for effect in told(driver)]
    assert fences == sorted(set(fences))


def test_a_stage_is_not_left_before_the_candidate_writes_not_even_by_a_persons_word() -> None:
    driver = driver_of(POLICY, Phase.WARM)
    ticks(driver, 100)
    driver.command("advance")
    ticks(driver, 5)
    assert driver.state.name == "handover"
    blockers = explanation(driver.plan, driver.state, driver.now, GOOD).blockers
    assert "handover: engine-3 is warming up, for 52m 30s" in blockers
    driver.hears()
    ticks(driver, 1)
    assert driver.state.name == "watch"


def test_targets_that_agree_within_the_ticks_need_no_ramp() -> None:
    driver = driver_of(POLICY, Phase.AGREE)
    ticks(driver, 21 + 19)
    assert phases(driver) == ["warm", "copy", "agree"]
    driver.hears()
    assert phases(driver) == FORWARD
    assert not any(effect.ramps for effect in told(driver))


def test_targets_that_do_not_agree_in_so_many_ticks_are_ramped() -> None:
    driver = driver_of(POLICY, Phase.AGREE)
    ticks(driver, 21 + 19)
    assert phases(driver)[-1] == "agree"
    ticks(driver, 1)
    assert phases(driver) == FORWARD
    assert [effect.ramps for effect in told(driver)] == [False, False, False, True, True]


def test_without_an_agreement_it_goes_back_where_the_policy_says_so() -> None:
    text = POLICY.replace("within: 20 ticks\n    ramp: 10m", "within: 10m\n    else: rollback")
    driver = driver_of(text, Phase.AGREE)
    ticks(driver, 21 + 19)
    decision = driver.tick(GOOD)
    assert decision.reasons == (
        "handover: both targets have to agree, for 10m of 10m, then rollback",
    )
    assert phases(driver)[-1] == "back"


def test_a_new_writer_always_ramps_where_positions_converge() -> None:
    text = POLICY.replace("within: 20 ticks", "when: ready\n    position: {mode: converge}")
    driver = driver_of(text)
    ticks(driver, 21)
    assert phases(driver) == ["warm", "copy", "fence", "write"]
    assert all(effect.ramps for effect in told(driver))


DRAIN = "position: {mode: drain, within: 10m, else: flatten}"


def closing(mode: str) -> str:
    return POLICY.replace("within: 20 ticks\n    ramp: 10m", mode)


def test_a_position_is_drained_before_the_fence() -> None:
    driver = driver_of(closing(DRAIN))
    ticks(driver, 21)
    assert phases(driver) == ["warm", "copy", "drain", "fence", "write"]


def test_a_drain_that_takes_too_long_is_closed_or_goes_back() -> None:
    driver = driver_of(closing(DRAIN), Phase.DRAIN)
    ticks(driver, 21 + 20)
    assert phases(driver) == ["warm", "copy", "drain", "flatten", "fence", "write"]
    driver = driver_of(closing(DRAIN), Phase.DRAIN, Phase.FLATTEN)
    ticks(driver, 21 + 40)
    assert phases(driver)[-1] == "back"
    driver = driver_of(closing(DRAIN.replace(", else: flatten", "")), Phase.DRAIN)
    ticks(driver, 21 + 20)
    assert phases(driver) == ["warm", "copy", "drain", "back"]


@pytest.mark.parametrize("phase", [Phase.COPY, Phase.FENCE, Phase.WRITE])
def test_silence_where_no_market_is_waited_for_goes_back(phase: Phase) -> None:
    driver = driver_of(POLICY, phase)
    ticks(driver, 21 + 1)
    assert driver.state.name == "handover"
    decision = driver.tick(GOOD)
    assert driver.state.name == "rolling_back.verify"
    assert decision.reasons[0].startswith("handover: ")
    assert phases(driver)[-1] == "back"


@pytest.mark.parametrize("phase", [*Phase][:3])
def test_while_paused_nothing_begins_and_an_agreement_is_asked_for_again(phase: Phase) -> None:
    driver = driver_of(POLICY, phase)
    ticks(driver, 21)
    driver.command("pause")
    driver.hears()
    before = phases(driver)
    ticks(driver, 100)
    assert phases(driver) == before
    driver.command("resume")
    ticks(driver, 1)
    again = ["agree"] if phase is Phase.AGREE else []
    assert phases(driver)[len(before) :] == [*again, *FORWARD[FORWARD.index(phase) + 1 :]]


def test_an_agreement_that_is_asked_for_again_has_the_time_that_is_left() -> None:
    driver = driver_of(POLICY, Phase.AGREE)
    ticks(driver, 21 + 15)
    driver.command("pause")
    assert driver.state.handover is not None
    driver.event(Acknowledgement(driver.state.handover.key, ok=True))
    ticks(driver, 50)
    driver.command("resume")
    ticks(driver, 1)
    assert phases(driver) == ["warm", "copy", "agree", "agree"]
    ticks(driver, 4)
    assert phases(driver)[-1] == "agree"
    ticks(driver, 1)
    assert phases(driver)[-2:] == ["fence", "write"]


def test_paused_time_is_no_time_to_agree() -> None:
    driver = driver_of(POLICY, Phase.AGREE)
    ticks(driver, 21 + 15)
    driver.command("pause")
    ticks(driver, 50)
    driver.command("resume")
    ticks(driver, 4)
    assert phases(driver)[-1] == "agree"
    ticks(driver, 1)
    assert phases(driver)[-1] == "write"


@pytest.mark.parametrize("phase", [Phase.FENCE, Phase.WRITE])
def test_where_nobody_writes_a_pause_does_not_hold_it_up(phase: Phase) -> None:
    driver = driver_of(POLICY, phase)
    ticks(driver, 21)
    driver.command("pause")
    driver.hears()
    ticks(driver, 1)
    assert phases(driver) == FORWARD
    driver = driver_of(POLICY, phase)
    ticks(driver, 21)
    driver.command("pause")
    ticks(driver, 3)
    assert phases(driver)[-1] == "back", "and silence goes back all the same"


def test_in_a_freeze_window_nobody_hands_over() -> None:
    driver = Deaf(plan_of(POLICY), datetime(2026, 3, 2, 17, 49, 45, tzinfo=UTC))
    driver.command("start")
    ticks(driver, 20)
    assert (driver.state.name, phases(driver)) == ("handover", ["warm"])
    ticks(driver, 20)
    assert phases(driver) == ["warm"]
    ticks(driver, 1)
    assert phases(driver) == FORWARD


@pytest.mark.parametrize("count", [0, 5, 20, 21, 100, 220])
def test_a_rollback_gives_work_and_writing_back_in_one_decision(count: int) -> None:
    driver = driver_of()
    ticks(driver, count)
    decision = driver.command("rollback")
    kinds = [e for e in decision.effects if isinstance(e, SetShare | HandOver)]
    assert isinstance(kinds[0], SetShare) and kinds[0].share == 0
    assert isinstance(kinds[1], HandOver) and kinds[1].phase is Phase.BACK
    assert kinds[1].epoch == kinds[0].epoch == 2


def test_a_baseline_that_does_not_take_the_writing_back_is_partial_and_told() -> None:
    driver = driver_of()
    ticks(driver, 30)
    driver.deaf = (Phase.BACK,)
    driver.command("rollback")
    assert driver.state.name == "rolling_back.baseline_traffic"
    ticks(driver, 10)
    assert driver.state.name == "partial"
    assert phases(driver).count("back") == 1, "one that is asked already is not asked twice"
    driver.hears()
    assert driver.state.name == "cooldown"


def test_an_applied_policy_tells_the_phase_again_and_other_processes_are_refused() -> None:
    driver = driver_of()
    ticks(driver, 30)
    other = plan_of(POLICY.replace("bars: 20", "bars: 30"))
    driver.plan = other
    driver.command("apply", policy=other.digest)
    assert (phases(driver)[-1], told(driver)[-1].epoch) == ("write", 2)
    for text in (
        POLICY.replace("engine-3", "engine-4"),
        POLICY[: POLICY.index("transition:")] + POLICY[POLICY.index("stages:") :],
    ):
        other = plan_of(text)
        driver.plan = other
        refused = driver.command("apply", policy=other.digest).refused
        assert "engine-1 and engine-3 are told in live/handover who writes orders" in refused


def test_no_edit_of_a_handover_takes_over_by_itself() -> None:
    old, new = (
        load_text(text, Path("p.yaml"), {}).policy
        for text in (POLICY, POLICY.replace("bars: 20", "bars: 30"))
    )
    assert old is not None and new is not None
    edit = classify(old, new)
    assert [(c.path, c.safe) for c in edit.changes] == [("transition.handover", False)]


def test_the_explanation_has_the_clock_of_what_is_waited_for() -> None:
    driver = driver_of(POLICY, Phase.AGREE)
    ticks(driver, 21 + 4)
    clocks = explanation(driver.plan, driver.state, driver.now, GOOD).clocks
    (clock,) = [clock for clock in clocks if clock.name == "handover"]
    assert (clock.elapsed_ms, clock.required_ms) == (120_000, 600_000)
    assert clock.note == "both targets have to agree; then ramp"


ACTS = st.sampled_from(
    ["tick", "tick", "tick", "quarter", "quarter", "bad", "pause", "resume", "rollback", "start",
     "advance", "deaf", "hearing"]
)  # fmt: skip
TEXTS = {
    "agree": POLICY,
    "drain": closing(DRAIN),
    "flatten": closing("position: {mode: flatten, within: 5m}"),
}


@given(acts=st.lists(ACTS, max_size=60), mode=st.sampled_from(sorted(TEXTS)))
def test_whatever_happens_the_writing_has_one_owner_and_a_rollback_ends_at_the_baseline(
    acts: list[str], mode: str
) -> None:
    driver = driver_of(TEXTS[mode])
    for act in acts:
        before = driver.state
        decision = None
        match act:
            case "tick" | "bad":
                decision = driver.tick(GOOD if act == "tick" else BAD)
            case "quarter":
                ticks(driver, 30)
            case "deaf":
                driver.deaf = tuple(Phase)
            case "hearing":
                driver.deaf = ()
                for key in (
                    *driver.state.unacknowledged,
                    *driver.state.overdue,
                    driver.state.handover.key if driver.state.handover else "",
                ):
                    if driver.state.awaits(key):
                        driver.event(Acknowledgement(key, ok=True))
            case _:
                driver.command(act)
        if decision is not None:
            with patch.object(deciding, "nothing_stirs", return_value=False):
                event = Tick(GOOD if act == "tick" else BAD)
                assert decide(driver.plan, before, event, driver.now) == decision
        assert msgspec.json.decode(msgspec.json.encode(driver.state), type=State) == driver.state
    _held(driver)


def _held(driver: Driver) -> None:
    """In each epoch the phases only go forward, the candidate writes only after an acknowledged
    fence, and nothing of an older epoch follows a newer one."""
    order = ["warm", "copy", "agree", "drain", "flatten", "fence", "write", "retire"]
    last: dict[int, str] = {}
    fences = [(e.epoch, e.token) for e in told(driver)]
    assert fences == sorted(set(fences))
    for effect in told(driver):
        before = last.get(effect.epoch)
        if effect.phase is Phase.WRITE:
            assert before == "fence"
        if effect.phase is Phase.BACK or before == "back":
            assert effect.phase is Phase.BACK
        elif before is not None and effect.phase is not Phase.AGREE:
            assert order.index(effect.phase.value) > order.index(before)
        last[effect.epoch] = effect.phase.value
    if driver.state.name in ("cooldown", "rolled_back", "locked"):
        assert phases(driver)[-1] == "back"
    if driver.state.name in ("watch", "completed"):
        assert "write" in phases(driver)
