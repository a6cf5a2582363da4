"""Every way back comes to its end: at the baseline, within the deadlines that the policy names."""

from datetime import datetime
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st
from support.histories import AT_BASELINE, History
from support.policies import policy_texts

from controller.core.event import Acknowledgement, Command, CommandName, Tick
from controller.core.measurement import Measurement
from controller.core.share import NONE

GOOD = {
    name: Measurement(value=value, samples=500)
    for name, value in {
        "candidate.accuracy": 0.95, "candidate.errors": 0.0, "candidate.loss": 0.0,
        "candidate.trial": 0.0, "signals.silent": 0.0,
    }.items()
}  # fmt: skip
BAD = GOOD | {"candidate.loss": Measurement(value=0.11)}
BLIND = dict.fromkeys(GOOD, Measurement(status="error", detail="refused"))
LOOKS = st.sampled_from([GOOD, BAD, BLIND])
PEOPLE: list[CommandName] = ["start", "pause", "resume", "advance", "approve", "rollback", "reset"]
ENDS = ("rolled_back", "locked")


class Journey(History):
    """A rollout on its way, and the targets that answer it."""

    def reach(self, ticks: int) -> None:
        """Good days, each answer at once; somebody approves what waits for it."""
        for _ in range(ticks):
            self.answer(ok=True)
            if self.state.name.endswith(".approval"):
                self.event(Command("approve", "bob"))
            self.look(GOOD)

    def answer(self, *, ok: bool) -> None:
        """All that is asked, in the order in which it was asked."""
        for key in (*self.state.unacknowledged, *self.state.overdue):
            self.event(Acknowledgement(key, ok=ok))

    def look(self, found: dict[str, Measurement]) -> None:
        self.now += self.plan.tick
        self.event(Tick(found))

    def latest_end(self) -> datetime:
        """When a way back that begins now has ended, each of its steps taking all of its time."""
        way = self.plan.rollback
        steps = sum(name.startswith("rolling_back.") for name in self.plan.machine.known)
        slack = self.plan.tick * (2 * steps + 4)
        return self.now + steps * way.deadline + way.verify_after + way.cooldown + slack


@st.composite
def on_the_way(draw: st.DrawFn) -> Journey:
    """A rollout that goes back from wherever it had come to: a limit or a person sends it."""
    journey = Journey()
    journey.begin(draw(policy_texts()))
    journey.reach(draw(st.integers(1, 60)))
    if journey.plan.step(journey.state.name) is None:  # it has come to its end before
        journey.begin(draw(policy_texts()))
        journey.reach(1)
    if draw(st.booleans()):
        journey.look(BAD)
    else:
        journey.event(Command("rollback", "ann"))
    assert journey.state.name == "rolling_back.baseline_traffic"
    return journey


@settings(max_examples=150, deadline=None)
@given(on_the_way(), st.data())
def test_targets_that_answer_bring_it_to_rest_whatever_people_and_sources_say(
    journey: Journey, data: st.DataObject
) -> None:
    """Late or at first refused, but each step within its deadline."""
    end = journey.latest_end()
    seen = [journey.state.name]
    while journey.state.name not in ENDS and journey.now < end:
        if data.draw(st.booleans()):
            journey.event(Command(data.draw(st.sampled_from(PEOPLE)), "cem"))
        if data.draw(st.booleans()):
            journey.answer(ok=False)
        journey.answer(ok=True)
        journey.look(data.draw(LOOKS))
        seen.append(journey.state.name)
        assert journey.state.share == NONE
    assert "partial" not in seen
    order = [name for name, _ in groupby(seen) if name.startswith("rolling_back.")]
    assert order == sorted(set(order), key=order.index), "no step is gone back to"
    assert journey.state.name in ENDS, f"not over by {end}: {seen}"


@settings(max_examples=150, deadline=None)
@given(on_the_way(), st.data())
def test_targets_that_do_not_answer_leave_it_at_the_baseline_and_partial_never_as_a_success(
    journey: Journey, data: st.DataObject
) -> None:
    """Some answers never come: people are told by the deadline; all come at last: it is over."""
    end = journey.latest_end()
    others_answer = data.draw(st.booleans())
    lost = journey.state.unacknowledged[0]
    while journey.now < end and journey.state.name not in (*ENDS, "partial"):
        for key in (*journey.state.unacknowledged, *journey.state.overdue):
            if key != lost and others_answer:
                journey.event(Acknowledgement(key, ok=True))
        journey.look(data.draw(LOOKS))
        assert journey.state.share == NONE
        assert journey.state.name.partition(".")[0] in AT_BASELINE
    assert journey.state.name == "partial"
    assert journey.state.failed_steps[0] == "baseline_traffic"
    last = journey.latest_end()
    while journey.now < last and journey.state.name not in ENDS:
        journey.answer(ok=True)
        journey.look(data.draw(LOOKS))
    assert journey.state.name in ENDS
