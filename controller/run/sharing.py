"""What both versions have in common, divided between them: costs of a feed that serves both.

Observations of it carry the version `shared`. A metric's `shared` says whose they are.
"""

from collections.abc import Sequence
from dataclasses import replace as replace_in

from msgspec.structs import replace

from controller.core.measurement import CANDIDATE, Measurement
from controller.core.plan import MetricPlan, Plan
from controller.policy.budgets import SHARED
from controller.sources.base import Request

_COUNT = "count()"


def also_asked(plan: Plan, metric: MetricPlan, own: Request) -> list[Request]:
    """What is asked beside a version's `own` request, to know its part of what is shared."""
    if metric.shared is None:
        return []
    asked = [replace_in(own, subject=SHARED, version=SHARED)]
    if metric.shared == "by_signals":
        asked += [
            replace_in(own, subject=SHARED, version=version, expression=_COUNT, factor=1.0)
            for version in (plan.candidate.name, plan.baseline.name)
        ]
    return asked


def with_shared(
    metric: MetricPlan, subject: str, own: Measurement, told: Sequence[Measurement]
) -> Measurement:
    """A version's `own` sum and its part of the shared one. `told` are the answers to what was
    also asked. An error of either is one of the whole; where nothing is shared yet the own stands,
    and where there is no own yet the part does."""
    if not told:
        return own
    shared, counts = told[0], told[1:]
    broken = next((each for each in (own, *told) if each.status == "error"), None)
    if broken is not None:
        return broken
    if shared.value is None:
        return own
    part = _part(metric, subject, [each.value or 0.0 for each in counts])
    if part is None:
        detail = "there are shared costs, and no observations to divide them by"
        return Measurement(status="no_data", detail=detail, through=own.through)
    if own.value is None and not part:
        return own
    return replace(
        own,
        value=(own.value or 0.0) + part * shared.value,
        samples=own.samples + shared.samples,
        status="ok",
        detail="; ".join(each.detail for each in (own, shared) if each.detail and each.value),
        # A shared fee that came in does not make a version's own costs any fresher.
        as_of=shared.as_of if own.value is None else own.as_of,
    )


def _part(metric: MetricPlan, subject: str, counts: Sequence[float]) -> float | None:
    """A version's part of what is shared, 0 to 1; None where nobody can say."""
    match metric.shared:
        case "baseline":
            return 0.0 if subject == CANDIDATE else 1.0
        case "by_signals":
            candidate, baseline = counts
            both = candidate + baseline
            if not both:
                return None
            return (candidate if subject == CANDIDATE else baseline) / both
        case _:
            return 0.5
