"""Counting: confirmations that can come, unknowns that mean something, triggers that clear."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from controller.policy.checks.context import (
    Context,
    action,
    deadline,
    duration_text,
    ignores,
    longest_stay,
    unmeasured,
)
from controller.policy.document import Mapping
from controller.policy.expression import Guard, Not, references
from controller.policy.findings import Finding
from controller.policy.models import Stage, Trigger, Unknown
from controller.policy.places import Where
from controller.policy.ranges import can_hold, surely_can_hold

MOST_REMEMBERED = 1000
"""Looks that a confirmation may look back on."""
_NEVER_A_PASS: dict[Literal["no_data", "error"], str] = {"no_data": "no data", "error": "an error"}


def samples_are_counted(context: Context) -> Iterator[Finding]:
    """`min_samples` of a trigger that reads no metric changes nothing."""
    for number, trigger, condition in context.guarded():
        read = [context.names.measured(key) for key in references(condition)]
        silent_only = all(metric is None for metric in read)
        if trigger.min_samples is not None and silent_only:
            message = f"trigger {trigger.name} counts no samples: it looks at silence only"
            where = ("triggers", number, "min_samples")
            yield context.places.at_key(where, "P344", message, "leave it out")


def confirmations(context: Context) -> Iterator[Finding]:
    """`k of n` with 0 < k <= n, not for ever, and for a check before its stage must be done."""
    tick = context.policy.schedule.tick
    for where, confirm, stage in _confirmed(context):
        numbers = [int(found) for found in re.findall(r"\d+", confirm)]
        times, window = numbers[0], numbers[-1]
        message = hint = ""
        if times == 0:
            message, hint = "confirmed by nothing", "write at least 1, or leave it out"
        elif times > window:
            message = f"{times} of {window} can never be seen"
            hint = f"did you mean '{window} of {times}'?"
        elif window > MOST_REMEMBERED:
            message, hint = f"{window} looks are too many", f"at most {MOST_REMEMBERED}"
        elif stage is not None and times * tick > deadline(stage) > timedelta(0):
            message = (
                f"{times} looks take {duration_text(times * tick)}, and {stage.name} must be done "
                f"after {duration_text(deadline(stage))}"
            )
            hint = "ask for fewer, or write a later `deadline`"
        if message:
            yield context.places.at(where, "P343", message, hint)


def _confirmed(context: Context) -> Iterator[tuple[Where, str, Stage | None]]:
    for number, trigger in enumerate(context.policy.triggers):
        if trigger.confirm is not None:
            yield ("triggers", number, "confirm"), trigger.confirm, None
    for number, stage in enumerate(context.policy.stages):
        for index, check in enumerate(stage.advance):
            if check.confirm is not None:
                yield ("stages", number, "advance", index, "confirm"), check.confirm, stage


def durations_can_pass(context: Context) -> Iterator[Finding]:
    """`for` and `fail_after` are shorter than all the time that the stages can take."""
    for number, trigger, condition in context.guarded():
        stages = [context.policy.stages[at] for at in context.where_applies(trigger, condition)]
        longest = sum((longest_stay(stage) for stage in stages), timedelta(0))
        whose = f"the stages of {trigger.name}"
        for where, duration in _lasting(("triggers", number), trigger.for_, trigger.unknown):
            yield from _never_seen(context, where, duration, longest, whose)
    for number, stage in enumerate(context.policy.stages):
        for index, check in enumerate(stage.advance):
            at = ("stages", number, "advance", index)
            for where, duration in _lasting(at, None, check.unknown):
                yield from _never_seen(context, where, duration, longest_stay(stage), stage.name)


def _lasting(
    where: Where, for_: timedelta | None, unknown: Unknown | None
) -> Iterator[tuple[Where, timedelta]]:
    if for_ is not None:
        yield (*where, "for"), for_
    for outcome, means in unmeasured(unknown):
        if means.fail_after is not None:
            yield (*where, "unknown", outcome, "fail_after"), means.fail_after


def _never_seen(
    context: Context, where: Where, duration: timedelta, longest: timedelta, whose: str
) -> Iterator[Finding]:
    if duration >= longest > timedelta(0):
        message = (
            f"{duration_text(duration)} can never be seen: {whose} end after "
            f"{duration_text(longest)} at the latest"
        )
        hint = "write a shorter duration, or let the trigger apply to more stages"
        if where[0] == "stages":
            message = message.replace(" end after", " ends after")
            hint = "write a shorter duration"
        yield context.places.at(where, "P343", message, hint)


# Unknown ----------------------------------------------------------------------------------


def unknowns_mean_something(context: Context) -> Iterator[Finding]:
    """Every word under `unknown` makes a difference to its rule."""
    for number, trigger, condition in context.guarded():
        where: Where = ("triggers", number, "unknown")
        yield from _says_something(context, where, trigger.unknown)
        forgets = trigger.confirm or trigger.for_ or action(trigger) != "rollback"
        for outcome, means in unmeasured(trigger.unknown):
            message = ""
            if means.meanwhile == "ignore" and action(trigger) == "alert":
                message = f"trigger {trigger.name} only alerts: it stands in nobody's way"
            elif means.meanwhile == "reset" and not forgets and context.acts(condition):
                message = f"trigger {trigger.name} counts nothing that could be forgotten"
            if message:
                yield context.places.at((*where, outcome), "P344", message, "leave it out")
    for number, stage in enumerate(context.policy.stages):
        for index, check in enumerate(stage.advance):
            where = ("stages", number, "advance", index, "unknown")
            yield from _says_something(context, where, check.unknown)
            for outcome, means in unmeasured(check.unknown):
                if means.meanwhile == "reset" and check.confirm is None:
                    message = "this check counts nothing that could be forgotten"
                    hint = "leave it out, or add `confirm: 3 in a row`"
                    yield context.places.at((*where, outcome), "P344", message, hint)


def _says_something(context: Context, where: Where, unknown: Unknown | None) -> Iterator[Finding]:
    node = context.places.node(where)
    if unknown is not None and isinstance(node, Mapping) and not node.entries:
        hint = "leave it out, or say what no_data, error or inconclusive means"
        yield context.places.at_key(where, "P344", "nothing is said of any outcome", hint)


def gates_ask_something(context: Context) -> Iterator[Finding]:
    """A gate has a check that acts, and one that no measurement keeps shut (rule 1)."""
    for number, stage, gate in context.gated():
        if not gate or len(gate) < len(stage.advance):
            continue
        where = ("stages", number, "advance")
        acting = [line for line in gate if context.acts(line.condition)]
        if not acting:
            message = f"every check of {stage.name} is on a dry run: nothing has to pass"
            hint = "add a check of a metric without `dry_run`"
            yield context.places.at_key(where, "P363", message, hint)
            continue
        for outcome, word in _NEVER_A_PASS.items():
            if all(ignores(line.check.unknown, outcome) for line in acting):
                message = f"every check of {stage.name} ignores {word}: no measurement would pass"
                hint = f"let one of them hold: leave `{outcome}: ignore` out"
                yield context.places.at_key(where, "P362", message, hint)
                break


# Leaving a trigger ------------------------------------------------------------------------


def clears_fit(context: Context) -> Iterator[Finding]:
    """`clear` is about what `when` is about, can come true, and never with it."""
    for number, trigger, guard, clear in context.clearing():
        where = ("triggers", number, "clear")
        strangers = [key for key in references(clear) if key not in references(guard.when)]
        hint = "clear on what `when` reads"
        if strangers:
            message = f"`when` does not read {strangers[0]}"
        elif not can_hold([clear], context.names):
            message = f"this can never come true: trigger {trigger.name} would fire for ever"
            hint = "compare with a limit that can be crossed"
        elif surely_can_hold([guard.when, clear], context.names):
            message = f"the same values set trigger {trigger.name} off and clear it"
            hint = f"leave a gap between this and {trigger.when}"
        else:
            yield from _clears_something(context, where, trigger, guard)
            continue
        yield context.places.at(where, "P361", message, hint)


def _clears_something(
    context: Context, where: Where, trigger: Trigger, guard: Guard
) -> Iterator[Finding]:
    assert guard.clear is not None
    message = hint = ""
    if action(trigger) == "rollback" and context.acts(guard.when):
        message = f"trigger {trigger.name} rolls back at once: there is nothing to clear"
        hint = "leave it out, or write `then: hold`"
    elif not re.search("of|total", trigger.confirm or ""):
        between = [Not(condition, condition.column) for condition in (guard.when, guard.clear)]
        if not can_hold(between, context.names):
            message = f"it says no more than that {trigger.when} is over"
            hint = "leave it out, or clear at a level further away"
    if message:
        yield context.places.at_key(where, "P344", message, hint)
