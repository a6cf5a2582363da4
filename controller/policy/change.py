"""What an edit of a policy means: may it take over by itself, or must a person apply it?

Safe is what can only make the rollout more careful: a check that is harder to pass, a trigger that
fires sooner, a longer hold, a nearer deadline, another freeze window. Everything else waits for a
person, unknown kinds of change included (rule 14).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from msgspec.structs import fields, replace

from controller.policy.alerting import Alerts
from controller.policy.budgets import differences
from controller.policy.checks.context import unmeasured
from controller.policy.condition import parse_condition
from controller.policy.expression import Compare, Number, Reference
from controller.policy.models import (
    Approval,
    Check,
    Metric,
    Policy,
    Rollback,
    Routing,
    Schedule,
    Stage,
    Trigger,
    Unknown,
    Unmeasured,
)
from controller.policy.names import Names, names_of
from controller.policy.tokens import ConditionError
from controller.policy.transition import Blend, Calibration, ExposureLimits, PerformanceBlend

SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where, from what to what, whether it may take over by itself, and whether
    clients read it with the share."""

    path: str
    words: str
    safe: bool
    published: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """All differences of two policies."""

    changes: tuple[Change, ...]

    @property
    def safe(self) -> bool:
        """Whether every change may take over by itself."""
        return all(change.safe for change in self.changes)

    @property
    def published(self) -> bool:
        """Whether clients have to be told."""
        return any(change.published for change in self.changes)

    @property
    def words(self) -> tuple[str, ...]:
        """The changes for people; those that need one first."""
        listed = sorted(self.changes, key=lambda change: (change.safe, change.path))
        return tuple(f"{c.path}: {c.words}" for c in listed) or ("nothing but its wording",)


def classify(old: Policy, new: Policy) -> Edit:
    """Every difference between two policies that are both without findings."""
    return Edit(tuple(_policy(old, new)))


def _policy(old: Policy, new: Policy) -> Iterator[Change]:
    names = names_of(new)
    handled = {"description", "owner", "schedule", "stages", "triggers", "rollback", "publish",
               "sources", "metrics", "routing", "false_alarm", "traffic",
               "transition", "budgets", "alerts"}  # fmt: skip
    for name in ("description", "owner", "traffic"):
        yield from _plain(name, getattr(old, name), getattr(new, name), safe=True)
    yield from _plain("false_alarm", old.false_alarm, new.false_alarm,
                      safe=new.false_alarm < old.false_alarm)  # fmt: skip
    yield from _schedule(old.schedule, new.schedule)
    yield from _stages(old.stages, new.stages, names)
    yield from _triggers(old.triggers, new.triggers, names)
    yield from _rollback(old.rollback, new.rollback)
    yield from _alerts(old.alerts, new.alerts)
    yield from _named("publish", old.publish, new.publish)
    yield from _named("sources", old.sources, new.sources)
    yield from _plain("metrics", old.metrics, new.metrics,
                      safe=_as_decided(old.metrics) == _as_decided(new.metrics))  # fmt: skip
    yield from _routing(old.routing, new.routing)
    yield from _blend(old.transition.blend, new.transition.blend)
    yield from _plain("transition.parameters", old.transition.parameters,
                      new.transition.parameters, safe=False)  # fmt: skip
    for path, before, after, safe in differences(old.budgets, new.budgets):
        yield from _plain(path, before, after, safe=safe)
    yield from _plain("transition.handover", old.transition.handover,
                      new.transition.handover, safe=False)  # fmt: skip
    for field in fields(Policy):
        if field.name not in handled:
            before, after = getattr(old, field.name), getattr(new, field.name)
            yield from _plain(field.encode_name, before, after, safe=False)


def _as_decided(metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """Metrics without what nothing is decided by."""
    return {n: replace(metric, sd=None, description="") for n, metric in metrics.items()}


def _plain(path: str, old: object, new: object, *, safe: bool) -> Iterator[Change]:
    if old != new:
        yield Change(path, f"{_text(old)} to {_text(new)}", safe)


def _text(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _named(path: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[Change]:
    """Publishers and sources; what they are may hold a secret, and is not told. None is safe: a
    new publisher holds no share until it is told one, one that is gone keeps its; another source
    may say anything."""
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            word = "changed" if name in old else "new"
            yield Change(f"{path}.{name}", word if name in new else "gone", safe=False)


def _alerts(old: Alerts | None, new: Alerts | None) -> Iterator[Change]:
    """Safe is what tells more: the first routes ever, routes behind those there are, new channels,
    no quiet hours any more. A channel that changes may lead to other people."""
    before, after = old or Alerts(routes=()), new or Alerts(routes=())
    for name in sorted({*before.channels, *after.channels}):
        if before.channels.get(name) != after.channels.get(name):
            word = "changed" if name in before.channels else "new"
            word = word if name in after.channels else "gone"
            yield Change(f"alerts.channels.{name}", word, safe=word == "new")
    if before.routes != after.routes:
        more = after.routes[: len(before.routes)] == before.routes
        words = f"{len(before.routes)} to {len(after.routes)} routes" if more else "changed"
        yield Change("alerts.routes", words, safe=more)
    yield from _plain("alerts.quiet", before.quiet, after.quiet, safe=not after.quiet)
    yield from _plain("alerts.labels", before.labels, after.labels, safe=True)


def _routing(old: Routing, new: Routing) -> Iterator[Change]:
    """None is safe: whom it moves is known only to those who hold the keys."""
    for name in ("layer", "max_age"):
        yield from _plain(f"routing.{name}", getattr(old, name), getattr(new, name), safe=False)
    for side in ("baseline", "candidate"):
        before, after = getattr(old.pin, side), getattr(new.pin, side)
        for attribute in sorted({*before, *after}):
            told = [", ".join(pins.get(attribute, ())) or None for pins in (before, after)]
            yield from _plain(f"routing.pin.{side}.{attribute}", told[0], told[1], safe=False)


def _blend(old: Blend | None, new: Blend | None) -> Iterator[Change]:
    """Safe is what lets less through: a lower limit, a lower largest weight, a stricter Brier
    score. It is published at once. All else may enlarge what is held."""
    if old is None or new is None:
        yield from _plain("transition.blend", old, new, safe=False)
        return
    for path, before, after in _blend_parts(old, new):
        lower = after is not None and (before is None or after < before)
        if before != after:
            yield Change(path, f"{_text(before)} to {_text(after)}", lower, published=True)
    told = [
        replace(blend, limits=ExposureLimits(), performance=None, calibration=None)
        for blend in (old, new)
    ]
    for field in fields(Blend):
        before, after = (getattr(blend, field.name) for blend in told)
        yield from _plain(f"transition.blend.{field.name}", before, after, safe=False)
    rest = [replace(blend.performance or PerformanceBlend(), most=100.0) for blend in (old, new)]
    yield from _plain("transition.blend.performance", *rest, safe=False)
    samples = [(blend.calibration or Calibration()).samples for blend in (old, new)]
    yield from _plain("transition.blend.calibration.samples", *samples, safe=False)


def _blend_parts(old: Blend, new: Blend) -> Iterator[tuple[str, float | None, float | None]]:
    """What is safer the lower it is."""
    for name in ("baseline", "candidate", "account"):
        yield (
            f"transition.blend.limits.{name}",
            getattr(old.limits, name),
            getattr(new.limits, name),
        )
    earned = [blend.performance or PerformanceBlend() for blend in (old, new)]
    yield "transition.blend.performance.most", earned[0].most, earned[1].most
    scored = [blend.calibration or Calibration() for blend in (old, new)]
    yield "transition.blend.calibration.worst", scored[0].worst, scored[1].worst


def _schedule(old: Schedule, new: Schedule) -> Iterator[Change]:
    yield from _plain("schedule.tick", old.tick, new.tick, safe=False)
    yield from _plain("schedule.calendar", old.calendar, new.calendar, safe=False)
    for window in new.freeze:
        if window not in old.freeze:
            yield Change("schedule.freeze", f"{window.name} is new", safe=True)
    for window in old.freeze:
        if window not in new.freeze:
            yield Change("schedule.freeze", f"{window.name} is gone or changed", safe=False)


# Stages -----------------------------------------------------------------------------------


def _stages(old: Sequence[Stage], new: Sequence[Stage], names: Names) -> Iterator[Change]:
    before, after = [s.name for s in old], [s.name for s in new]
    if before != after:
        yield Change("stages", f"{', '.join(before)} to {', '.join(after)}", safe=False)
        return
    for one, other in zip(old, new, strict=True):
        yield from _stage(f"stages.{one.name}", one, other, names)


def _stage(path: str, old: Stage, new: Stage, names: Names) -> Iterator[Change]:
    for name in ("weight", "weights", "mirror", "against"):
        yield from _plain(f"{path}.{name}", getattr(old, name), getattr(new, name), safe=False)
    # A stage that declares no deadline has one that grows with its hold.
    bounded = old.deadline is not None and new.deadline is not None
    longer = new.hold > old.hold and bounded
    yield from _plain(f"{path}.hold", old.hold, new.hold, safe=longer)
    yield from _gate(f"{path}.advance", old.advance, new.advance, names)
    if old.deadline != new.deadline:
        nearer = (
            old.deadline is not None
            and new.deadline is not None
            and new.deadline.then == old.deadline.then
            and new.deadline.after <= old.deadline.after
        )
        yield Change(f"{path}.deadline", _deadline(old, new), nearer)
    yield from _approval(f"{path}.approval", old.approval, new.approval)


def _deadline(old: Stage, new: Stage) -> str:
    told = [
        "the default" if stage.deadline is None
        else f"{_text(stage.deadline.after)} then {stage.deadline.then}"
        for stage in (old, new)
    ]  # fmt: skip
    return " to ".join(told)


def _approval(path: str, old: Approval | None, new: Approval | None) -> Iterator[Change]:
    if old is None or new is None:
        # An approval is a state of the machine.
        yield from _plain(path, old, new, safe=False)
        return
    yield from _plain(f"{path}.by", old.by, new.by, safe=False)
    yield from _plain(f"{path}.within", old.within, new.within, safe=new.within < old.within)
    yield from _plain(f"{path}.else", old.otherwise, new.otherwise,
                      safe=new.otherwise == "rollback")  # fmt: skip


def _gate(path: str, old: Sequence[Check], new: Sequence[Check], names: Names) -> Iterator[Change]:
    """Checks that are new make a gate harder. One that is gone must have been replaced by one
    that accepts less."""
    gone = [check for check in old if check not in new]
    fresh = [check for check in new if check not in old]
    for check in gone:
        heir = next((other for other in fresh if _harder(check, other, names)), None)
        if heir is None:
            yield Change(path, f"{check.check} is gone or easier", safe=False)
        else:
            fresh.remove(heir)
            yield Change(path, f"{_check(check)} to {_check(heir)}", safe=True)
    for check in fresh:
        yield Change(path, f"{_check(check)} is new", safe=True)


def _harder(old: Check, new: Check, names: Names) -> bool:
    """Whether what passes `new` would have passed `old`."""
    same = old.check == new.check or _accepts_less(old.check, new.check, names)
    confirmed = new.confirm == old.confirm or old.confirm is None
    return same and confirmed and _not_laxer(old.unknown, new.unknown, _FOR_A_CHECK)


def _check(check: Check) -> str:
    confirm = f", {check.confirm}" if check.confirm else ""
    words = "".join(f", {outcome}: {_means(means)}" for outcome, means in unmeasured(check.unknown))
    return f"{check.check}{confirm}{words}"


_FOR_A_CHECK = ("ignore", "hold", "reset")
"""From the laxest word on: what was counted here is passes."""
_FOR_A_TRIGGER = ("ignore", "hold")
"""`reset` forgets failures, which is neither more nor less careful than to ignore them, and less
so than to hold."""


def _not_laxer(old: Unknown | None, new: Unknown | None, order: Sequence[str]) -> bool:
    before, after = (dict(unmeasured(unknown or Unknown())) for unknown in (old, new))
    return all(_as_careful(before[outcome], after[outcome], order) for outcome in before)


def _as_careful(old: Unmeasured, new: Unmeasured, order: Sequence[str]) -> bool:
    limits = new.fail_after == old.fail_after or _sooner(old.fail_after, new.fail_after)
    if old.meanwhile == new.meanwhile:
        return limits
    if new.meanwhile not in order:
        return False
    lax = order.index(old.meanwhile) if old.meanwhile in order else 0
    return limits and order.index(new.meanwhile) > lax


def _means(means: Unmeasured) -> str:
    after = f", fail after {_text(means.fail_after)}" if means.fail_after else ""
    return f"{means.meanwhile}{after}"


def _accepts_less(old: str, new: str, names: Names) -> bool:
    """Whether everything that `new` accepts was accepted by `old`, in a way that can be seen."""
    shapes = [_shape(text, names) for text in (old, new)]
    if shapes[0] is None or shapes[1] is None:
        return False
    (key, operator, limit), (other_key, other_operator, other_limit) = shapes[0], shapes[1]
    if key != other_key or operator != other_operator:
        return False
    if operator in (">", ">="):
        return other_limit > limit
    return operator in ("<", "<=") and other_limit < limit


def _shape(text: str, names: Names) -> tuple[str, str, float] | None:
    """`reference operator number`."""
    try:
        condition = parse_condition(text, names)
    except ConditionError:
        return None
    match condition:
        case Compare(left=Reference() as reference, right=Number() as number):
            return reference.key, condition.operator, number.value
        case _:
            return None


# Triggers and the way back ----------------------------------------------------------------


def _triggers(old: Sequence[Trigger], new: Sequence[Trigger], names: Names) -> Iterator[Change]:
    before = {trigger.name: trigger for trigger in old}
    after = {trigger.name: trigger for trigger in new}
    for name in sorted({*before, *after}):
        path = f"triggers.{name}"
        if name not in before:
            yield Change(path, f"{after[name].when} is new", safe=True)
        elif name not in after:
            yield Change(path, "gone", safe=False)
        else:
            yield from _trigger(path, before[name], after[name], names)


def _trigger(path: str, old: Trigger, new: Trigger, names: Names) -> Iterator[Change]:
    if old.when != new.when:
        # It fires sooner when the old condition is the narrower one.
        sooner = _accepts_less(new.when, old.when, names)
        yield Change(f"{path}.when", f"{old.when} to {new.when}", sooner)
    rises = SEVERITIES.index(new.severity) > SEVERITIES.index(old.severity)
    yield from _plain(f"{path}.severity", old.severity, new.severity, safe=rises)
    yield from _plain(f"{path}.then", old.then, new.then, safe=new.then == "rollback")
    yield from _plain(f"{path}.for", old.for_, new.for_, safe=_shorter(old.for_, new.for_))
    yield from _plain(f"{path}.min_samples", old.min_samples, new.min_samples,
                      safe=_fewer(old.min_samples, new.min_samples))  # fmt: skip
    yield from _plain(f"{path}.escalate_after", old.escalate_after, new.escalate_after,
                      safe=_sooner(old.escalate_after, new.escalate_after))  # fmt: skip
    yield from _plain(f"{path}.confirm", old.confirm, new.confirm, safe=new.confirm is None)
    yield from _plain(f"{path}.labels", old.labels, new.labels, safe=False)
    yield from _plain(f"{path}.stages", old.stages, new.stages, safe=new.stages is None)
    # Who must be better before it is over fires longer.
    longer = old.clear is None or (
        new.clear is not None and _accepts_less(old.clear, new.clear, names)
    )
    yield from _plain(f"{path}.clear", old.clear, new.clear, safe=longer)
    before, after = (
        dict(unmeasured(unknown or Unknown())) for unknown in (old.unknown, new.unknown)
    )
    for outcome, means in before.items():
        yield from _plain(f"{path}.unknown.{outcome}", _means(means), _means(after[outcome]),
                          safe=_as_careful(means, after[outcome], _FOR_A_TRIGGER))  # fmt: skip


def _shorter(old: timedelta | None, new: timedelta | None) -> bool:
    return new is None or (old is not None and new < old)


def _sooner(old: timedelta | None, new: timedelta | None) -> bool:
    return new is not None and (old is None or new < old)


def _fewer(old: int | None, new: int | None) -> bool:
    return old is not None and new is not None and new < old


_SAFER: Mapping[str, Callable[[Any, Any], bool]] = {
    "deadline": lambda old, new: new < old,
    "cooldown": lambda old, new: new > old,
}


def _rollback(old: Rollback, new: Rollback) -> Iterator[Change]:
    for field in fields(Rollback):
        before, after = getattr(old, field.name), getattr(new, field.name)
        safer = _SAFER.get(field.name)
        safe = safer is not None and safer(before, after)
        if field.name == "lock":
            safe = after.after <= old.lock.after and after.per >= old.lock.per
        yield from _plain(f"rollback.{field.encode_name}", before, after, safe=safe)
