"""Who writes orders, and when the writing passes to the candidate's process.

One writer at any time. The phases go forward one by one, each after the one before it has been
acknowledged: the candidate warms up beside the baseline, takes a copy of its state and reproduces
it, both agree on a target (or the position is closed), the baseline stops, the candidate writes.
Up to the fence it goes on only where a rollout may advance, so not while paused, held, frozen or
closed; once nobody writes, it goes on whatever happens. Silence goes back, and every rollback does
at once.
"""

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from controller.core.effect import Phase
from controller.core.plan import WATCH, HandoverPlan, Plan, Step
from controller.core.state import APPROVAL, Handover, State

AT_THE_SWITCH = frozenset({Phase.FENCE, Phase.WRITE})
"""Nobody writes, or the new writer has not yet said that it does: nothing may hold this up."""
ANSWERED_SOON = frozenset({Phase.COPY, Phase.FENCE, Phase.WRITE})
"""What two processes that live do by themselves."""


def standing(plan: Plan, step: Step) -> Handover | None:
    """Of a rollout that has stood in `step` for no time, everything acknowledged."""
    way = plan.handover
    if way is None:
        return None
    over = _reached(plan, way, step) and step.stage != way.stage
    return Handover(Phase.WRITE if over else Phase.WARM, way.place)


def due(plan: Plan, step: Step, state: State, now: datetime) -> Phase | None:
    """The phase to ask for now; None where it waits, or is over."""
    way, here = plan.handover, state.handover
    if way is None:
        return None
    if here is None:
        return Phase.WARM
    if here.key and not _gives_up(way, here):
        return None
    following = _following(way, here)
    if following is None or here.phase is Phase.FENCE:
        return following
    return following if _may_go_on(plan, way, step, state, now) else None


def asked(way: HandoverPlan, here: Handover | None, phase: Phase, key: str) -> Handover:
    """`phase` has been asked for."""
    if here is None:
        return Handover(phase, way.place, key, ramps=way.converges)
    ramps = here.ramps or (here.phase is Phase.AGREE and here.key != "")
    return replace(here, phase=phase, key=key, ramps=ramps,
                   waited_ms=0 if here.key else here.waited_ms)  # fmt: skip


def answered(plan: Plan, step: Step | None, state: State, now: datetime) -> State:
    """The phase is acknowledged. An agreement holds for the moment: where it may not be used now,
    it is asked for again, and the time that it has is not given a second time."""
    way, here = plan.handover, state.handover
    assert here is not None, "only what was asked for is answered"
    done = replace(here, key="", waited_ms=0)
    if here.phase is Phase.AGREE and way is not None and step is not None:
        after = replace(state, handover=done)
        if not _may_go_on(plan, way, step, after, now):
            done = replace(done, phase=Phase.COPY, waited_ms=here.waited_ms)
    return replace(state, handover=done)


def on_time(state: State, watched_ms: int) -> Handover | None:
    """Its clock after `watched_ms` of open time."""
    here = state.handover
    if here is None or not here.key:
        return here
    counts = _is_plain(state) or here.phase in AT_THE_SWITCH
    return replace(here, waited_ms=here.waited_ms + watched_ms) if counts else here


def lapsed(plan: Plan, state: State) -> bool:
    """Whether it has waited in vain and must go back."""
    way, here = plan.handover, state.handover
    if way is None or here is None or not here.key or _gives_up(way, here):
        return False
    limit = limit_ms(way, here.phase)
    return limit is not None and here.waited_ms >= limit


def limit_ms(way: HandoverPlan, phase: Phase) -> int | None:
    """How long a phase may wait; None: as long as its stage."""
    if phase in ANSWERED_SOON:
        return way.answer_ms
    if phase is Phase.AGREE:
        return way.agree_ms
    return way.close_ms if phase in (Phase.DRAIN, Phase.FLATTEN) else None


def otherwise(way: HandoverPlan, phase: Phase) -> Literal["ramp", "flatten", "rollback"]:
    """What comes when a phase has waited for too long."""
    if phase is Phase.AGREE:
        return way.otherwise
    return way.close_otherwise if phase is Phase.DRAIN else "rollback"


def moves(plan: Plan, state: State) -> bool:
    """Whether time may bring it further."""
    way, here = plan.handover, state.handover
    return way is not None and (here is None or here.key != "" or here.phase in way.phases[:-1])


def is_over(way: HandoverPlan, here: Handover | None) -> bool:
    """Whether the candidate's process writes, and has said so."""
    return here is not None and here.phase is way.phases[-1] and not here.key


def holds_back(plan: Plan, step: Step, state: State) -> bool:
    """Whether `step` may not be left: the handover is in it or should have been, and not over."""
    way = plan.handover
    return way is not None and _reached(plan, way, step) and not is_over(way, state.handover)


def _following(way: HandoverPlan, here: Handover) -> Phase | None:
    if here.phase is Phase.DRAIN and here.key:
        return Phase.FLATTEN
    if here.phase is Phase.FLATTEN:
        return Phase.FENCE
    if here.phase not in way.phases[:-1]:
        return None
    return way.phases[way.phases.index(here.phase) + 1]


def _gives_up(way: HandoverPlan, here: Handover) -> bool:
    """Whether it has waited for too long for what it can do without."""
    limit = limit_ms(way, here.phase)
    other = otherwise(way, here.phase) != "rollback"
    return other and limit is not None and here.waited_ms >= limit


def _may_go_on(plan: Plan, way: HandoverPlan, step: Step, state: State, now: datetime) -> bool:
    """Whether the rollout could advance here and now, as far as people and clocks say."""
    return (
        _reached(plan, way, step)
        and _is_plain(state)
        and not plan.frozen_by(now)
        and plan.calendar.is_open(now)
    )


def _is_plain(state: State) -> bool:
    return state.name.partition(".")[2] in ("", APPROVAL)


def _reached(plan: Plan, way: HandoverPlan, step: Step) -> bool:
    """Whether `step` is of the handover's stage or comes after it."""
    stages = list(dict.fromkeys(each.stage for each in plan.steps))
    return step.stage == WATCH or stages.index(step.stage) >= stages.index(way.stage)
