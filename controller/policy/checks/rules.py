"""Rules that say nothing: they can never fail, never pass, or have nobody to measure."""

from collections.abc import Iterator, Sequence

from controller.policy.checks.context import (
    Context,
    Line,
    about_split,
    percent_text,
    sees_work,
    splits,
    weights,
)
from controller.policy.condition import column_of
from controller.policy.expression import (
    ABOUT_BASELINE,
    ABOUT_CANDIDATE,
    ABOUT_SPLIT,
    Combine,
    Compare,
    Condition,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Versus,
    references,
)
from controller.policy.findings import Finding
from controller.policy.models import Stage
from controller.policy.names import Names
from controller.policy.places import Where
from controller.policy.ranges import can_fail, can_hold
from controller.policy.units import PLAIN

_NOT_A_RATIO = "write 0% to 100%; a number that can be more has no `unit: ratio`"


def thresholds_on_ratios(context: Context) -> Iterator[Finding]:
    """No limit above 1 on a number from 0 to 1: 85 was meant to be 85%."""
    for where, condition in _conditions(context):
        for limit in _limits_on_ratios(condition, context.names):
            if limit.value > 1:
                message = f"{limit.text} on a ratio, which is at most 1"
                meant = limit.unit == PLAIN and limit.value <= 100
                hint = f"did you mean {limit.text}%?" if meant else _NOT_A_RATIO
                yield context.places.inside(where, limit.column, "P333", message, hint)


def _limits_on_ratios(condition: Condition, names: Names) -> Iterator[Number]:
    match condition:
        case (
            Compare(left=Reference() as ref, right=Number() as limit)
            | Compare(left=Number() as limit, right=Reference() as ref)
        ):
            metric = names.measured(ref.key)
            if metric is not None and metric.ratio:
                yield limit
        case Versus():
            if names.metrics[condition.metric].ratio and not condition.relative:
                yield condition.margin
            if names.metrics[condition.metric].ratio and condition.than is not None:
                yield condition.than
        case Combine():
            for part in condition.parts:
                yield from _limits_on_ratios(part, names)
        case Not():
            yield from _limits_on_ratios(condition.part, names)
        case Compare() | MannWhitney() | SplitAsAsked():
            return


def gates_say_something(context: Context) -> Iterator[Finding]:
    """Each line of a gate can pass and can fail, and all of them can pass together."""
    for _, stage, gate in context.gated():
        lines = _plausible(context, gate)
        dead = False
        for line in lines:
            hint = _range_hint(line.condition, context.names)
            if not can_hold([line.condition], context.names):
                dead = True
                message = f"this can never pass: {stage.name} could never be left"
                yield context.places.at(line.where, "P332", message, hint)
            elif not can_fail(line.condition, context.names):
                message = "this can never fail: it checks nothing"
                yield context.places.at(line.where, "P331", message, hint)
        if not dead:
            yield from _exclusive(context, stage, lines)


def _exclusive(context: Context, stage: Stage, gate: list[Line]) -> Iterator[Finding]:
    lines = [line for line in gate if context.acts(line.condition)]
    for count in range(2, len(lines) + 1):
        last = lines[count - 1]
        if can_hold([line.condition for line in lines[:count]], context.names):
            continue
        other = next(
            (
                line.check.check
                for line in lines[: count - 1]
                if not can_hold([line.condition, last.condition], context.names)
            ),
            "the lines before it",
        )
        message = f"this and {other} can never pass together: {stage.name} could never be left"
        yield context.places.at(last.where, "P334", message, "move one of the limits")
        return


def triggers_say_something(context: Context) -> Iterator[Finding]:
    """Each trigger can come true, and is not true of everything that its gate lets pass."""
    for number, trigger, condition in context.guarded():
        where = ("triggers", number, "when")
        if any(limit.value > 1 for limit in _limits_on_ratios(condition, context.names)):
            continue
        hint = _range_hint(condition, context.names)
        if not can_hold([condition], context.names):
            message = f"this can never come true: trigger {trigger.name} guards nothing"
            yield context.places.at(where, "P331", message, hint)
            continue
        if not can_fail(condition, context.names):
            message = f"this is always true: trigger {trigger.name} would never be quiet"
            yield context.places.at(where, "P332", message, hint)
            continue
        quiet = Not(condition, condition.column)
        for at in context.where_applies(trigger, condition):
            gate = [line.condition for line in context.gates[at] if context.acts(line.condition)]
            blocked = can_hold(gate, context.names) and not can_hold([*gate, quiet], context.names)
            if blocked:
                stage = context.policy.stages[at].name
                message = f"whatever the gate of {stage} lets pass sets trigger {trigger.name} off"
                hint = "move the limit of the trigger beyond that of the gate"
                yield context.places.at(where, "P335", message, hint)
                break


def baseline_has_work(context: Context) -> Iterator[Finding]:
    """Nothing is compared with a baseline that has no work, live or before."""
    yield from _restarts_with_baseline(context)
    for number, gate in enumerate(context.gates):
        why = _no_baseline(context, number)
        if why:
            for line in gate:
                place = _reads(line.condition, ABOUT_BASELINE)
                if place:
                    hint = _baseline_hint(number)
                    yield context.places.inside(line.where, place, "P336", why, hint)
    for number, trigger, condition in context.guarded():
        place = _reads(condition, ABOUT_BASELINE)
        if not place:
            continue
        for at in context.where_applies(trigger, condition):
            why = _no_baseline(context, at)
            if why:
                hint = f"{_baseline_hint(at)}; or say with `stages:` where the trigger applies"
                at_trigger = ("triggers", number, "when")
                yield context.places.inside(at_trigger, place, "P336", why, hint)
                break


def both_have_work(context: Context) -> Iterator[Finding]:
    """What is about both versions is not asked where the baseline has no work now; what it was
    before does not pair up with anything, what it still computes does."""
    last = [
        stage.name
        for stage in context.policy.stages
        if stage.against != "shadow_baseline" and any(w >= 100 for w in weights(stage))
    ]
    for number, stage, gate in context.gated():
        for line in gate if stage.name in last else ():
            name = _crossed(line.condition, context.names)
            if name:
                where = ("stages", number, "advance", line.index)
                message = f"{name} is about both versions, and at 100% the baseline has no work"
                hint = "leave the line out of this gate"
                column = column_of(line.condition)
                yield context.places.inside(where, column, "P336", message, hint)
    for number, trigger, condition in context.guarded():
        name = _crossed(condition, context.names)
        applies = context.where_applies(trigger, condition) if name else []
        at_last = [n for n in applies if context.policy.stages[n].name in last]
        if at_last:
            stage_name = context.policy.stages[at_last[0]].name
            message = (
                f"{name} is about both versions, and at 100% in {stage_name} the baseline has no "
                "work: the trigger would be blind"
            )
            when = ("triggers", number, "when")
            hint = "say with `stages:` where the trigger applies"
            column = column_of(condition)
            yield context.places.inside(when, column, "P336", message, hint)


def _crossed(condition: Condition, names: Names) -> str:
    """The first metric about both versions that a condition reads."""
    read = (key.partition(".")[2] for key in references(condition))
    return next(
        (name for name in read if name in names.metrics and names.metrics[name].crossed), ""
    )


def _restarts_with_baseline(context: Context) -> Iterator[Finding]:
    """A start in the middle has measured no baseline that could be frozen."""
    names = [stage.name for stage in context.policy.stages]
    restart = context.policy.rollback.restart
    if restart not in names[1:]:
        return
    number = names.index(restart)
    conditions = [line.condition for line in context.gates[number]]
    conditions += [
        condition
        for _, trigger, condition in context.guarded()
        if number in context.where_applies(trigger, condition)
    ]
    frozen = context.policy.stages[number].against == "frozen_baseline"
    if frozen and any(_reads(condition, ABOUT_BASELINE) for condition in conditions):
        message = f"a restart at {restart} has no frozen baseline to compare with"
        hint = f"restart from {names[0]}, or another stage that is compared live"
        yield context.places.at(("rollback", "restart"), "P336", message, hint)


def _no_baseline(context: Context, number: int) -> str:
    """Why there is no baseline to compare with; empty if there is one."""
    stages = context.policy.stages
    stage = stages[number]
    if stage.against == "frozen_baseline":
        live = [before for before in stages[:number] if before.against != "frozen_baseline"]
        if not live:
            return f"no baseline was measured before {stage.name}"
        if weights(live[-1])[-1:] >= (100,) and live[-1].against == "live":
            return f"{live[-1].name} is at 100%: there is no baseline to freeze for {stage.name}"
        return ""
    if stage.against == "live" and any(weight >= 100 for weight in weights(stage)):
        return f"at 100% in {stage.name} the baseline has no work to compare with"
    return ""


def _baseline_hint(number: int) -> str:
    if number == 0:
        return "begin with a stage below 100%, or compare with a number"
    return (
        "add `against: frozen_baseline` to the stage, or `shadow_baseline` if the baseline still "
        "computes there; or compare with a number"
    )


def work_is_split(context: Context) -> Iterator[Finding]:
    """No split is looked at where nothing is split."""
    hint = "look at it where the weight is above 0% and below 100%, without mirror"
    for number, stage, gate in context.gated():
        whole = [weight for weight in weights(stage) if not 0 < weight < 100]
        if splits(stage) and not whole:
            continue
        how = "mirrored" if stage.mirror else f"at {percent_text((*whole, 0.0)[0])}"
        for line in gate:
            place = _reads(line.condition, (ABOUT_SPLIT,))
            if place:
                where = ("stages", number, "advance", line.index)
                message = f"{stage.name} is {how}: nothing is split there"
                yield context.places.inside(where, place, "P339", message, hint)
    by_name = {stage.name: stage for stage in context.policy.stages}
    for number, trigger, condition in context.guarded():
        if not about_split(condition):
            continue
        for index, name in enumerate(trigger.stages or ()):
            if name in by_name and not splits(by_name[name]):
                at_stage = ("triggers", number, "stages", index)
                message = f"nothing is split in {name}"
                yield context.places.at(at_stage, "P339", message, hint)
        if trigger.stages is None and not any(splits(stage) for stage in context.policy.stages):
            message = f"no stage splits the work: trigger {trigger.name} guards nothing"
            yield context.places.at(("triggers", number, "when"), "P339", message, hint)


def candidate_has_work(context: Context) -> Iterator[Finding]:
    """Nothing is measured of a candidate that sees no work."""
    idle = [
        stage.name for stage in context.policy.stages if weights(stage) and not sees_work(stage)
    ]
    at_first = [
        stage.name for stage in context.policy.stages if 0 in weights(stage) and not stage.mirror
    ]
    for _, stage, gate in context.gated():
        message = f"at 0% without mirror in {stage.name} the candidate has no work to measure"
        for line in gate if stage.name in at_first else ():
            place = _reads(line.condition, ABOUT_CANDIDATE)
            if place:
                hint = "add `mirror: true` to the stage"
                yield context.places.inside(line.where, place, "P337", message, hint)
    for number, trigger, condition in context.guarded():
        if not _reads(condition, ABOUT_CANDIDATE):
            continue
        for index, name in enumerate(trigger.stages or ()):
            if name in idle:
                message = f"at 0% without mirror in {name} the candidate has no work to measure"
                where_stage = ("triggers", number, "stages", index)
                hint = f"leave {name} out, or add `mirror: true` to it"
                yield context.places.at(where_stage, "P337", message, hint)


def _reads(condition: Condition, subjects: tuple[str, ...]) -> int:
    """The column of the condition if it reads one of the subjects, else 0."""
    read = any(key.startswith(subjects) for key in references(condition))
    return column_of(condition) if read else 0


def _conditions(context: Context) -> Iterator[tuple[Where, Condition]]:
    for _, _, gate in context.gated():
        for line in gate:
            yield line.where, line.condition
    for number, _, condition in context.guarded():
        yield ("triggers", number, "when"), condition
    for number, _, _, clear in context.clearing():
        yield ("triggers", number, "clear"), clear


def _plausible(context: Context, gate: Sequence[Line]) -> list[Line]:
    """The lines without a threshold that is reported already."""
    return [
        line
        for line in gate
        if all(limit.value <= 1 for limit in _limits_on_ratios(line.condition, context.names))
    ]


def _range_hint(condition: Condition, names: Names) -> str:
    """From where to where the numbers of a condition go."""
    words: list[str] = []
    for key in dict.fromkeys(references(condition)):
        subject = key.partition(".")[0]
        metric = names.measured(key)
        if metric is not None and metric.ratio:
            differs = subject in ("difference", "shift")
            words.append(f"{key} is from {'-1' if differs else '0'} to 1")
        elif metric is None or metric.low == 0:
            words.append(f"{key} is not below 0")
    return "; ".join(words) or "compare with a limit that can be crossed"
