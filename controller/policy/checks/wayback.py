"""The way back, and ways out: rollback plan, holds, and what is left."""

from collections.abc import Iterator
from datetime import timedelta

from controller.policy.calendars import CALENDARS
from controller.policy.checks.context import Context, action, unmeasured
from controller.policy.checks.handover import must_last
from controller.policy.findings import Finding, did_you_mean
from controller.policy.models import Unknown
from controller.policy.places import Where
from controller.policy.publisher import LIVE_PUBLISHERS
from controller.policy.source import PushSource
from controller.policy.transition import Blend
from controller.policy.values import window_length


def way_back(context: Context) -> Iterator[Finding]:
    """Traffic first, what was activated restored, a look at the end, no step twice."""
    plan = context.policy.rollback.plan
    where = ("rollback", "plan")
    if plan[0] != "baseline_traffic":
        message = f"the way back begins with {plan[0]}, which may fail, while the traffic stays"
        hint = "begin with baseline_traffic: the baseline gets its work back before anything else"
        yield context.places.at((*where, 0), "P341", message, hint)
    if plan[-1] != "verify":
        message = "nobody looks whether the way back was taken"
        yield context.places.at((*where, len(plan) - 1), "P341", message, "end with verify")
    publishers = context.config_publishers()
    if publishers and "restore" not in plan:
        message = f"{publishers[0]} would keep the candidate's configuration after a rollback"
        hint = "write `plan: [baseline_traffic, restore, verify]`"
        yield context.places.at(where, "P341", message, hint)
    for index, step in enumerate(plan):
        if step in plan[:index]:
            message = f"{step} is there twice"
            yield context.places.at((*where, index), "P341", message, "keep one of them")


def holds_end(context: Context) -> Iterator[Finding]:
    """A trigger that holds says when it has held long enough; no other one does."""
    for number, trigger in enumerate(context.policy.triggers):
        where = ("triggers", number)
        holds = action(trigger) == "hold"
        if holds and trigger.escalate_after is None:
            said = "then" if trigger.then else "severity"
            message = f"trigger {trigger.name} could hold the rollout for ever"
            hint = "add `escalate_after: 10m`, after which it rolls back"
            yield context.places.at((*where, said), "P342", message, hint)
        if not holds and trigger.escalate_after is not None:
            message = f"trigger {trigger.name} does not hold, so nothing escalates"
            hint = "leave it out, or write `then: hold`"
            yield context.places.at_key((*where, "escalate_after"), "P344", message, hint)


def freeze_windows(context: Context) -> Iterator[Finding]:
    """A window ends after it begins."""
    for number, window in enumerate(context.policy.schedule.freeze):
        if window.start >= window.end:
            message = f"freeze {window.name} ends before it begins"
            where = ("schedule", "freeze", number, "to")
            yield context.places.at(where, "P346", message, "exchange `from` and `to`")


def calendar(context: Context) -> Iterator[Finding]:
    """The trading calendar exists."""
    code = context.policy.schedule.calendar
    if code not in CALENDARS:
        hint = did_you_mean(code, CALENDARS, "24/7, or an exchange_calendars code such as XNYS")
        where = ("schedule", "calendar")
        yield context.places.at(where, "P347", f"unknown calendar {code!r}", hint)


def configurations(context: Context) -> Iterator[Finding]:
    """Who publishes the configuration has one of each version."""
    publishers = context.config_publishers()
    for side in ("baseline", "candidate") if publishers else ():
        if getattr(context.policy, side).config is None:
            message = f"{publishers[0]} publishes configurations, and {side} has none"
            hint = f"write `{side}: {{version: NAME, config: FILE}}`"
            yield context.places.at((side,), "P348", message, hint)


def durations(context: Context) -> Iterator[Finding]:
    """What must take some time does."""
    for where, duration in _must_last(context):
        if not duration:
            message = f"{where[-1]} must not be zero"
            yield context.places.at(where, "P345", message, "write a duration, such as 30s")


def _must_last(context: Context) -> Iterator[tuple[Where, timedelta | None]]:
    policy = context.policy
    yield ("schedule", "tick"), policy.schedule.tick
    yield ("rollback", "deadline"), policy.rollback.deadline
    yield ("rollback", "lock", "per"), policy.rollback.lock.per
    if policy.routing.max_age is not None:
        yield ("routing", "max_age"), policy.routing.max_age
    yield from _of_blend(policy.transition.blend)
    parameters = policy.transition.parameters
    if parameters is not None:
        where = ("transition", "parameters")
        if parameters.over is not None:
            yield (*where, "over"), parameters.over
        if parameters.acknowledge is not None:
            yield (*where, "acknowledge", "within"), parameters.acknowledge.within
        if parameters.back is not None:
            yield (*where, "back", "over"), parameters.back.over
    yield from must_last(policy.transition.handover)
    for name, source in policy.sources.items():
        if not isinstance(source, PushSource):
            yield ("sources", name, "timeout"), source.timeout
        elif source.quality is not None:
            yield ("sources", name, "quality", "window"), source.quality.window
            yield ("sources", name, "quality", "stale"), source.quality.stale
    for name, target in policy.publish.items():
        if isinstance(target, LIVE_PUBLISHERS):
            yield ("publish", name, "timeout"), target.timeout
    for name, metric in policy.metrics.items():
        length = window_length(metric.window)
        if length is not None:
            yield ("metrics", name, "window"), length
        if metric.step is not None:
            yield ("metrics", name, "step"), metric.step
    for number, stage in enumerate(policy.stages):
        if stage.deadline is not None:
            yield ("stages", number, "deadline", "after"), stage.deadline.after
        if stage.approval is not None:
            yield ("stages", number, "approval", "within"), stage.approval.within
        for index, check in enumerate(stage.advance):
            yield from _fail_after(("stages", number, "advance", index), check.unknown)
    for number, trigger in enumerate(policy.triggers):
        if trigger.for_ is not None:
            yield ("triggers", number, "for"), trigger.for_
        if trigger.escalate_after is not None:
            yield ("triggers", number, "escalate_after"), trigger.escalate_after
        yield from _fail_after(("triggers", number), trigger.unknown)


def _of_blend(blend: Blend | None) -> Iterator[tuple[Where, timedelta | None]]:
    where = ("transition", "blend")
    if blend is None:
        return
    for name in ("min_hold", "max_age"):
        if getattr(blend, name) is not None:
            yield (*where, name), getattr(blend, name)
    if blend.missing.hold_for is not None:
        yield (*where, "missing", "hold_for"), blend.missing.hold_for
    if blend.performance is not None:
        yield (*where, "performance", "every"), blend.performance.every


def _fail_after(where: Where, unknown: Unknown | None) -> Iterator[tuple[Where, timedelta | None]]:
    for outcome, means in unmeasured(unknown):
        if means.fail_after is not None:
            yield (*where, "unknown", outcome, "fail_after"), means.fail_after
