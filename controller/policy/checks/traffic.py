"""What the traffic cannot decide in time is said before the start, with what would do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from controller.policy.checks.context import Context, duration_text, percent_text
from controller.policy.checks.remedies import remedies
from controller.policy.checks.shortfalls import Shortfall, shortfalls
from controller.policy.document import Scalar
from controller.policy.evidence import Evidence, declared
from controller.policy.expected import Step
from controller.policy.expression import SplitAsAsked
from controller.policy.feasibility import HOW, Effect, basis, difference_text
from controller.policy.findings import Finding
from controller.policy.functions import write_call
from controller.policy.sampling import ALWAYS


def evidence_of(context: Context) -> Evidence:
    """What the policy itself says of the work."""
    conditions = [line.condition for _, _, gate in context.gated() for line in gate]
    conditions += [condition for _, _, condition in context.guarded()]
    return declared(context.policy, conditions)


def can_be_decided(context: Context) -> Iterator[Finding]:
    """With the declared traffic every gate has its samples, and is decided, before its deadline."""
    if context.policy.traffic is not None:
        yield from undecidable(context, evidence_of(context))


def undecidable(context: Context, evidence: Evidence) -> Iterator[Finding]:
    """What cannot be decided in time as far as `evidence` goes: an error where arithmetic says so,
    a warning where an assumption of ours is in it."""
    for short in shortfalls(context, evidence):
        ways = [change.words for change in remedies(context, short)]
        hint = f"what would do: {', or '.join(ways)}" if ways else ""
        if short.trigger is not None:
            hint = f"{hint}; or say with `stages:` where it applies".removeprefix("; or ")
        if short.samples is not None:
            yield context.places.at(short.where, "P338", _too_few(context, short), hint)
        elif short.effect is not None:
            severity: Literal["error", "warning"] = "error" if short.effect.certain else "warning"
            message = _undecided(short.step, short.effect)
            yield context.places.at(short.where, "P351", message, hint, severity)


# In words -----------------------------------------------------------------------------------


def _too_few(context: Context, short: Shortfall) -> str:
    found, step = short.samples, short.step
    assert found is not None
    if short.trigger is None:
        begins = f"{step.stage.name} could never be left"
    else:
        begins = f"trigger {context.policy.triggers[short.trigger].name} is blind"
    at = f"at {percent_text(step.weight)} in {step.stage.name}"
    needs = f"{found.key} needs {found.needed} {found.kind} in {duration_text(found.within)}"
    if found.kind == "bars":
        return f"{begins}: {needs}, which have {found.by_deadline:.3g} {at}"
    return f"{begins}: {needs}, and {_rate(short)} brings about {found.by_deadline:.3g} {at}"


def _rate(short: Shortfall) -> str:
    """Of all observations, as one would write it."""
    found, evidence = short.samples, short.step.evidence
    assert found is not None
    subject, _, name = found.key.partition(".")
    rate = evidence.rate("source" if subject == "split" else "metric", name) or 0.0
    said = " (measured)" if evidence.told else ""
    return f"{rate * 3600:.6g}/h{said}"


def _undecided(step: Step, effect: Effect) -> str:
    rule = write_call(effect.condition)
    by = f"by the deadline of {duration_text(timedelta(seconds=step.deadline))}"
    begins = (
        f"{step.stage.name} would not be left in time by versions that are alike: {by}, at "
        f"{percent_text(step.weight)}, {rule} "
    )
    if effect.by_deadline is None:
        return f"{begins}shows nothing"
    shown = difference_text(step.policy, effect.condition, effect.by_deadline)
    return f"{begins}shows no difference below {shown} ({_reckoned(step, effect)})"


def _reckoned(step: Step, effect: Effect) -> str:
    """What it rests on."""
    node = effect.condition
    parts = [HOW[effect.how]] if effect.how in HOW else []
    if effect.spread is not None and not isinstance(node, SplitAsAsked):
        parts.append(basis(step.policy, node.metric, effect.spread))
    if effect.spread is None or effect.spread.origin != "measured":
        parts.append("each observation taken as news")
    return "; ".join(parts)


def days_are_whole(context: Context) -> Iterator[Finding]:
    """A rate for each day says two things where the calendar's day has not 24 hours."""
    node = context.places.node(("traffic",))
    if context.policy.traffic is None or context.policy.schedule.calendar == ALWAYS:
        return
    if isinstance(node, Scalar) and node.text.rstrip().endswith("d"):
        message = (
            f"a rate for each day, and {context.policy.schedule.calendar} is not open all day: "
            "time counts while it is open"
        )
        hint = "say how many come in an hour while it is open: 4000/h"
        yield context.places.at(("traffic",), "P352", message, hint)
