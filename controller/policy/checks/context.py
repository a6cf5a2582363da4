"""What every check reads, and a few views of a policy that several of them need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from controller.policy.expression import Condition, references
from controller.policy.models import BarCount, ConfigPublisher, Metric, Policy, Stage, Trigger
from controller.policy.names import Names
from controller.policy.places import Places

WATCH = "watch"
"""The stage after promotion."""
ALWAYS = "24/7"
DAY = timedelta(days=1)
DEADLINE_HOLDS = 3
"""A stage without a deadline has so many times its hold."""
_THEN: Mapping[str, str] = {
    "low": "alert", "medium": "hold", "high": "rollback", "critical": "rollback",
}  # fmt: skip
_UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


@dataclass(frozen=True, slots=True)
class Line:
    """One condition of a gate: its index in `advance`, and its tree."""

    index: int
    condition: Condition


@dataclass(frozen=True, slots=True)
class Context:
    """A policy with the conditions that could be parsed. `gates` is in the order of the stages,
    `guards` in that of the triggers (None where it could not be parsed)."""

    policy: Policy
    gates: Sequence[Sequence[Line]]
    guards: Sequence[Condition | None]
    names: Names
    places: Places

    def gated(self) -> Iterator[tuple[int, Stage, Sequence[Line]]]:
        """Number, stage and gate of every stage."""
        for number, stage in enumerate(self.policy.stages):
            yield number, stage, self.gates[number]

    def guarded(self) -> Iterator[tuple[int, Trigger, Condition]]:
        """Number, trigger and condition of every trigger that could be parsed."""
        for number, trigger in enumerate(self.policy.triggers):
            condition = self.guards[number]
            if condition is not None:
                yield number, trigger, condition

    def config_publishers(self) -> list[str]:
        """Names of the targets that publish a configuration."""
        targets = self.policy.publish.items()
        return [name for name, target in targets if isinstance(target, ConfigPublisher)]

    def where_applies(self, trigger: Trigger, condition: Condition) -> list[int]:
        """Numbers of the stages that a trigger guards. One about the candidate guards nothing
        where the candidate sees no work."""
        return [
            number
            for number, stage in enumerate(self.policy.stages)
            if (trigger.stages is None or stage.name in trigger.stages)
            and (not about_candidate(condition) or sees_work(stage))
        ]


def weights(stage: Stage) -> tuple[float, ...]:
    """Per cent of every step."""
    if stage.weights is not None:
        return stage.weights
    return () if stage.weight is None else (stage.weight,)


def sees_work(stage: Stage) -> bool:
    """Whether the candidate sees any work in the stage."""
    return stage.mirror or any(weight > 0 for weight in weights(stage))


def about_candidate(condition: Condition) -> bool:
    """Whether a condition reads anything of the candidate."""
    return any(key.startswith(("candidate.", "difference.")) for key in references(condition))


def deadline(stage: Stage) -> timedelta:
    """The declared deadline, or three times the hold."""
    return stage.deadline.after if stage.deadline else DEADLINE_HOLDS * stage.hold


def window_length(context: Context, metric: Metric) -> timedelta | None:
    """How much open time a metric judges; None where only the calendar or the rollout can say."""
    window = metric.window
    if not isinstance(window, BarCount):
        return window if isinstance(window, timedelta) else None
    whole = metric.bar == DAY and context.policy.schedule.calendar != ALWAYS
    return None if whole or metric.bar is None else window.count * metric.bar


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
