"""One rollout, event by event, with the rules of decision held against every decision."""

from math import isfinite
from typing import cast
from unittest.mock import patch

import msgspec

import controller.core.decide as deciding
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.effect import Alert, SetShare
from controller.core.event import Command, Event, PolicyEdit, Tick
from controller.core.measurement import Measurement, Outcome
from controller.core.plan import Check, Plan
from controller.core.share import NONE
from controller.core.state import State
from support.plans import T0, plan_of

AT_BASELINE = ("pending", "rolling_back", "partial", "cooldown", "rolled_back", "locked")


def measured(found: Measurement) -> Outcome:
    """What a limit on it would be: `pass` stands for either side."""
    if found.status != "ok":
        return Outcome.ERROR if found.status == "error" else Outcome.NO_DATA
    if found.value is None or not isfinite(found.value):
        return Outcome.NO_DATA
    return Outcome.PASS if found.samples >= 50 else Outcome.INCONCLUSIVE


def accuracy(event: Tick) -> Outcome:
    """The outcome of `candidate.accuracy >= 80%`."""
    found = event.measurements["candidate.accuracy"]
    outcome = measured(found)
    low = outcome is Outcome.PASS and cast(float, found.value) < 0.8
    return Outcome.FAIL if low else outcome


def bytes_of(decision: Decision) -> bytes:
    """Everything that a decision says, as bytes."""
    parts = (decision.state, decision.effects, decision.move, decision.reasons, decision.refused)
    return msgspec.json.encode((parts, decision.explanation), order="deterministic")


class History:
    """One rollout of a policy of `support.policies`."""

    plan: Plan
    state: State

    def begin(self, text: str) -> None:
        """Start it."""
        self.plan = plan_of(text)
        self.state = State(rollout="drawn", policy=self.plan.digest)
        self.now = T0
        self.token = -1
        self.looks: list[Outcome] = []
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
        self.remember_look(before, event)
        self.check_move(before, event, decision)
        self.check_triggers(before, event, decision)
        return decision

    def remember_look(self, before: State, event: Event) -> None:
        """Looks at the accuracy since the step was entered, as a check of it counts them."""
        if isinstance(event, PolicyEdit) or (isinstance(event, Command) and event.name == "apply"):
            self.looks = []
        step = self.plan.step(before.name)
        if isinstance(event, Tick) and event.scheduled and step and not before.told_to_advance:
            self.looks.append(accuracy(event))

    def check_triggers(self, before: State, event: Event, decision: Decision) -> None:
        trial = next(trigger for trigger in self.plan.triggers if trigger.name == "odd")
        if trial.dry_run:
            told = [e.title for e in decision.effects if isinstance(e, Alert)]
            assert not any(title.startswith("odd:") for title in told)
            assert not any(reason.startswith("trigger odd") for reason in decision.state.reasons)
            assert ("odd" in decision.state.would_have) >= ("odd" in decision.state.firing)
        else:
            assert not decision.state.would_have
        slow = next(trigger for trigger in self.plan.triggers if trigger.name == "slow")
        over = set(before.firing) - set(decision.state.firing)
        if slow.clear is not None and "slow" in over and isinstance(event, Tick):
            errors = event.measurements["candidate.errors"]
            outcome = measured(errors)
            means = slow.counting.means(outcome)
            cleared = outcome is Outcome.PASS and cast(float, errors.value) < 0.2
            assert cleared or (means is not None and means.meanwhile == "reset")

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
        if after.entered_at != before.entered_at:
            self.looks = []
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
        errors = next(trigger for trigger in self.plan.triggers if trigger.name == "errors")
        means = errors.counting.means(measured(event.measurements["candidate.errors"]))
        assert means is None or means.meanwhile == "ignore"
        if not before.told_to_advance:
            assert before.dwell_ms + 30_000 >= step.hold_ms
            self.check_gate(step.checks[0])
        assert step.approval is None or before.approved_by

    def check_gate(self, check: Check) -> None:
        """The last look passes, or is ignored; of those that measured something, enough do."""
        means = check.counting.means(self.looks[-1])
        if means is not None:
            assert means.meanwhile == "ignore"
            return
        assert self.looks[-1] is Outcome.PASS
        counted: list[bool] = []
        for look in self.looks:
            means = check.counting.means(look)
            if means is None:
                counted.append(look is Outcome.PASS)
            elif means.meanwhile == "reset":
                counted = []
        confirm = check.counting.confirm
        assert sum(counted[-confirm.n :] if confirm.n else counted) >= confirm.k
