"""Sample sizes against the declared traffic: what cannot be reached is said before the start."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor

from controller.policy.aggregation import counts_bars
from controller.policy.checks.context import (
    Context,
    deadline,
    duration_text,
    ignores,
    judged_time,
    needed_samples,
    percent_text,
    weights,
)
from controller.policy.expression import Condition, references
from controller.policy.findings import Finding
from controller.policy.models import Metric, Newest, Stage
from controller.policy.sampling import counted

_SESSION = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Shortage:
    """Too few observations of one side of a metric, at one weight of a stage."""

    stage: str
    weight: float
    side: str
    metric: str
    needed: int
    expected: float
    span: timedelta
    share: float
    """Of all observations, those that this side gets: 0 to 1."""


def samples_can_be_reached(context: Context) -> Iterator[Finding]:
    """Within each window, or by the deadline, the traffic brings the samples asked for."""
    if context.policy.traffic is None:
        return
    for number, stage, gate in context.gated():
        for line in gate:
            if not context.acts(line.condition) or ignores(line.check.unknown, "inconclusive"):
                continue
            short = _first_shortage(context, number, line.condition, None)
            if short is not None:
                message = f"{stage.name} could never be left: {_in_words(short, context)}"
                yield context.places.at(line.where, "P338", message, _remedy(short, context))
    for number, trigger, condition in context.guarded():
        for at in context.where_applies(trigger, condition):
            short = _first_shortage(context, at, condition, trigger.min_samples)
            if short is not None:
                message = f"trigger {trigger.name} is blind: {_in_words(short, context)}"
                hint = f"{_remedy(short, context)}; or say with `stages:` where it applies"
                yield context.places.at(("triggers", number, "when"), "P338", message, hint)
                break


def _first_shortage(
    context: Context, number: int, condition: Condition, min_samples: int | None
) -> _Shortage | None:
    stage, traffic = context.policy.stages[number], context.policy.traffic
    assert traffic is not None
    for key in dict.fromkeys(references(condition)):
        side, _, name = key.partition(".")
        metric = context.policy.metrics.get(name)
        if metric is None or side in context.policy.sources or counts_bars(metric):
            continue
        source = context.policy.sources.get(metric.source)
        if counted(metric, source) != "observations":
            continue
        needed = needed_samples(metric, source) if min_samples is None else min_samples
        for weight in weights(stage):
            share = _share(stage, weight, side)
            span = _span(context, number, metric, side)
            if share is None or span is None:
                continue
            expected = traffic * share * span.total_seconds()
            # A side without any work is reported by the rules about idle sides.
            if 0 < expected < needed:
                return _Shortage(stage.name, weight, side, name, needed, expected, span, share)
    return None


def _share(stage: Stage, weight: float, side: str) -> float | None:
    """The share of all observations that a side gets; None if it is frozen. A comparison has as
    many as the side that has fewer."""
    candidate = 1.0 if stage.mirror else weight / 100
    baseline = {"live": 1 - weight / 100, "shadow_baseline": 1.0}.get(stage.against)
    if side in ("candidate", "estimate") or baseline is None:
        return candidate if side != "baseline" else None
    return baseline if side == "baseline" else min(candidate, baseline)


def _span(context: Context, number: int, metric: Metric, side: str) -> timedelta | None:
    """How long observations add up before the stage must be done; None if nobody can say. What is
    compared adds up since the stage was entered."""
    stage = context.policy.stages[number]
    grows = side in ("difference", "estimate") and metric.window != "rollout"
    if grows:
        return deadline(stage) or None
    length = judged_time(context, metric)
    if length is not None:
        return length
    longest = deadline(stage)
    if not longest or isinstance(metric.window, Newest) or (metric.window == "rollout" and number):
        return None
    return min(longest, _SESSION) if metric.window == "session" else longest


def _in_words(short: _Shortage, context: Context) -> str:
    rate = (context.policy.traffic or 0.0) * 3600
    at = f"at {percent_text(short.weight)} in {short.stage}"
    return (
        f"{short.side}.{short.metric} needs {short.needed} samples in "
        f"{duration_text(short.span)}, and {rate:.6g}/h brings about {short.expected:.3g} {at}"
    )


def _remedy(short: _Shortage, context: Context) -> str:
    """Every single change that would do."""
    traffic = context.policy.traffic or 0.0
    most = floor(short.expected)
    window = timedelta(minutes=ceil(short.needed / (traffic * short.share) / 60))
    ways = [f"`min_samples: {most}`", f"a window and hold of {duration_text(window)}"]
    share = short.needed / (traffic * short.span.total_seconds())
    if short.side == "candidate" and share <= 1:
        ways.append(f"a weight of {percent_text(ceil(share * 1000) / 10)}")
    return "what would do: " + ", or ".join(ways)
