"""What would do where the traffic does not: each proposal is a changed policy, and is made only if
the same check finds nothing there any more, and no more elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil, floor, log10

from msgspec.structs import replace as changed

from controller.policy.checks.context import (
    DEADLINE_HOLDS,
    Context,
    about_split,
    duration_text,
    percent_text,
    weights,
)
from controller.policy.checks.shortfalls import Shortfall, shortfalls
from controller.policy.evidence import Evidence
from controller.policy.expression import Combine, Condition, Versus, references
from controller.policy.feasibility import soonest
from controller.policy.models import Check, Deadline, Stage
from controller.policy.places import Where
from controller.policy.values import LONGEST

MINUTE = timedelta(minutes=1)
SHADOW = "shadow"
"""Name of the stage that is proposed to go first."""


@dataclass(frozen=True, slots=True)
class Change:
    """A policy that was changed in one way, and what way that is."""

    words: str
    context: Context


def remedies(context: Context, short: Shortfall) -> Iterator[Change]:
    """Every single change that would do."""
    evidence = short.step.evidence
    before = list(shortfalls(context, evidence))
    for propose in (_fewer_samples, _longer, _heavier, _wider, _mirror_first):
        change = propose(context, short)
        if change is not None and _would_do(change.context, evidence, before, short):
            yield change


def _would_do(
    new: Context, evidence: Evidence, before: Sequence[Shortfall], short: Shortfall
) -> bool:
    """Whether nothing is short there, and nothing else came."""
    if not _enough(new, evidence, short.where):
        return False
    return len(list(shortfalls(new, evidence))) < len(before)


def _enough(context: Context, evidence: Evidence, where: Where) -> bool:
    return next(shortfalls(context, evidence, where), None) is None


# Ways ---------------------------------------------------------------------------------------


def _fewer_samples(context: Context, short: Shortfall) -> Change | None:
    found = short.samples
    if found is None or found.kind != "samples":
        return None
    most = floor(found.by_deadline)
    name = found.key.partition(".")[2]
    if short.trigger is not None:
        trigger = context.policy.triggers[short.trigger]
        if trigger.min_samples is not None:
            triggers = list(context.policy.triggers)
            triggers[short.trigger] = changed(trigger, min_samples=most)
            policy = changed(context.policy, triggers=tuple(triggers))
            return Change(f"`min_samples: {most}`", replace(context, policy=policy))
    metric = changed(context.policy.metrics[name], min_samples=most)
    metrics = {**context.policy.metrics, name: metric}
    policy = changed(context.policy, metrics=metrics)
    return Change(f"`min_samples: {most}`", replace(context, policy=policy))


def _longer(context: Context, short: Shortfall) -> Change | None:
    """A longer window and hold, or a later deadline where what is judged grows."""
    found = short.samples
    if found is not None and not found.rate:
        return None
    if found is not None and _slides(context, found.key):
        return _longer_window(context, found.key, _round(timedelta(
            seconds=found.needed / found.rate)), short.trigger is None)  # fmt: skip
    stage = short.step.stage

    def at(after: timedelta) -> Context:
        then = changed(stage.deadline, after=after) if stage.deadline else Deadline(after=after)
        return _with_stage(context, short.step.number, changed(stage, deadline=then))

    def does(seconds: float) -> bool:
        return _enough(at(timedelta(seconds=seconds)), short.step.evidence, short.where)

    seconds = soonest(does)
    if seconds is None:
        return None
    after = _round(timedelta(seconds=seconds))
    return Change(f"a deadline of {duration_text(after)}", at(after))


def _slides(context: Context, key: str) -> bool:
    subject, _, name = key.partition(".")
    metric = context.policy.metrics.get(name)
    sliding = metric is not None and isinstance(metric.window, timedelta)
    return sliding and subject in ("candidate", "baseline", "shift")


def _longer_window(context: Context, key: str, window: timedelta, gate: bool) -> Change:
    """The metric's window, and every hold and deadline that it would outlast."""
    name = key.partition(".")[2]
    metric = changed(context.policy.metrics[name], window=window)
    listed, later = [], timedelta(0)
    for stage, lines in zip(context.policy.stages, context.gates, strict=True):
        read = {found for line in lines for found in references(line.condition)}
        if stage.hold < window and any(
            _slides(context, k) and k.endswith(f".{name}") for k in read
        ):
            stage = changed(stage, hold=window)
            if stage.deadline is not None and stage.deadline.after <= window:
                later = DEADLINE_HOLDS * window
                stage = changed(stage, deadline=changed(stage.deadline, after=later))
        listed.append(stage)
    metrics = {**context.policy.metrics, name: metric}
    policy = changed(context.policy, metrics=metrics, stages=tuple(listed))
    words = f"a window {'and hold ' if gate else ''}of {duration_text(window)}"
    words += f" with a deadline of {duration_text(later)}" if later else ""
    return Change(words, replace(context, policy=policy))


def _heavier(context: Context, short: Shortfall) -> Change | None:
    """The least weight that does, below that of the next step."""
    number, weight = short.step.number, short.step.weight
    if short.step.stage.mirror:
        return None
    own = list(weights(short.step.stage))
    later = [each for stage in context.policy.stages[number + 1 :] for each in weights(stage)]
    most = min([each for each in (*own, *later) if each > weight], default=100.0)

    def at(tried: float) -> Context:
        shares = tuple(tried if each == weight else each for each in own)
        stage = short.step.stage
        stage = changed(stage, weight=tried) if stage.weights is None else changed(
            stage, weights=shares)  # fmt: skip
        return _with_stage(context, number, stage)

    def does(tried: float) -> bool:
        return _enough(at(tried), short.step.evidence, short.where)

    grid = 1.0 if weight >= 1 else 0.1
    # Beyond one half the baseline becomes the smaller side.
    low, highest = floor(weight / grid), ceil(most / grid) - 1
    tops = (min(highest, round(50 / grid)), highest)
    high = next((top for top in tops if top > low and does(round(top * grid, 3))), None)
    if high is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if does(round(middle * grid, 3)) else (middle, high)
    enough = round(high * grid, 3)
    return Change(f"a weight of {percent_text(enough)}", at(enough))


def _wider(context: Context, short: Shortfall) -> Change | None:
    """The least margin of two digits that is decided."""
    effect = short.effect
    if effect is None or effect.by_deadline is None or effect.margin is None:
        return None
    node = effect.condition
    assert isinstance(node, Versus)
    value = node.margin.value * effect.by_deadline / effect.margin * 1.001
    shown = _two_digits(value / node.margin.unit.factor)
    name = node.margin.unit.name
    text = f"{shown:.10g}" + (f" {name}" if len(name) == 3 and name.isupper() else name)
    margin = replace(node.margin, value=shown * node.margin.unit.factor, text=text)
    wider = replace(node, margin=margin)
    of = " of baseline" if node.relative else ""
    gates = [
        [replace(line, condition=_swapped(line.condition, node, wider)) for line in gate]
        if number == short.step.number else list(gate)
        for number, gate in enumerate(context.gates)
    ]  # fmt: skip
    return Change(f"`margin: {text}{of}`", replace(context, gates=gates))


def _mirror_first(context: Context, short: Shortfall) -> Change | None:
    """The line moves to the gate of a stage in which both versions see all the work."""
    if short.trigger is not None or short.step.stage.mirror or about_split(short.condition):
        return None
    line = next(line for line in context.gates[short.step.number] if line.index == short.index)
    without = [
        [each for each in gate if each.check.check != line.check.check] for gate in context.gates
    ]
    first = context.policy.stages[0]
    there = first.mirror and weights(first) == (0.0,)
    name = first.name if there else SHADOW
    if not there and any(stage.name == SHADOW for stage in context.policy.stages):
        return None

    moved = (SHADOW, line.index)

    def at(hold: timedelta) -> Context:
        check = Check(check=line.check.check)
        stage = Stage(name=name, weight=0.0, mirror=True, hold=hold)
        if there:
            stage = changed(first, hold=max(first.hold, hold), advance=(*first.advance, check))
            if stage.deadline is not None and stage.deadline.after < DEADLINE_HOLDS * hold:
                stage = changed(
                    stage, deadline=changed(stage.deadline, after=DEADLINE_HOLDS * hold)
                )
        gate = [replace(line, index=len(stage.advance), where=moved)]
        rest = context.policy.stages[1:] if there else context.policy.stages
        gates = [[*without[0], *gate], *without[1:]] if there else [gate, *without]
        policy = changed(context.policy, stages=(stage, *rest))
        return replace(context, policy=policy, gates=gates)

    def does(seconds: float) -> bool:
        return _enough(at(timedelta(seconds=seconds)), short.step.evidence, moved)

    windows = [
        metric.window
        for key in references(line.condition)
        if (metric := context.policy.metrics.get(key.partition(".")[2])) is not None
        and isinstance(metric.window, timedelta) and _slides(context, key)
    ]  # fmt: skip
    seconds = soonest(does)
    if seconds is None or seconds >= LONGEST.total_seconds() / DEADLINE_HOLDS:
        return None
    hold = max([_round(timedelta(seconds=seconds)), *windows])
    where = f"in a stage before it, {{name: {name}, weight: 0%, mirror: true}},"
    if there:
        where, hold = f"in the gate of {name}", max(hold, first.hold)
    longer = "" if there and hold == first.hold else f" with a hold of {duration_text(hold)}"
    words = f"this line {where}{longer}, where both versions see all the work and pairs need fewer"
    return Change(words, at(hold))


# Parts --------------------------------------------------------------------------------------


def _with_stage(context: Context, number: int, stage: Stage) -> Context:
    listed = list(context.policy.stages)
    listed[number] = stage
    return replace(context, policy=changed(context.policy, stages=tuple(listed)))


def _swapped(condition: Condition, old: Versus, new: Versus) -> Condition:
    if condition == old:
        return new
    if isinstance(condition, Combine):
        return replace(condition, parts=tuple(_swapped(p, old, new) for p in condition.parts))
    return condition


def _round(duration: timedelta) -> timedelta:
    """Up to what one would write: minutes, of hours tens of minutes, of days hours."""
    grid = MINUTE
    if duration > 2 * 60 * MINUTE:
        grid = 10 * MINUTE
    if duration > timedelta(days=2):
        grid = 60 * MINUTE
    return -(-duration // grid) * grid


def _two_digits(value: float) -> float:
    """Up to two digits: 4.13 to 4.2."""
    grid = 10.0 ** (floor(log10(value)) - 1)
    return float(f"{ceil(value / grid - 1e-9) * grid:.10g}")
