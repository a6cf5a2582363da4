"""Parameters in the core: never past what is not acknowledged, paused time does not count, and the
way back takes the severity into account."""

from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.parameters import POLICY, SHARED, plan_of, write_files
from support.plans import Driver

import controller.core.decide as deciding
from controller.core.decide import decide
from controller.core.effect import Activate, SetParameters, SetShare
from controller.core.event import Acknowledgement, Tick
from controller.core.explain import explanation
from controller.core.measurement import Measurement
from controller.core.state import State, Vector

GOOD = {
    "candidate.accuracy": Measurement(value=0.9, samples=200),
    "baseline.accuracy": Measurement(value=0.9, samples=200),
}
BAD = GOOD | {"candidate.accuracy": Measurement(value=0.4, samples=200)}
POOR = GOOD | {"candidate.accuracy": Measurement(value=0.65, samples=200)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("parameters"))


def asked(driver: Driver) -> list[int]:
    """Progress of every vector so far, in per cent."""
    return [
        effect.progress // 1000
        for decision in driver.decisions
        for effect in decision.effects
        if isinstance(effect, SetParameters)
    ]


def test_the_start_publishes_the_baselines_and_time_does_the_rest(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    assert asked(driver) == [0]
    for _ in range(130):
        driver.tick(GOOD)
    assert asked(driver) == list(range(0, 101, 5))
    assert driver.state.name == "ramp-25"


def test_where_progress_is_the_share_both_are_published_in_one_decision(directory: Path) -> None:
    driver = Driver(plan_of(SHARED, directory))
    driver.to("ramp-25")
    moved = next(d for d in driver.decisions if d.state.name == "ramp-25" and d.move)
    kinds = [type(effect) for effect in moved.effects[:2]]
    assert kinds == [SetShare, SetParameters]
    assert asked(driver) == [0, 25]


def test_a_stage_is_not_left_before_the_parameters_have_arrived(directory: Path) -> None:
    driver = Driver(plan_of(POLICY.replace("mirror: true, hold: 1h", "mirror: true, hold: 30m"),
                            directory))  # fmt: skip
    driver.command("start")
    driver.command("advance")
    for _ in range(120):
        driver.tick(GOOD)
        assert driver.state.name == "sync"
    driver.tick(GOOD)
    assert driver.state.name == "ramp-25"


def test_nothing_goes_past_a_vector_that_is_not_acknowledged(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    for _ in range(5):
        driver.tick(GOOD)
    driver.acknowledges = False
    for _ in range(10):
        driver.tick(GOOD)
    assert asked(driver) == [0, 5]
    told = explanation(driver.plan, driver.state, driver.now, GOOD)
    assert "parameters: 5% of the way is not acknowledged, for 4m 30s of 5m" in told.blockers
    driver.acknowledges = True
    (key,) = driver.state.unacknowledged
    driver.event(Acknowledgement(key, ok=True))
    for _ in range(6):
        driver.tick(GOOD)
    assert asked(driver) == [0, 5, 10]


@pytest.mark.parametrize("otherwise", ["rollback", "pause"])
def test_silence_is_answered_as_the_policy_says(otherwise: str, directory: Path) -> None:
    text = POLICY.replace("within: 5m}", f"within: 5m, else: {otherwise}}}")
    driver = Driver(plan_of(text, directory))
    driver.command("start")
    driver.acknowledges = False
    for _ in range(6):
        driver.tick(GOOD)
    for _ in range(10):
        assert driver.state.name == "sync"
        decision = driver.tick(GOOD)
    wanted = "rolling_back.baseline_traffic" if otherwise == "rollback" else "sync.paused"
    assert driver.state.name == wanted
    assert decision.reasons == ("parameters: not acknowledged within 5m",)
    if otherwise == "pause":
        driver.command("resume")
        driver.tick(GOOD)
        assert driver.state.name == "sync"


@given(
    acts=st.lists(st.tuples(st.sampled_from(["tick", "pause", "resume"]), st.integers(1, 40)),
                max_size=12))  # fmt: skip
def test_progress_is_the_time_that_was_not_paused(
    directory: Path, acts: list[tuple[str, int]]
) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    running, counted = True, 0
    for act, times in acts:
        if act == "tick":
            for _ in range(times):
                driver.tick(GOOD)
                counted += running and driver.state.name == "sync"
        elif act == "pause" and running:
            driver.command("pause")
            running = False
        elif act == "resume" and not running:
            driver.command("resume")
            running = True
    if driver.state.name.partition(".")[0] != "sync":
        return
    vector = driver.state.parameters
    assert vector is not None
    assert vector.spent_ms == min(counted, 120) * 30_000
    assert vector.progress == min(counted // 6, 20) * 5000
    assert asked(driver) == sorted(asked(driver))


def test_a_persons_rollback_restores_at_once(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    for _ in range(60):
        driver.tick(GOOD)
    driver.command("rollback")
    assert driver.state.name == "rolling_back.verify"
    assert asked(driver)[-1] == 50
    assert driver.state.parameters is not None
    assert driver.state.parameters.progress == 0


def test_a_lesser_rollback_goes_back_through_the_same_points(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    for _ in range(60):
        driver.tick(GOOD)
    up = asked(driver)
    driver.tick(POOR)
    assert driver.state.name == "rolling_back.restore"
    assert driver.state.share == 0
    for _ in range(9):
        driver.tick(POOR)
    assert asked(driver)[len(up) :] == [45, 40, 35, 30, 25, 20, 15, 10, 5]
    assert driver.state.name == "rolling_back.verify"


def test_a_ramp_back_that_nobody_follows_ends_at_once(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    for _ in range(60):
        driver.tick(GOOD)
    driver.tick(POOR)
    assert driver.state.name == "rolling_back.restore"
    driver.acknowledges = False
    driver.tick(POOR)
    driver.tick(POOR)
    decision = driver.tick(POOR)
    assert [e.version for e in decision.effects if isinstance(e, Activate)] == ["v1"]
    assert driver.state.parameters == Vector(keys=driver.state.unacknowledged)
    assert driver.state.name == "rolling_back.restore"


def test_an_apply_publishes_a_point_of_the_new_way_and_goes_no_lower(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    for _ in range(60):
        driver.tick(GOOD)
    other = plan_of(POLICY.replace("changes: 20", "changes: 8"), directory)
    driver.plan = other
    driver.command("apply", policy=other.digest)
    assert asked(driver)[-1] == 50
    assert driver.state.epoch == 2


def test_the_explanation_says_how_far_they_are_and_what_comes_next(directory: Path) -> None:
    driver = Driver(plan_of(POLICY, directory))
    driver.command("start")
    for _ in range(8):
        driver.tick(GOOD)
    told = explanation(driver.plan, driver.state, driver.now, GOOD)
    (clock,) = [clock for clock in told.clocks if clock.name == "parameters"]
    assert (clock.elapsed_ms, clock.required_ms) == (240_000, 3_600_000)
    assert clock.note == "at 5%, 10% in 2m"


ACTS = st.sampled_from(
    ["tick", "tick", "tick", "hour", "poor", "bad", "pause", "resume", "rollback", "start",
     "deaf", "hearing"]
)  # fmt: skip


@given(acts=st.lists(ACTS, max_size=60), share=st.booleans())
def test_whatever_happens_only_points_of_the_way_are_published_and_none_is_lost(
    directory: Path, acts: list[str], share: bool
) -> None:
    driver = Driver(plan_of(SHARED if share else POLICY, directory))
    way = driver.plan.parameters
    assert way is not None
    driver.command("start")
    for act in acts:
        before = driver.state
        match act:
            case "tick":
                decision = driver.tick(GOOD)
            case "hour":
                for _ in range(30):
                    decision = driver.tick(GOOD)
            case "poor":
                decision = driver.tick(POOR)
            case "bad":
                decision = driver.tick(BAD)
            case "deaf" | "hearing":
                driver.acknowledges = act == "hearing"
                for key in driver.state.unacknowledged if driver.acknowledges else ():
                    driver.event(Acknowledgement(key, ok=True))
                continue
            case _:
                decision = driver.command(act)
        if act == "tick":
            with patch.object(deciding, "nothing_stirs", return_value=False):
                again = decide(driver.plan, before, Tick(GOOD), driver.now)
            assert again == decision, "the quick look changed it"
        written = msgspec.json.decode(msgspec.json.encode(driver.state), type=State)
        assert written == driver.state
    held(driver)


def held(driver: Driver) -> None:
    """Every vector is a point of the way; it rises within an epoch that goes forward, falls in one
    that goes back; and a rollback ends with the baseline's file."""
    way = driver.plan.parameters
    assert way is not None
    last: dict[int, int] = {}
    for one in driver.decisions:
        for effect in one.effects:
            if not isinstance(effect, SetParameters):
                continue
            assert effect.progress in way.grid
            back = one.state.name.startswith("rolling_back")
            before = last.get(effect.epoch)
            if before is not None:
                assert effect.progress < before if back else effect.progress > before
            last[effect.epoch] = effect.progress
    if driver.state.name in ("cooldown", "rolled_back"):
        configuration = [e for one in driver.decisions for e in one.effects
                         if isinstance(e, SetParameters | Activate)]  # fmt: skip
        assert isinstance(configuration[-1], Activate)
        assert configuration[-1].version == "v1"
