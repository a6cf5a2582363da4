"""How the writing of orders passes from the baseline's process to the candidate's."""

from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta
from msgspec import field as key

from controller.policy.values import Duration, Model, Name, Path, Patience, Percent, Ticks

LOOKS = 20
"""Ticks for an agreement, and of a ramp, where the policy says nothing."""
Count = Annotated[int, Meta(ge=0, le=10_000_000)]


class Seats(Model, frozen=True, kw_only=True):
    """The two processes. Each says what it does in NAME.json in one directory, and reads there, in
    writer.json, who writes orders."""

    directory: Annotated[Path, Meta(description="Where they and the controller meet")]
    baseline: Annotated[Name, Meta(description="The process that runs the baseline")]
    candidate: Annotated[Name, Meta(description="The process that runs the candidate")]
    within: Annotated[
        Duration,
        Meta(
            description="Open time for each answer that needs no market: the copy, the fence, the "
            "first word of the new writer. Silence goes back"
        ),
    ] = timedelta(minutes=1)


class Ready(Model, frozen=True, kw_only=True):
    """When the candidate's process is warm. All its targets must be finite as well."""

    bars: Annotated[
        Count, Meta(description="Bars seen without a gap: at least its longest look back")
    ]
    decisions: Annotated[Count, Meta(description="Decisions made in shadow")] = 0


class Reproduce(Model, frozen=True, kw_only=True):
    """How far what the candidate makes of the copied state may be from what the baseline holds."""

    position: Annotated[
        float, Meta(ge=0, le=1e12, description="Of each instrument, in the position's own unit")
    ] = 0.0
    risk: Annotated[
        Percent, Meta(description="Of each number of risk, as a part of the baseline's")
    ] = 0.1


class HandedPosition(Model, frozen=True, kw_only=True):
    """What becomes of the position."""

    mode: Annotated[
        Literal["transfer", "converge", "drain", "flatten"],
        Meta(
            description="`transfer`: the candidate takes it over and goes to its own target; "
            "`converge`: it goes there by the `ramp`; `drain`: the baseline only reduces it until "
            "it is flat; `flatten`: the baseline closes it"
        ),
    ] = "transfer"
    within: Annotated[
        Patience | None, Meta(description="Of `drain` and `flatten`: open time until it is flat")
    ] = None
    otherwise: Annotated[
        Literal["flatten", "rollback"] | None,
        Meta(description="When `drain` takes longer. Without it: rollback"),
    ] = key(name="else", default=None)


class Handover(Model, frozen=True, kw_only=True):
    """One writer of orders at any time, under a fence that rises with each: see
    [handover](handover.md). The candidate's process warms up from the start; in `stage` it takes
    over, and the stage is not left before it writes. The baseline's stays warm until the rollout is
    completed, and writes again at once in every rollback."""

    processes: Annotated[Seats, Meta(description="Who hands over to whom")]
    ready: Annotated[Ready, Meta(description="When the candidate's process is warm")]
    stage: Annotated[
        Name | None,
        Meta(description="Where it takes over. Without it: the last stage before `watch`"),
    ] = None
    reproduce: Annotated[
        Reproduce, Meta(description="What the candidate must reproduce from the baseline's state")
    ] = Reproduce()
    when: Annotated[
        Literal["targets_agree", "ready"] | None,
        Meta(
            description="Once both want the same of every instrument at the same bar, or as soon "
            "as it is ready. Without it: `targets_agree`, where the position is not closed before"
        ),
    ] = None
    band: Annotated[
        float | None,
        Meta(ge=0, le=1e12, description="Targets no further apart than this agree. Without it: 0"),
    ] = None
    within: Annotated[
        Patience | None,
        Meta(description=f"For the agreement, then `else`. Without it: {LOOKS} ticks"),
    ] = None
    otherwise: Annotated[
        Literal["ramp", "rollback"] | None,
        Meta(
            description="Without an agreement: take over all the same and go to the own target by "
            "the `ramp`, or go back. Without it: ramp"
        ),
    ] = key(name="else", default=None)
    ramp: Annotated[
        Patience | None,
        Meta(
            description="How long the new writer takes from the position that it takes over to its "
            f"own target, in equal parts. Without it: {LOOKS} ticks"
        ),
    ] = None
    position: Annotated[HandedPosition, Meta(description="What becomes of the position")] = (
        HandedPosition()
    )


def closes(said: Handover) -> bool:
    """Whether the position is closed before the candidate writes."""
    return said.position.mode in ("drain", "flatten")


def agrees(said: Handover) -> bool:
    """Whether both targets must agree first."""
    return (said.when or ("ready" if closes(said) else "targets_agree")) == "targets_agree"


def may_ramp(said: Handover) -> bool:
    """Whether there can be a ramp."""
    fallback = agrees(said) and (said.otherwise or "ramp") == "ramp"
    return not closes(said) and (fallback or said.position.mode == "converge")


def span_of(patience: timedelta | Ticks | None, tick: timedelta) -> timedelta:
    """As a duration; without one, `LOOKS` ticks."""
    if patience is None:
        return LOOKS * tick
    return patience.count * tick if isinstance(patience, Ticks) else patience
