"""What the traffic cannot bring in time: too few samples, or comparisons that stay undecided."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.policy.checks.context import Context, ignores
from controller.policy.evidence import Evidence
from controller.policy.expected import Samples, Step, samples_of, steps_of
from controller.policy.expression import Condition
from controller.policy.feasibility import Effect, effects_of
from controller.policy.levels import gate_level, trigger_level
from controller.policy.places import Where


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What cannot be had in time: samples, or an effect that is small enough. `where` is the line,
    of a gate or (`trigger`, its number) of a trigger; `index` the line's number in its gate."""

    where: Where
    step: Step
    condition: Condition
    samples: Samples | None = None
    effect: Effect | None = None
    index: int = 0
    trigger: int | None = None


def shortfalls(
    context: Context, evidence: Evidence, only: Where | None = None
) -> Iterator[Shortfall]:
    """The first that each line falls short of; `only` of the one that is there."""
    steps = list(steps_of(context.policy, evidence))
    gates = {stage.name: [line.condition for line in gate] for _, stage, gate in context.gated()}
    guards = {
        trigger.name: guard
        for trigger, guard in zip(context.policy.triggers, context.guards, strict=True)
        if guard is not None
    }
    level = trigger_level(context.policy, gates, guards)
    for number, _, gate in context.gated():
        for line in gate:
            if only is not None and tuple(only) != tuple(line.where):
                continue
            if not context.acts(line.condition) or ignores(line.check.unknown, "inconclusive"):
                continue
            comparison = gate_level(context.policy, line.condition)
            found = (
                Shortfall(line.where, step, line.condition, few, effect, line.index)
                for step in steps
                if step.number == number
                for few, effect in _short(step, line.condition, comparison, level)
            )
            yield from _first(found)
    for number, trigger, condition in context.guarded():
        at = context.where_applies(trigger, condition)
        where = ("triggers", number, "when")
        if only is not None and tuple(only) != where:
            continue
        found = (
            Shortfall(where, step, condition, few, trigger=number)
            for step in steps
            if step.number in at
            for few, _ in _short(step, condition, level, level, trigger.min_samples)
            if few is not None
        )
        yield from _first(found)


def _first(found: Iterator[Shortfall]) -> Iterator[Shortfall]:
    first = next(found, None)
    if first is not None:
        yield first


def _short(
    step: Step,
    condition: Condition,
    comparison: float,
    split: float,
    min_samples: int | None = None,
) -> Iterator[tuple[Samples | None, Effect | None]]:
    few = [found for found in samples_of(step, condition, min_samples) if not found.enough]
    yield from ((found, None) for found in few)
    for effect in effects_of(step, condition, comparison, split, min_samples) if not few else ():
        guessed = effect.spread is not None and effect.spread.origin == "worst"
        if effect.undecided and not guessed:
            yield None, effect
