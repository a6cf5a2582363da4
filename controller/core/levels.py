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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.policy.expression import Combine, Condition, Not, SplitAsAsked, Versus

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
