"""How far a rollout has come, and when it will be done: at the earliest and at the latest.

Both ends are what the policy's own clocks allow. At the earliest nothing holds it: every step is
left when its hold is over (and, on the last of their way, when the parameters have arrived), or
when a freeze window that it meets then ends. At the latest it is done or on its way back: every
step takes its deadline, and the answer to its approval comes last thing. Looks come by the tick,
so each step may take up to one tick more.
"""

from datetime import datetime

from msgspec import Struct

from controller.core.assess import freeze_ends
from controller.core.clocks import MISSED_TICKS
from controller.core.plan import Plan, Step
from controller.core.state import PAUSED, State


class Left(Struct, frozen=True):
    """Open time that is left. `latest_ms` is None where nothing ends it, and `unending` says why;
    `earliest` and `latest` are the moments that this comes to (None as well past the end of the
    calendar)."""

    earliest_ms: int
    latest_ms: int | None
    earliest: datetime | None
    latest: datetime | None
    unending: str = ""


class Standing(Struct, frozen=True):
    """Where a live rollout is: in its `phase` (a stage), the `number`th `of` all. `phase_done_ms`
    of `phase_ms` and `done_ms` of `all_ms` are of the holds, in open time."""

    phase: str
    number: int
    of: int
    phase_done_ms: int
    phase_ms: int
    done_ms: int
    all_ms: int
    left: Left


def standing(plan: Plan, state: State, now: datetime) -> Standing | None:
    """Of a rollout that is in one of its steps; None before the start, after the end and on the
    way back."""
    step = plan.step(state.name)
    if step is None:
        return None
    phases = list(dict.fromkeys(each.stage for each in plan.steps))
    before = plan.steps[: plan.steps.index(step)]
    in_step = min(state.dwell_ms, step.hold_ms)
    return Standing(
        phase=step.stage,
        number=phases.index(step.stage) + 1,
        of=len(phases),
        phase_done_ms=_held(before, step.stage) + in_step,
        phase_ms=_held(plan.steps, step.stage),
        done_ms=_held(before) + in_step,
        all_ms=_held(plan.steps),
        left=left(plan, state, _counted_from(plan, state, now)),
    )


def _counted_from(plan: Plan, state: State, now: datetime) -> datetime:
    """The moment that the state's clocks go on from: its own, or a tick ago if nobody has looked
    for too long (`core.clocks`)."""
    if state.at is None or now - state.at > MISSED_TICKS * plan.tick:
        return now - plan.tick
    return state.at


def _held(steps: tuple[Step, ...], stage: str = "") -> int:
    return sum(step.hold_ms for step in steps if stage in ("", step.stage))


def left(plan: Plan, state: State | None, now: datetime) -> Left:
    """From `state`, which is in one of the plan's steps, or for None from the start."""
    step = plan.step(state.name) if state is not None else None
    steps = plan.steps[plan.steps.index(step) :] if step is not None else plan.steps
    shortest, longest = _shortest(plan, steps, state), _longest(steps, state)
    unending = _unending(steps, state)
    return Left(
        earliest_ms=sum(shortest),
        latest_ms=None if unending else sum(longest),
        earliest=_arrival(plan, shortest, now),
        latest=None if unending else plan.calendar.after_open_ms(now, sum(longest)),
        unending=unending,
    )


def _shortest(plan: Plan, steps: tuple[Step, ...], state: State | None) -> list[int]:
    """What each step still needs. The parameters' time runs within the holds of their stages;
    what these are short of it, the last of them is stayed in for longer."""
    needs = [step.hold_ms for step in steps]
    if state is not None:
        needs[0] = 0 if state.told_to_advance else max(0, needs[0] - state.dwell_ms)
    way = plan.parameters
    if way is None or not way.over_ms:
        return needs
    spent = state.parameters.spent_ms if state is not None and state.parameters is not None else 0
    on_the_way = sum(
        need for step, need in zip(steps, needs, strict=True) if step.stage in way.stages
    )
    for index, step in enumerate(steps):
        if step.name == way.last:
            needs[index] += max(0, way.over_ms - spent - on_the_way)
    return needs


def _longest(steps: tuple[Step, ...], state: State | None) -> list[int]:
    stays = [max(step.deadline_ms, step.hold_ms) for step in steps]
    asks = [step.approval.within_ms if step.approval else 0 for step in steps]
    if state is not None:
        stays[0] = max(0, stays[0] - state.waited_ms)
        asks[0] = max(0, asks[0] - state.asked_ms)
    return [stay + ask for stay, ask in zip(stays, asks, strict=True)]


def _unending(steps: tuple[Step, ...], state: State | None) -> str:
    """Why nothing ends it by itself; empty where something does."""
    if state is not None and state.name.endswith(f".{PAUSED}"):
        return "paused: the deadline stands still"
    for step in steps:
        if step.deadline_ms and step.deadline_then == "pause":
            return f"{step.name} pauses at its deadline"
        if step.approval is not None and step.approval.otherwise == "pause":
            return f"{step.name} pauses without its approval"
    return ""


def _arrival(plan: Plan, needs: list[int], now: datetime) -> datetime | None:
    at: datetime | None = now
    for need in needs:
        at = plan.calendar.after_open_ms(at, need) if at is not None else None
        at = freeze_ends(plan, at) if at is not None else None
    return at
