"""The state machine of one policy: flat, synchronous, guards by name.

The table of edges below is the only description of what can follow what. `transitions` runs it
and the drawings are made from it. Guards are plain values of a `Situation`, worked out before
the machine is asked; nothing is done inside the machine, so that it cannot half-happen.

Order matters where several edges leave a state on the same trigger: the first whose guards hold
is taken. The way back always comes first (rule 6).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from transitions import Machine

from controller.core.plan import RollbackPlan, Step
from controller.core.state import (
    APPROVAL,
    COMPLETED,
    COOLDOWN,
    HELD,
    LOCKED,
    PARTIAL,
    PAUSED,
    PENDING,
    ROLLED_BACK,
    ROLLING_BACK,
)


@dataclass(frozen=True, slots=True)
class Edge:
    """`trigger` leads from `source` to `destination` when every guard holds."""

    trigger: str
    source: str
    destination: str
    guards: tuple[str, ...] = ()


@dataclass(slots=True)
class Situation:
    """What the machine is asked about: where the rollout is, and what is true of it now."""

    state: str
    must_roll_back: bool = False
    must_pause: bool = False
    must_hold: bool = False
    hold_is_over: bool = False
    may_advance: bool = False
    needs_approval: bool = False
    gate_is_lost: bool = False
    step_is_done: bool = False
    step_is_overdue: bool = False
    some_step_failed: bool = False
    must_lock: bool = False
    all_recovered: bool = False
    cooldown_is_over: bool = False


class RolloutMachine:
    """The machine of one plan. Holds no rollout: one serves any number of them."""

    def __init__(self, steps: tuple[Step, ...], rollback: RollbackPlan) -> None:
        self.steps = steps
        self.edges = tuple(_edges(steps, rollback))
        self.states = tuple(_states(steps, rollback))
        self.known = frozenset(self.states)
        self._triggers = {
            state: tuple(dict.fromkeys(e.trigger for e in self.edges if e.source == state))
            for state in self.states
        }
        self._machine = Machine(
            model=None,
            states=list(self.states),
            initial=PENDING,
            auto_transitions=False,
        )
        for edge in self.edges:
            self._machine.add_transition(
                edge.trigger, edge.source, edge.destination, conditions=list(edge.guards)
            )

    def move(self, trigger: str, situation: Situation) -> str | None:
        """The state that `trigger` leads to from `situation.state`, or None when no edge can be
        taken. Raises ValueError for a state that this policy does not have."""
        if situation.state not in self.known:
            raise ValueError(f"this policy has no state {situation.state!r}")
        if trigger not in self.triggers(situation.state):
            return None
        return situation.state if self._machine.events[trigger].trigger(situation) else None

    def triggers(self, state: str) -> tuple[str, ...]:
        """What can happen in `state`, in the table's order."""
        return self._triggers.get(state, ())


def side_states(step: Step) -> tuple[str, ...]:
    """`ramp-25.held`, `ramp-25.paused`, and `.approval` where the step asks for one."""
    sides = (HELD, PAUSED, APPROVAL) if step.approval else (HELD, PAUSED)
    return tuple(f"{step.name}.{side}" for side in sides)


def _states(steps: tuple[Step, ...], rollback: RollbackPlan) -> Iterator[str]:
    yield PENDING
    for step in steps:
        yield step.name
        yield from side_states(step)
    yield COMPLETED
    for name in rollback.steps:
        yield f"{ROLLING_BACK}.{name}"
    yield from (COOLDOWN, ROLLED_BACK, PARTIAL, LOCKED)


def _edges(steps: tuple[Step, ...], rollback: RollbackPlan) -> Iterator[Edge]:
    way_back = f"{ROLLING_BACK}.{rollback.steps[0]}"
    yield Edge("start", PENDING, steps[0].name)
    for step, following in zip(steps, [*(s.name for s in steps[1:]), COMPLETED], strict=True):
        yield from _live(step, following, way_back)
    yield Edge("rollback", COMPLETED, way_back)
    yield from _returning(rollback)


def _live(step: Step, following: str, way_back: str) -> Iterator[Edge]:
    """One live state and its side states. Every one of them can go back at any tick."""
    here = step.name
    held, paused, approval = (f"{here}.{side}" for side in (HELD, PAUSED, APPROVAL))
    for state in (here, *side_states(step)):
        yield Edge("tick", state, way_back, ("must_roll_back",))
        yield Edge("rollback", state, way_back)
        if state != paused:
            yield Edge("tick", state, paused, ("must_pause",))
            yield Edge("pause", state, paused)
    yield Edge("tick", here, held, ("must_hold",))
    if step.approval:
        yield Edge("tick", here, approval, ("may_advance", "needs_approval"))
        yield Edge("tick", approval, held, ("must_hold",))
        yield Edge("tick", approval, here, ("gate_is_lost",))
        yield Edge("approve", approval, here)
    yield Edge("tick", here, following, ("may_advance",))
    yield Edge("tick", held, here, ("hold_is_over",))
    yield Edge("resume", paused, here)
    yield Edge("resume", held, here)


def _returning(rollback: RollbackPlan) -> Iterator[Edge]:
    """The way back, step by step, and what comes after it."""
    names = [f"{ROLLING_BACK}.{name}" for name in rollback.steps]
    for here, following in pairwise(names):
        yield Edge("acknowledge", here, following, ("step_is_done",))
        yield Edge("tick", here, following, ("step_is_overdue",))
    last = names[-1]
    yield Edge("tick", last, PARTIAL, ("step_is_overdue",))
    yield Edge("acknowledge", last, PARTIAL, ("step_is_done", "some_step_failed"))
    yield Edge("acknowledge", last, LOCKED, ("step_is_done", "must_lock"))
    yield Edge("acknowledge", last, COOLDOWN, ("step_is_done",))
    yield Edge("acknowledge", PARTIAL, LOCKED, ("all_recovered", "must_lock"))
    yield Edge("acknowledge", PARTIAL, COOLDOWN, ("all_recovered",))
    yield Edge("reset", PARTIAL, LOCKED, ("must_lock",))
    yield Edge("reset", PARTIAL, COOLDOWN)
    yield Edge("tick", COOLDOWN, ROLLED_BACK, ("cooldown_is_over",))
    yield Edge("reset", LOCKED, ROLLED_BACK)
    yield Edge("start", ROLLED_BACK, rollback.restart)
