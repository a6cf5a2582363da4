"""How far the parameters are, and when they go further.

Progress is a point of the plan's grid. It rises with the time spent in the named stages, which is
time that counts as dwell, or with the candidate's share; it never falls but on the way back, and
never goes past a vector that is not acknowledged. From promotion on the candidate's own
configuration holds, before the start and after a rollback the baseline's.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from controller.core.effect import Severity
from controller.core.plan import WATCH, ParametersPlan, Plan, Step
from controller.core.share import NONE, WHOLE, Share
from controller.core.state import APPROVAL, State, Vector


def standing(plan: Plan, step: Step) -> Vector | None:
    """Of a rollout that has stood in `step` for no time, everything acknowledged."""
    if plan.parameters is None:
        return None
    there = _due(plan, plan.parameters, step, step.share, 0)
    return Vector(progress=WHOLE if step.stage == WATCH else there)


def due(plan: Plan, step: Step, state: State) -> Share | None:
    """The progress to publish now; None where what is published is right. Time and share stand
    still until it is acknowledged, so nothing goes past that."""
    way, vector = plan.parameters, state.parameters
    side = state.name.partition(".")[2]
    if way is None or step.stage == WATCH or side not in ("", APPROVAL):
        return None
    wanted = _due(plan, way, step, state.share, vector.spent_ms if vector is not None else 0)
    return wanted if vector is None or wanted > vector.progress else None


def _due(plan: Plan, way: ParametersPlan, step: Step, share: Share, spent_ms: int) -> Share:
    if not way.over_ms:
        return share
    names = [each.name for each in plan.steps]
    if names.index(step.name) > names.index(way.last):
        return WHOLE
    last = len(way.grid) - 1
    return way.grid[min(last, spent_ms * last // way.over_ms)]


def awaited(state: State) -> tuple[str, ...]:
    """Keys of the newest vector that are not acknowledged."""
    if state.parameters is None:
        return ()
    return tuple(key for key in state.parameters.keys if key in state.unacknowledged)


def asked(vector: Vector | None, progress: Share, keys: tuple[str, ...]) -> Vector:
    """A new vector has been asked for."""
    return replace(vector or Vector(), progress=progress, keys=keys, unanswered_ms=0)


def on_time(plan: Plan, state: State, watched_ms: int, *, dwells: bool) -> Vector | None:
    """The clocks of the vector after `watched_ms` of open time; `dwells`: it counts as dwell."""
    way, vector, step = plan.parameters, state.parameters, plan.step(state.name)
    if way is None or vector is None or step is None:
        return vector
    moves = dwells and step.stage in way.stages and vector.spent_ms < way.over_ms
    unanswered = bool(awaited(state))
    if not moves and not unanswered:
        return vector
    return replace(
        vector,
        spent_ms=min(vector.spent_ms + (watched_ms if moves else 0), way.over_ms),
        unanswered_ms=vector.unanswered_ms + (watched_ms if unanswered else 0),
    )


def moves(plan: Plan, step: Step, state: State) -> bool:
    """Whether time in `step` may bring them further."""
    way, vector = plan.parameters, state.parameters
    if way is None or step.stage == WATCH:
        return False
    return due(plan, step, state) is not None or (
        step.stage in way.stages and (vector is None or vector.progress < WHOLE)
    )


def holds_back(plan: Plan, step: Step, state: State) -> bool:
    """Whether `step` may not be left: it is the last on the way, and they have not arrived."""
    way, vector = plan.parameters, state.parameters
    if way is None or not way.over_ms or step.name != way.last:
        return False
    return vector is None or vector.progress < WHOLE


def silent(plan: Plan, state: State) -> bool:
    """Whether a vector was not acknowledged for as long as it may be."""
    way, vector = plan.parameters, state.parameters
    if way is None or vector is None or way.within_ms is None or not awaited(state):
        return False
    return vector.unanswered_ms >= way.within_ms


def anew(plan: Plan, way: ParametersPlan, step: Step, state: State) -> Share:
    """What to publish under a policy that was applied: a point of its own grid, and with a way of
    its own no lower than where they were."""
    vector = state.parameters or Vector()
    wanted = _due(plan, way, step, state.share, vector.spent_ms)
    if not way.over_ms:
        return wanted
    return max(wanted, *(point for point in way.grid if point <= vector.progress))


# The way back -------------------------------------------------------------------------------


def may_ramp(plan: Plan, state: State, severity: Severity) -> bool:
    """Whether the parameters go back point by point. Not where nobody answers, who would have to
    follow."""
    way, vector = plan.parameters, state.parameters
    if way is None or way.back is None or vector is None or not vector.progress:
        return False
    return severity < way.at_once_from and not awaited(state)


def further_back(way: ParametersPlan, vector: Vector, now: datetime) -> tuple[Share, datetime]:
    """The point that they should be at on the way back, and since when: each of the grid's has an
    equal part of the time, the first is left at once."""
    if vector.stepped_at is None:
        passed, at = 1, now
    else:
        pace = (way.back or timedelta(0)) / (len(way.grid) - 1)
        passed = (now - vector.stepped_at) // pace
        at = vector.stepped_at + passed * pace
    lower = [point for point in way.grid if point < vector.progress]
    if passed <= 0:
        return vector.progress, at
    return (lower[-passed] if passed < len(lower) else NONE), at
