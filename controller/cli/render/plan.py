"""What a policy will do, in words."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from controller.cli.render import words
from controller.cli.render.budgets import budget_lines
from controller.core.assess import span
from controller.core.calendar import EPOCH, milliseconds
from controller.core.completion import Left, left
from controller.core.plan import Check, Counting, Plan, Step, TriggerPlan
from controller.core.share import percent_text

DRY_RUN = "dry run"


def plan_text(
    plan: Plan,
    start: datetime | None,
    outlooks: Sequence[Sequence[str]] = (),
    evidence: Sequence[str] = (),
) -> str:
    """Stages, triggers, the way back, and how soon and how late it can be done. `outlooks` are what
    is said of each step's samples and comparisons, and `evidence` what that rests on."""
    return "\n".join(_lines(plan, start, outlooks, evidence)) + "\n"


def _lines(
    plan: Plan, start: datetime | None, outlooks: Sequence[Sequence[str]], evidence: Sequence[str]
) -> Iterator[str]:
    owner = f", owned by {plan.owner}" if plan.owner else ""
    yield f"{plan.rollout}: {plan.baseline.name} to {plan.candidate.name}{owner}"
    tick = span(milliseconds(plan.tick))
    yield f"looked at every {tick}; time counts while {plan.calendar.name} is open"
    for window in plan.freeze:
        begins = words.moment(window.start, local=False)
        ends = words.moment(window.end, local=False)
        yield f"nothing advances from {begins} to {ends} ({window.name})"
    yield ""
    yield "Forward"
    for number, step in enumerate(plan.steps, 1):
        yield from _step(number, step, plan.steps[number - 2] if number > 1 else None)
        if outlooks:
            yield from (f"       {line}" for line in outlooks[number - 1])
    if evidence:
        yield ""
        yield from evidence
    yield ""
    yield "Back, whatever else is going on"
    for trigger in sorted(plan.triggers, key=lambda t: -t.severity):
        yield from _trigger(trigger)
    yield from _way_back(plan)
    yield ""
    if plan.budgets:
        yield "What the candidate may cost"
        yield from budget_lines(plan.budgets)
        yield ""
    if plan.trigger_level < plan.false_alarm:
        count = round(plan.false_alarm / plan.trigger_level)
        yield (
            f"Wrongly back by a comparison: {plan.false_alarm:.4g} in a whole rollout at most, "
            f"{plan.trigger_level:.4g} for each of {count} comparisons"
        )
    yield from _times(plan, start)


def _step(number: int, step: Step, before: Step | None) -> Iterator[str]:
    mirror = ", the candidate mirrored" if step.mirror else ""
    share = percent_text(step.share)
    yield f"  {number}. {step.name}: {share}{mirror}, at least {span(step.hold_ms)}"
    rules = [check_words(check) for check in step.checks]
    if before is not None and rules and rules == [check_words(check) for check in before.checks]:
        yield f"       needs the same as {before.name}"
    else:
        yield from (f"       needs {rule}" for rule in rules)
    if step.frozen_baseline:
        yield "       compared with the baseline as last measured while it had traffic"
    if step.approval:
        approval = step.approval
        yield (
            f"       needs approval by {approval.by} within {span(approval.within_ms)}, "
            f"else {approval.otherwise}"
        )
    if step.deadline_ms:
        yield f"       done within {span(step.deadline_ms)}, else {step.deadline_then}"


def _trigger(trigger: TriggerPlan) -> Iterator[str]:
    needs = list(_counting(trigger.counting))
    if trigger.hard:
        needs.insert(0, "at once, between ticks too")
    if trigger.clear is not None:
        needs.append(f"until {trigger.clear.rule}")
    if trigger.dry_run:
        needs.append(DRY_RUN)
    then: str = trigger.then
    if trigger.escalate_ms is not None:
        then += f", rollback after {span(trigger.escalate_ms)}"
    how = f" ({'; '.join(needs)})" if needs else ""
    yield f"  {trigger.severity.word:8} {trigger.name}: {trigger.rule}{how} -> {then}"


def check_words(check: Check) -> str:
    """A line of a gate, with how it counts."""
    needs = [*_counting(check.counting), *([DRY_RUN] if check.dry_run else [])]
    return f"{check.rule} ({'; '.join(needs)})" if needs else check.rule


def _counting(rule: Counting) -> Iterator[str]:
    confirm = rule.confirm
    if confirm.n == 0:
        yield f"{confirm.k} times in total"
    elif confirm.k > 1:
        in_a_row = confirm.k == confirm.n
        yield f"{confirm.k} in a row" if in_a_row else f"{confirm.k} of {confirm.n}"
    if rule.for_ms:
        yield f"for {span(rule.for_ms)}"
    for outcome, means in rule.unknown.items():
        words: list[str] = [means.meanwhile] if means.meanwhile != "hold" else []
        if means.fail_ms is not None:
            words.append(f"a failure after {span(means.fail_ms)}")
        if words:
            yield f"{outcome.value.replace('_', ' ')}: {', then '.join(words)}"


def _way_back(plan: Plan) -> Iterator[str]:
    back = plan.rollback
    yield f"  steps: {', then '.join(back.steps)}; each within {_delta(back.deadline)}"
    yield f"  verified after {_delta(back.verify_after)}"
    yield (
        f"  started again from {back.restart} after {_delta(back.cooldown)}; locked after more "
        f"than {back.lock_after} in {_delta(back.lock_per)}"
    )


def _times(plan: Plan, start: datetime | None) -> Iterator[str]:
    there = left(plan, None, start or EPOCH)
    latest = there.unending if there.latest_ms is None else f"{span(there.latest_ms)} at the latest"
    yield f"Done after {span(there.earliest_ms)} of open time at the earliest, {latest}"
    if start is not None:
        begin = words.moment(start, local=False)
        yield f"Started {begin}: completed {ends(there, local=False)}"


def ends(there: Left, *, local: bool) -> str:
    """Both moments; the later one only where there is one."""
    first = f"{words.moment(there.earliest, local=local)} at the earliest"
    if there.latest_ms is None:
        return first
    return f"{first}, {words.moment(there.latest, local=local)} at the latest"


def _delta(delta: timedelta) -> str:
    return span(milliseconds(delta))
