"""Why, in one value: rules with values and limits, clocks, and what would have to happen.

Comes with every decision, worked out when it is asked for and never stored: the journal has the
state before and the event, so that any past explanation can be computed again.
"""

from datetime import datetime

from controller.core.assess import Judged, blockers, judge, result_of
from controller.core.calendar import milliseconds
from controller.core.decision import Decision, Explanation, Progress, RuleResult, Term
from controller.core.enter import Effects
from controller.core.measurement import Measurements, Outcome
from controller.core.plan import Plan, Step
from controller.core.state import APPROVAL, COMPLETED, COOLDOWN, HELD, ROLLING_BACK, State


def explanation(
    plan: Plan,
    state: State,
    now: datetime,
    measurements: Measurements | None = None,
    before: State | None = None,
    notes: tuple[str, ...] = (),
) -> Explanation:
    """Of `state`, which has its clocks at `now`. With `measurements`, the rules of its step are
    judged on them, counters taken from `before` (the state before the event)."""
    step = plan.step(state.name)
    if step is None:
        return Explanation(
            state=state.name, share=state.share, clocks=_return_clocks(plan, state), notes=notes
        )
    following = _following(plan, step)
    checks: tuple[tuple[Outcome, tuple[Term, ...]], ...] = ()
    triggers: tuple[Judged, ...] = ()
    stands: tuple[str, ...] = ()
    if measurements is not None:
        checks = tuple(check.evaluate(measurements, now) for check in step.checks)
        counted = before or state
        triggers = tuple(
            judge(trigger, counted, measurements, now, plan.calendar)
            for trigger in plan.guarding[step.name]
        )
        stands = blockers(plan, step, state, checks, triggers, now)
    return Explanation(
        state=state.name,
        share=state.share,
        next_state=following.name if following else COMPLETED,
        next_share=following.share if following else None,
        checks=tuple(
            RuleResult(check.name, check.rule, outcome, terms)
            for check, (outcome, terms) in zip(step.checks, checks, strict=False)
        ),
        triggers=tuple(result_of(judged) for judged in triggers),
        clocks=_live_clocks(step, state),
        blockers=stands,
        notes=notes,
    )


def _following(plan: Plan, step: Step) -> Step | None:
    index = plan.steps.index(step) + 1
    return plan.steps[index] if index < len(plan.steps) else None


def _live_clocks(step: Step, state: State) -> tuple[Progress, ...]:
    clocks = [Progress("dwell", state.dwell_ms, step.hold_ms)]
    if step.deadline_ms:
        note = f"then {step.deadline_then}"
        clocks.append(Progress("deadline", state.waited_ms, step.deadline_ms, note))
    side = state.name.partition(".")[2]
    if side == APPROVAL and step.approval:
        note = f"by {step.approval.by}, else {step.approval.otherwise}"
        clocks.append(Progress("approval", state.side_ms, step.approval.within_ms, note))
    elif side == HELD:
        clocks.append(Progress("held", state.side_ms, 0))
    return tuple(clocks)


def _return_clocks(plan: Plan, state: State) -> tuple[Progress, ...]:
    if state.step_since is None or state.at is None:
        return ()
    elapsed = milliseconds(state.at - state.step_since)
    rollback = plan.rollback
    if state.name == COOLDOWN:
        return (Progress("cooldown", elapsed, milliseconds(rollback.cooldown)),)
    if state.name == f"{ROLLING_BACK}.verify":
        return (Progress("verify", elapsed, milliseconds(rollback.verify_after)),)
    if state.name.startswith(ROLLING_BACK):
        return (Progress("step", elapsed, milliseconds(rollback.deadline), "then failed"),)
    return ()


def told(
    plan: Plan,
    state: State,
    now: datetime,
    effects: Effects,
    move: str = "",
    reasons: tuple[str, ...] = (),
    refused: str = "",
    notes: tuple[str, ...] = (),
) -> Decision:
    """A decision on an event that carries no measurements."""

    def explain() -> Explanation:
        return explanation(plan, state, now, notes=notes)

    return Decision(state, now, explain, effects.done(), move, reasons, refused)
