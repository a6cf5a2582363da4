"""How the probability of a false alarm is shared among the comparisons of a policy.

A gate lets pass when all of its lines do. A candidate that is too bad on one metric passes wrongly
only if that metric's line does, so each line may have all of `false_alarm` (an intersection-union
test; Berger, 1982), in every step alike: to arrive at the end, it would have to pass them all.
Lines joined by `or` within a condition share it.

Triggers are the other way round: any of them takes the rollout back, in any step, and each step
begins a set of its own. So all comparisons of triggers share `false_alarm`, in equal parts
(Bonferroni). One row of bounds serves every margin, so a metric counts once a step however often it
is compared, and once at all when its window is the rollout. Holm's step-down procedure would give
the first alarm the same level, and there is no second: the rollout is on its way back.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.policy.checks.context import weights
from controller.policy.expression import (
    ABOUT_CANDIDATE,
    ABOUT_SPLIT,
    Combine,
    Condition,
    Guard,
    Not,
    SplitAsAsked,
    Versus,
    references,
)
from controller.policy.models import Policy

Statement = tuple[str, float]
"""What has one row of bounds: the key, and how many baselines the candidate is taken less."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Error probabilities over all looks: of comparisons, and of splits."""

    comparison: float
    split: float


def statements(condition: Condition) -> Iterator[Statement]:
    """The comparisons of a condition that share the level, repeats included."""
    match condition:
        case Versus():
            yield condition.key, condition.ratio
        case SplitAsAsked():
            yield condition.key, 0.0
        case Combine():
            for part in condition.parts:
                yield from statements(part)
        case Not():
            yield from statements(condition.part)
        case _:
            return


def alternatives(condition: Condition, *, holds: bool = True) -> int:
    """How many comparisons could each, alone, make a condition hold (or fail) wrongly."""
    match condition:
        case Versus():
            return 1
        case Not():
            return alternatives(condition.part, holds=not holds)
        case Combine():
            counts = [alternatives(part, holds=holds) for part in condition.parts]
            return max(counts) if (condition.operator == "and") == holds else sum(counts)
        case _:
            return 0


def shared(
    looks: Iterable[tuple[str, Condition]], whole_rollout: Mapping[str, bool]
) -> frozenset[tuple[str, Statement]]:
    """What shares the level: by step, but for metrics whose window is the rollout. `looks` are
    names of steps and the conditions that are looked at there."""
    return frozenset(
        ("" if whole_rollout.get(found[0].partition(".")[2]) else step, found)
        for step, condition in looks
        for found in statements(condition)
    )


def split_only(condition: Condition) -> Iterator[Condition]:
    """The parts of a gate that share the level: a split that is wrongly refused stops it."""
    if isinstance(condition, SplitAsAsked):
        yield condition
    elif isinstance(condition, Combine):
        for part in condition.parts:
            yield from split_only(part)
    elif isinstance(condition, Not):
        yield from split_only(condition.part)


def gate_level(policy: Policy, condition: Condition) -> float:
    """Error probability of each comparison of a gate's line, over all looks."""
    return policy.false_alarm / max(1, alternatives(condition))


def trigger_level(
    policy: Policy, gates: Mapping[str, Sequence[Condition]], guards: Mapping[str, Guard]
) -> float:
    """The part of the false alarms that each comparison of a trigger, and each split, has."""
    looks: list[tuple[str, Condition]] = []
    for stage in policy.stages:
        for weight in weights(stage):
            step = f"{stage.name} {weight}"
            splits = [part for line in gates.get(stage.name, ()) for part in split_only(line)]
            looks += [(step, part) for part in splits]
            looks += [
                (step, guards[trigger.name].when)
                for trigger in policy.triggers
                if trigger.name in guards
                and (trigger.stages is None or stage.name in trigger.stages)
                and can_say(
                    tuple(references(guards[trigger.name].when)),
                    works=stage.mirror or weight > 0,
                    split=not stage.mirror and 0 < weight < 100,
                )
            ]
    whole = {name: metric.window == "rollout" for name, metric in policy.metrics.items()}
    count = len(shared(looks, whole)) if policy.correction == "bonferroni" else 1
    return policy.false_alarm / max(1, count)


def can_say(keys: Collection[str], *, works: bool, split: bool) -> bool:
    """Where the candidate sees no work at all nothing can be said about it, and where the work is
    not split nothing about the split."""
    if not works and any(key.startswith(ABOUT_CANDIDATE) for key in keys):
        return False
    return split or not any(key.startswith(ABOUT_SPLIT) for key in keys)
