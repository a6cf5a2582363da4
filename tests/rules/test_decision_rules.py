"""The rules of decision over random policies and random histories."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.histories import AT_BASELINE, History
from support.policies import policy_texts

from controller.core.clocks import next_due
from controller.core.event import (
    Acknowledgement,
    Command,
    CommandName,
    PolicyEdit,
    Tick,
)
from controller.core.measurement import Measurement
from controller.core.share import NONE

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
silences = st.sampled_from([0.0, 40.0, 59.0, 60.0, 61.0, 600.0]).map(
    lambda seconds: Measurement(value=seconds, samples=1)
)
looks = st.fixed_dictionaries(
    {
        "candidate.accuracy": measurements,
        "candidate.errors": measurements,
        "candidate.loss": measurements,
        "candidate.trial": measurements,
        "signals.silent": silences,
    }
)
GOOD = {
    "candidate.accuracy": Measurement(value=0.95, samples=500),
    "candidate.errors": Measurement(value=0.0, samples=500),
    "candidate.loss": Measurement(value=0.0, samples=500),
    "candidate.trial": Measurement(value=0.0, samples=500),
    "signals.silent": Measurement(value=0.0, samples=1),
}
UNKNOWN = [
    Measurement(status="no_data"),
    Measurement(status="error", detail="refused"),
    Measurement(value=0.5, samples=10),
]


def values(*found: float) -> st.SearchStrategy[Measurement]:
    """One of these, or none."""
    return st.sampled_from([*(Measurement(value=v, samples=500) for v in found), *UNKNOWN])


NEAR_LIMITS: list[st.SearchStrategy[dict[str, Measurement]]] = [
    st.fixed_dictionaries({"candidate.accuracy": values(0.95, 0.95, 0.95, 0.7)}),
    st.fixed_dictionaries({"candidate.errors": values(0.0, 0.22, 0.22, 0.28, 0.28, 0.28)}),
    st.fixed_dictionaries({"candidate.trial": values(0.97, 0.97, 0.0)}),
]
"""Looks on both sides of every limit that takes time to act, by metric."""
runs_near_limits = st.sampled_from(NEAR_LIMITS).flatmap(
    lambda near: st.lists(
        st.tuples(st.one_of(near, near, st.just({})), st.integers(1, 9)), min_size=8, max_size=20
    )
)
names = st.sampled_from(["ann", "bob", "cem"])


class RandomHistory(History, RuleBasedStateMachine):
    """One rollout under random ticks, people, acknowledgements and clocks."""

    @initialize(text=policy_texts())
    def policy(self, text: str) -> None:
        self.begin(text)

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


@settings(max_examples=100, deadline=None)
@given(policy_texts(), runs_near_limits)
def test_what_is_counted_near_the_limits_is_counted_by_the_rules(
    text: str, runs: list[tuple[dict[str, Measurement], int]]
) -> None:
    """Every target answers at once, and nobody interferes."""
    history = History()
    history.begin(text)
    for found, length in runs:
        for _ in range(length):
            for key in (*history.state.unacknowledged, *history.state.overdue):
                history.event(Acknowledgement(key, ok=True))
            if history.state.name == "rolled_back":
                history.event(Command("start", "ann"))
            history.now += history.plan.tick
            history.event(Tick(GOOD | found))
