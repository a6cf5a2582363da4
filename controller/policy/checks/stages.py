"""The way forward: weights, holds and deadlines."""

from collections.abc import Iterator

from controller.policy.checks.context import (
    WATCH,
    Context,
    duration_text,
    percent_text,
    weights,
)
from controller.policy.expression import references
from controller.policy.findings import Finding
from controller.policy.models import Stage
from controller.policy.sampling import judged_time

GRID_PERCENT = 0.001
"""Shares are multiples of this."""


def one_kind_of_weight(context: Context) -> Iterator[Finding]:
    """Exactly one of `weight` and `weights`, on the grid of shares."""
    for number, stage in enumerate(context.policy.stages):
        where = ("stages", number)
        if stage.weight is not None and stage.weights is not None:
            message = f"stage {stage.name} has both weight and weights"
            yield context.places.at_key((*where, "weights"), "P311", message, "keep one of them")
        if not weights(stage):
            message = f"stage {stage.name} has no weight"
            hint = "add `weight: 5%`, or `weights: [25%, 50%]`"
            yield context.places.at(where, "P311", message, hint)
        for place, weight in _placed(stage):
            if abs(weight / GRID_PERCENT - round(weight / GRID_PERCENT)) > 1e-6:
                message = f"{percent_text(weight)} is not a multiple of {GRID_PERCENT}%"
                hint = f"write {percent_text(round(weight, 3))}"
                yield context.places.at((*where, *place), "P311", message, hint)


def weights_rise(context: Context) -> Iterator[Finding]:
    """Over all stages and steps no weight falls; within `weights` each one rises."""
    highest, of_stage = 0.0, ""
    for number, stage in enumerate(context.policy.stages):
        for index, (place, weight) in enumerate(_placed(stage)):
            where = ("stages", number, *place)
            if weight < highest:
                message = (
                    f"{stage.name} goes down to {percent_text(weight)} after "
                    f"{percent_text(highest)} in {of_stage}"
                )
                hint = "weights rise on the way forward; the way down is a rollback"
                yield context.places.at(where, "P312", message, hint)
            elif weight == highest and index:
                message = f"{percent_text(weight)} is there twice in a row"
                yield context.places.at(where, "P312", message, "each step must rise")
            if weight >= highest:
                highest, of_stage = weight, stage.name


def _placed(stage: Stage) -> list[tuple[tuple[str | int, ...], float]]:
    """Every weight and its place within the stage."""
    if stage.weights is not None:
        return [(("weights", index), weight) for index, weight in enumerate(stage.weights)]
    return [] if stage.weight is None else [(("weight",), stage.weight)]


def ends_whole(context: Context) -> Iterator[Finding]:
    """The last stage is at 100%; `watch` is the last, and at 100%."""
    stages = context.policy.stages
    last = weights(stages[-1])
    if last and last[-1] < 100:
        message = f"the rollout would end at {percent_text(last[-1])}"
        hint = "add `- {name: full, weight: 100%, hold: 1h}` as the last stage"
        where = ("stages", len(stages) - 1, _placed(stages[-1])[-1][0][0])
        yield context.places.at(where, "P313", message, hint)
    for number, stage in enumerate(stages):
        if stage.name != WATCH:
            continue
        where_name = ("stages", number, "name")
        if number != len(stages) - 1:
            hint = "watch comes after promotion: make it the last, or rename it"
            yield context.places.at(where_name, "P314", "watch is not the last stage", hint)
        elif weights(stage) != (100,):
            hint = "watch comes after promotion: write `weight: 100%`, or rename it"
            yield context.places.at(where_name, "P314", "watch is not at 100%", hint)
        elif number == 0:
            hint = "add a stage before it, such as `- {name: canary, weight: 5%, hold: 1h}`"
            yield context.places.at(where_name, "P314", "watch is the only stage", hint)


def holds_cover_windows(context: Context) -> Iterator[Finding]:
    """A gate judges work of its own stage: the hold is at least as long as each window."""
    for number, stage, gate in context.gated():
        read = {key for line in gate for key in references(line.condition)}
        for key in sorted(read):
            subject, _, name = key.partition(".")
            metric = context.policy.metrics.get(name)
            if metric is None or subject in context.policy.sources:
                continue
            if subject in ("difference", "estimate"):
                continue  # what is compared begins with the stage, whatever the window
            if subject == "baseline" and stage.against == "frozen_baseline":
                continue
            length = judged_time(context.policy, metric)
            if length is not None and stage.hold < length:
                window = duration_text(length)
                message = (
                    f"{stage.name} holds for {duration_text(stage.hold)}, but its gate judges "
                    f"{window} of {name}: it would judge work from before the stage"
                )
                hint = f"write `hold: {window}`, or give {name} a shorter window"
                yield context.places.at(("stages", number, "hold"), "P315", message, hint)
                break


def stages_end(context: Context) -> Iterator[Finding]:
    """A gate has a hold or a deadline, a stage on the way something to wait for, and no deadline
    cuts a hold."""
    last = len(context.policy.stages) - 1
    for number, stage in enumerate(context.policy.stages):
        if number < last and not (stage.hold or stage.advance or stage.approval):
            message = f"{stage.name} would be over as soon as it has begun"
            yield context.places.at(
                ("stages", number), "P316", message, "add `hold: 1h`, or a gate"
            )
        if stage.advance and stage.deadline is None and not stage.hold:
            message = f"{stage.name} could wait for its gate for ever"
            hint = "add `hold: 1h` (the deadline is then three times that), or a `deadline`"
            yield context.places.at_key(("stages", number, "advance"), "P316", message, hint)
        if stage.hold and stage.deadline is not None and stage.deadline.after <= stage.hold:
            message = (
                f"{stage.name} must be done after {duration_text(stage.deadline.after)}, and its "
                f"hold alone takes {duration_text(stage.hold)}"
            )
            where = ("stages", number, "deadline", "after")
            hint = f"write `after: {duration_text(3 * stage.hold)}`"
            yield context.places.at(where, "P317", message, hint)
