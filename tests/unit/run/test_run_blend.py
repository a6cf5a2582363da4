"""From the policy to the blend and back: a real controller, its share file, a desk that blends two
signals and tells what came of it, and metrics that are made of that."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from support.plans import T0

from controller.client import Blended, Client
from controller.core.event import Command
from controller.core.state import State
from controller.replay.stepped import SteppedScheduler
from controller.run.collect import collect
from controller.run.service import Service
from controller.run.settings import Settings

MINUTE = timedelta(minutes=1)
POLICY = """
rollout: blended
baseline: v1
candidate: v3
schedule: {tick: 30s}
sources:
  signals: {type: push, directory: inbox}
metrics:
  conflict: {source: signals, value: mean(conflict), window: 5m, min_samples: 3, better: lower}
  agreement: {source: signals, value: ratio(agreed), window: 5m, min_samples: 3, better: higher}
  weight: {source: signals, value: mean(weight), window: 5m}
publish:
  share: {type: file, path: live/share.json}
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 5m, advance: [candidate.conflict <= 20%]}
  - {name: ramp, weights: [25%, 75%], hold: 5m, advance: [candidate.conflict <= 20%]}
  - {name: full, weight: 100%, hold: 5m}
  - {name: watch, weight: 100%, hold: 1h}
triggers:
  - {name: disagreement, when: candidate.agreement < 70%, severity: high, stages: [ramp]}
transition:
  blend:
    mode: weighted
    conflict: flat
    band: 0.01
    min_hold: 90s
    limits: {account: 0.9}
"""


class Floor:
    """A service that is stepped by a frozen clock, and a desk beside it."""

    def __init__(self, place: Path, frozen: Any) -> None:
        self.frozen, self.scheduler = frozen, SteppedScheduler()
        self.policies = place / "policies"
        self.policies.mkdir()
        self.file = self.policies / "blended.yaml"
        self.file.write_text(POLICY)
        settings = Settings(
            state_dir=place / "state", policies=self.policies, resolution=timedelta(seconds=30)
        )
        self.service = Service(settings, environment={}, scheduler=self.scheduler, seed=1)
        self.service.start()
        self.go(MINUTE)
        self.desk = Client.from_file(
            self.policies / "live" / "share.json", baseline="v1", watch=None,
            observations=self.policies / "inbox",
        )  # fmt: skip
        self.service.command("blended", Command("start", "kim"))
        self.go(MINUTE)

    def go(self, span: timedelta) -> None:
        self.scheduler.advance_to(self.frozen, datetime.now(UTC) + span)

    def state(self) -> State:
        row = self.service.store.rollout("blended")
        assert row is not None
        return row.state

    def bar(self, baseline: float | None, candidate: float | None) -> Blended:
        """Both versions say what they want; what comes of it is told; a minute goes by."""
        self.desk.refresh()
        answer = self.desk.blend(baseline, candidate, instrument="NQ", at=datetime.now(UTC))
        self.desk.record(answer, at=datetime.now(UTC), **answer.fields())
        self.go(MINUTE)
        return answer

    def to(self, name: str) -> list[Blended]:
        """Bars on which both agree, until it stands there."""
        answers: list[Blended] = []
        for _ in range(60):
            if self.state().name == name:
                return answers
            answers.append(self.bar(0.8, 0.4))
        raise AssertionError(f"never came to {name}, stands in {self.state().name}")


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with freeze_time(T0) as frozen:
        floor = Floor(tmp_path, frozen)
        yield floor
        floor.desk.close()
        floor.service.stop()


def test_the_blend_follows_the_share_to_the_candidates_own_target(floor: Floor) -> None:
    answers = floor.to("watch")
    answers.append(floor.bar(0.8, 0.4))
    weights = [answer.candidate.weight for answer in answers]
    assert weights == sorted(weights)
    assert set(weights) == {0.0, 0.25, 0.75, 1.0}
    targets = {answer.candidate.weight: answer.target for answer in answers if answer.trade}
    assert targets == {0.0: 0.8, 0.25: pytest.approx(0.7), 0.75: pytest.approx(0.5), 1.0: 0.4}


def test_signals_that_conflict_keep_the_candidate_in_its_shadow(floor: Floor) -> None:
    """Half of them are more than a fifth: the conflict rate is a metric, and a gate reads it."""
    for candidate in (-0.4, 0.4) * 6:
        answer = floor.bar(0.8, candidate)
        assert answer.target == 0.8
    assert floor.state().name == "shadow"
    floor.to("ramp-25")


def test_signals_that_disagree_take_it_back_and_the_next_bar_holds_the_baselines_target(
    floor: Floor,
) -> None:
    floor.to("ramp-75")
    assert floor.bar(0.8, 0.4).target == pytest.approx(0.5)
    while floor.state().share:
        held = floor.bar(0.8, -0.4)
        assert held.target in (pytest.approx(0.5), 0.0)
    entries = floor.service.store.journal("blended")
    assert any("disagreement" in reason for entry in entries for reason in entry.reasons)
    answer = floor.bar(0.7, -0.4)
    assert (answer.target, answer.candidate.weight, answer.friction) == (0.7, 0.0, None)


def test_a_lower_limit_takes_over_by_itself_and_reaches_the_desk_at_once(floor: Floor) -> None:
    floor.to("ramp-25")
    before = floor.state()
    floor.file.write_text(POLICY.replace("account: 0.9", "account: 0.6"))
    floor.go(MINUTE)
    assert floor.state().name == "ramp-25"
    assert floor.state().policy != before.policy
    assert floor.bar(0.8, 0.4).target == 0.6
    assert floor.desk.published is not None
    assert floor.desk.published.epoch == before.epoch


def test_another_mode_waits_for_a_person(floor: Floor) -> None:
    floor.to("ramp-25")
    before = floor.state().policy
    floor.file.write_text(POLICY.replace("conflict: flat", "conflict: net"))
    floor.go(MINUTE)
    assert floor.state().policy == before
    assert floor.bar(0.8, -0.4).wanted == 0.0


def test_what_was_blended_is_measured_by_version(floor: Floor) -> None:
    floor.to("ramp-25")
    for _ in range(5):
        floor.bar(0.8, 0.4)
    state = floor.state()
    sources = floor.service.connections.sources(state, datetime.now(UTC))
    plan = floor.service.plans.plan(state.policy, datetime.now(UTC))
    found = collect(plan, state, sources, datetime.now(UTC))
    assert found["candidate.conflict"].value == 0.0
    assert found["candidate.agreement"].value == 1.0
