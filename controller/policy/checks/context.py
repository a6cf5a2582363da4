"""What every check reads, and a few views of a policy that several of them need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from msgspec.structs import fields

from controller.policy.expression import (
    ABOUT_CANDIDATE,
    ABOUT_SPLIT,
    Condition,
    Guard,
    references,
)
from controller.policy.models import Check, Policy, Stage, Trigger, Unknown, Unmeasured
from controller.policy.names import Names
from controller.policy.places import Places, Where
from controller.policy.publisher import ConfigPublisher

WATCH = "watch"
"""The stage after promotion."""
DEADLINE_HOLDS = 3
"""A stage without a deadline has so many times its hold."""
_THEN: Mapping[str, str] = {
    "low": "alert", "medium": "hold", "high": "rollback", "critical": "rollback",
}  # fmt: skip
_UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


@dataclass(frozen=True, slots=True)
class Line:
    """One check of a gate: its number in `advance`, as written, its tree, and where its condition
    stands."""

    index: int
    check: Check
    condition: Condition
    where: Where


@dataclass(frozen=True, slots=True)
class Context:
    """A policy with the conditions that could be parsed. `gates` is in the order of the stages,
    `guards` in that of the triggers (None where it could not be parsed)."""

    policy: Policy
    gates: Sequence[Sequence[Line]]
    guards: Sequence[Guard | None]
    names: Names
    places: Places
    environment: Mapping[str, str] | None = None
    """The variables that are set; None where nobody should mind that one is not."""

    def gated(self) -> Iterator[tuple[int, Stage, Sequence[Line]]]:
        """Number, stage and gate of every stage."""
        for number, stage in enumerate(self.policy.stages):
            yield number, stage, self.gates[number]

    def guarded(self) -> Iterator[tuple[int, Trigger, Condition]]:
        """Number, trigger and condition of every trigger that could be parsed."""
        for number, trigger in enumerate(self.policy.triggers):
            guard = self.guards[number]
            if guard is not None:
                yield number, trigger, guard.when

    def clearing(self) -> Iterator[tuple[int, Trigger, Guard, Condition]]:
        """Number, trigger, conditions and `clear` of every trigger that has one."""
        for number, trigger in enumerate(self.policy.triggers):
            guard = self.guards[number]
            if guard is not None and guard.clear is not None:
                yield number, trigger, guard, guard.clear

    def acts(self, condition: Condition) -> bool:
        """Whether a rule may act or stand in the way: it reads no metric that is on a dry run."""
        return not reads_dry_run(condition, self.policy)

    def config_publishers(self) -> list[str]:
        """Names of the targets that publish a configuration."""
        targets = self.policy.publish.items()
        return [name for name, target in targets if isinstance(target, ConfigPublisher)]

    def where_applies(self, trigger: Trigger, condition: Condition) -> list[int]:
        """Numbers of the stages that a trigger guards. One about the candidate guards nothing
        where the candidate sees no work, one about the split nothing where nothing is split."""
        return [
            number
            for number, stage in enumerate(self.policy.stages)
            if (trigger.stages is None or stage.name in trigger.stages)
            and (not about_candidate(condition) or sees_work(stage))
            and (not about_split(condition) or splits(stage))
        ]


def weights(stage: Stage) -> tuple[float, ...]:
    """Per cent of every step."""
    if stage.weights is not None:
        return stage.weights
    return () if stage.weight is None else (stage.weight,)


def sees_work(stage: Stage) -> bool:
    """Whether the candidate sees any work in the stage."""
    return stage.mirror or any(weight > 0 for weight in weights(stage))


def reads_dry_run(condition: Condition, policy: Policy) -> bool:
    """Whether a condition reads a metric that is on a dry run."""
    sides = ((key.partition(".")[0], key.partition(".")[2]) for key in references(condition))
    return any(
        name in policy.metrics and policy.metrics[name].dry_run
        for side, name in sides
        if side not in policy.sources
    )


def unmeasured(unknown: Unknown | None) -> Iterator[tuple[str, Unmeasured]]:
    """Every outcome that is no measurement, and what it means for a rule that says so."""
    for field in fields(Unknown) if unknown is not None else ():
        yield field.name, getattr(unknown, field.name)


def ignores(unknown: Unknown | None, outcome: Literal["no_data", "error", "inconclusive"]) -> bool:
    """Whether an outcome that is no measurement never stands in a rule's way."""
    if unknown is None:
        return False
    means: Unmeasured = getattr(unknown, outcome)
    return means.meanwhile == "ignore" and means.fail_after is None


def about_candidate(condition: Condition) -> bool:
    """Whether a condition reads anything of the candidate."""
    return any(key.startswith(ABOUT_CANDIDATE) for key in references(condition))


def about_split(condition: Condition) -> bool:
    """Whether a condition asks if the work is split as it should be."""
    return any(key.startswith(ABOUT_SPLIT) for key in references(condition))


def splits(stage: Stage) -> bool:
    """Whether a step of the stage splits the work between both versions."""
    return not stage.mirror and any(0 < weight < 100 for weight in weights(stage))


def deadline(stage: Stage) -> timedelta:
    """The declared deadline, or three times the hold."""
    return stage.deadline.after if stage.deadline else DEADLINE_HOLDS * stage.hold


def longest_stay(stage: Stage) -> timedelta:
    """The most open time in all steps of a stage: their deadlines, and the wait for approvals."""
    each = deadline(stage) + (stage.approval.within if stage.approval else timedelta(0))
    return len(weights(stage)) * each


def action(trigger: Trigger) -> str:
    """What a trigger does: what it says, or what its severity means."""
    return trigger.then or _THEN[trigger.severity]


def duration_text(duration: timedelta) -> str:
    """`1h30m`, `250ms`: as a policy would write it."""
    rest = duration // timedelta(milliseconds=1)
    parts: list[str] = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        parts += [f"{count}{name}"] if count else []
    return "".join(parts) + (f"{rest}ms" if rest or not parts else "")


def percent_text(percent: float) -> str:
    """`5%`, `0.5%`."""
    return f"{percent:.10g}%"
