"""The rules of decision over random policies and random histories."""

from datetime import timedelta
from typing import cast
from unittest.mock import patch

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.plans import T0, plan_of
from support.policies import policy_texts

import controller.core.decide as deciding
from controller.core.clocks import next_due
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.effect import SetShare
from controller.core.event import (
    Acknowledgement,
    Command,
    CommandName,
    Event,
    PolicyEdit,
    Tick,
)
from controller.core.measurement import Measurement
from controller.core.plan import Plan
from controller.core.share import NONE
from controller.core.state import State

AT_BASELINE = ("pending", "rolling_back", "partial", "cooldown", "rolled_back", "locked")

numbers = st.one_of(
    st.floats(0, 1),
    st.sampled_from([0.8, 0.3, 0.1, 1.0, 0.0, float("nan"), float("inf")]),
    st.none(),
)
measurements = st.one_of(
    st.just(Measurement(status="no_data")),
    st.just(Measurement(status="error", detail="refused")),
    st.builds(Measurement, value=numbers, samples=st.sampled_from([0, 49, 50, 500])),
    st.just(Measurement(value=0.9, samples=500)),
)
silences = st.sampled_from([0.0, 59.0, 60.0, 61.0, 600.0]).map(
    lambda seconds: Measurement(value=seconds, samples=1)
)
looks = st.fixed_dictionaries(
    {
        "candidate.accuracy": measurements,
        "candidate.errors": measurements,
        "candidate.loss": measurements,
        "signals.silent": silences,
    }
)
GOOD = {
    "candidate.accuracy": Measurement(value=0.95, samples=500),
    "candidate.errors": Measurement(value=0.0, samples=500),
    "candidate.loss": Measurement(value=0.0, samples=500),
    "signals.silent": Measurement(value=0.0, samples=1),
}
names = st.sampled_from(["ann", "bob", "cem"])


def bytes_of(decision: Decision) -> bytes:
    """Everything that a decision says, as bytes."""
    parts = (decision.state, decision.effects, decision.move, decision.reasons, decision.refused)
    return msgspec.json.encode((parts, decision.explanation), order="deterministic")


class RandomHistory(RuleBasedStateMachine):
    """One rollout under random ticks, people, acknowledgements and clocks."""

    plan: Plan
    state: State

    @initialize(text=policy_texts())
    def policy(self, text: str) -> None:
        self.plan = plan_of(text)
        self.state = State(rollout="drawn", policy=self.plan.digest)
        self.now = T0
        self.token = -1
        self.open: dict[str, int] = {}
        self.event(Command("start", "ann"))

    def event(self, event: Event) -> Decision:
        before = self.state
        decision = decide(self.plan, before, event, self.now)
        with patch.object(deciding, "nothing_stirs", return_value=False):
            again = decide(self.plan, before, event, self.now)
        assert bytes_of(decision) == bytes_of(again), "the quick look or chance changed it"
        assert decision.state.seq == before.seq + 1
        assert decision.state.at == self.now
        self.state = msgspec.json.decode(msgspec.json.encode(decision.state), type=State)
        assert self.state == decision.state, "the state does not survive the store"
        self.check_move(before, event, decision)
        return decision

    def check_move(self, before: State, event: Event, decision: Decision) -> None:
        after = decision.state
        assert after.epoch >= before.epoch
        assert (after.name != before.name) == bool(decision.move)
        for effect in decision.effects:
            if isinstance(effect, SetShare):
                assert effect.token > self.token, "a token must rise"
                self.token = effect.token
                assert effect.share == after.share
        if after.share > before.share:
            self.check_rise(before, event, decision)
        applied = isinstance(event, Command) and event.name == "apply"
        if applied and not decision.refused and before.name not in AT_BASELINE:
            assert after.epoch == before.epoch + 1, "what is applied is published anew"
            published = {e.target for e in decision.effects if isinstance(e, SetShare)}
            assert published == set(self.plan.share_targets)
        elif before.share > after.share:
            assert after.share == NONE, "a share falls to the baseline or not at all"
            assert after.name == "rolling_back.baseline_traffic"
            assert after.epoch == before.epoch + 1
            first = [e for e in decision.effects if isinstance(e, SetShare)]
            assert {e.target for e in first} == set(self.plan.share_targets)
        if before.name.endswith((".held", ".paused")) and not applied:
            assert after.dwell_ms in (before.dwell_ms, 0)
        if decision.refused:
            assert after.name == before.name
            assert not decision.effects

    def check_rise(self, before: State, event: Event, decision: Decision) -> None:
        if isinstance(event, Command):
            assert event.name in ("start", "apply")
            assert event.name == "start" or (before.name in self.plan.by_name)
            return
        assert isinstance(event, Tick)
        step = self.plan.step(before.name)
        assert step is not None
        assert before.name == step.name, "a share rises only from the plain live state"
        errors = event.measurements["candidate.errors"]
        assert errors.status == "ok"
        assert errors.value is not None
        if not before.told_to_advance:
            found = event.measurements["candidate.accuracy"]
            assert found.status == "ok"
            assert cast(float, found.value) >= 0.8
            assert found.samples >= 50
            assert before.dwell_ms + 30_000 >= step.hold_ms
        assert step.approval is None or before.approved_by

    @rule(found=looks, scheduled=st.booleans())
    def tick(self, found: dict[str, Measurement], scheduled: bool) -> None:
        self.now += self.plan.tick if scheduled else timedelta(seconds=1)
        self.event(Tick(found, scheduled=scheduled))

    @rule(count=st.integers(1, 60))
    def good_ticks(self, count: int) -> None:
        for _ in range(count):
            self.now += self.plan.tick
            self.event(Tick(GOOD))

    @rule(
        by=names, name=st.sampled_from(["start", "approve", "pause", "resume", "advance", "reset"])
    )
    def person(self, by: str, name: CommandName) -> None:
        self.event(Command(name, by))

    @rule(by=names, data=st.data(), there=st.booleans())
    def applies(self, by: str, data: st.DataObject, there: bool) -> None:
        states = sorted(self.plan.machine.known)
        state = "" if there else data.draw(st.sampled_from(states))
        at_baseline = self.state.name.partition(".")[0] in AT_BASELINE
        decision = self.event(Command("apply", by, policy=self.plan.digest, state=state))
        if at_baseline and state not in ("", self.state.name):
            assert decision.refused, "a policy leads nowhere from the baseline"

    @rule()
    def edits(self) -> None:
        before = self.state
        self.event(PolicyEdit(self.plan.digest, ("trigger loss: limit",)))
        assert (self.state.name, self.state.share) == (before.name, before.share)

    @rule(ok=st.booleans(), data=st.data())
    @precondition(lambda self: self.state.unacknowledged or self.state.overdue)
    def answer(self, ok: bool, data: st.DataObject) -> None:
        keys = (*self.state.unacknowledged, *self.state.overdue)
        self.event(Acknowledgement(data.draw(st.sampled_from(keys)), ok=ok))

    @rule()
    def answer_all(self) -> None:
        for key in (*self.state.unacknowledged, *self.state.overdue):
            self.event(Acknowledgement(key, ok=True))

    @rule(jump=st.sampled_from([-3600, -1, 0, 600, 86400]))
    def clock_jumps(self, jump: int) -> None:
        self.now += timedelta(seconds=jump)

    @rule(by=names)
    @precondition(lambda self: self.plan.step(self.state.name) is not None)
    def person_rolls_back(self, by: str) -> None:
        epoch = self.state.epoch
        decision = self.event(Command("rollback", by))
        assert self.state.name == "rolling_back.baseline_traffic", decision.refused
        assert self.state.epoch == epoch + 1

    @rule(scheduled=st.booleans())
    @precondition(lambda self: self.plan.step(self.state.name) is not None)
    def hard_limit_breaks(self, scheduled: bool) -> None:
        self.event(Tick(GOOD | {"candidate.loss": Measurement(value=0.11)}, scheduled=scheduled))
        assert self.state.name == "rolling_back.baseline_traffic"

    @invariant()
    def baseline_states_have_no_share(self) -> None:
        if hasattr(self, "state") and self.state.name.partition(".")[0] in AT_BASELINE:
            assert self.state.share == NONE

    @invariant()
    def what_is_not_at_rest_is_looked_at_again(self) -> None:
        if not hasattr(self, "state"):
            return
        at_rest = self.state.name in ("pending", "completed", "rolled_back", "locked")
        due = next_due(self.plan, self.state, self.now)
        assert (due is None) == at_rest
        if due is not None:
            assert due > self.now or self.now < (self.state.started_at or self.now)


RandomHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRandomHistory = RandomHistory.TestCase
