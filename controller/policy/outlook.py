"""What every step has to look forward to: the samples and effects of each of its rules."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.policy.checks.context import Context
from controller.policy.evidence import Evidence
from controller.policy.expected import Samples, Step, samples_of, steps_of
from controller.policy.expression import Condition, references
from controller.policy.feasibility import Effect, effects_of
from controller.policy.levels import gate_level, trigger_level


@dataclass(frozen=True, slots=True)
class RuleOutlook:
    """One line of a gate, or (`trigger` is its name) the comparisons of a trigger. `unknown` are
    compared metrics of which nobody knows how much they vary."""

    rule: str
    trigger: str
    samples: tuple[Samples, ...]
    effects: tuple[Effect, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """One step, and its rules in order: the gate, then triggers that compare."""

    step: Step
    rules: tuple[RuleOutlook, ...]


def outlooks(context: Context, evidence: Evidence) -> Iterator[Outlook]:
    """Of every step, in the order of the plan's."""
    policy = context.policy
    gates = {s.name: [line.condition for line in gate] for _, s, gate in context.gated()}
    guards = {
        trigger.name: guard
        for trigger, guard in zip(policy.triggers, context.guards, strict=True)
        if guard is not None
    }
    level = trigger_level(policy, gates, guards)
    for step in steps_of(policy, evidence):
        rules = [
            _rule(step, line.check.check, "", line.condition, gate_level(policy, line.condition),
                  level, None)
            for line in context.gates[step.number]
        ]  # fmt: skip
        rules += [
            _rule(step, trigger.when, trigger.name, when, level, level, trigger.min_samples)
            for _, trigger, when in context.guarded()
            if step.number in context.where_applies(trigger, when) and _compares(when)
        ]
        yield Outlook(step, tuple(rules))


def _compares(condition: Condition) -> bool:
    return any(
        key.startswith(("difference.", "estimate.", "shift.", "split."))
        for key in references(condition)
    )


def _rule(
    step: Step,
    rule: str,
    trigger: str,
    condition: Condition,
    comparison: float,
    split: float,
    min_samples: int | None,
) -> RuleOutlook:
    compared = {
        name
        for subject, _, name in (key.partition(".") for key in references(condition))
        if subject in ("difference", "estimate", "shift")
    }
    return RuleOutlook(
        rule,
        trigger,
        tuple(samples_of(step, condition, min_samples)),
        tuple(effects_of(step, condition, comparison, split, min_samples)),
        tuple(sorted(compared - set(step.evidence.spreads))),
    )
