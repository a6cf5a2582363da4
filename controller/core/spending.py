"""What the candidate has spent of its budgets, and what it comes to at this rate: for people. What
is decided of it are triggers like any other."""

from datetime import datetime

from controller.core.calendar import Calendar
from controller.core.decision import Spent
from controller.core.measurement import CANDIDATE, MISSING, Measurements, Outcome, reference
from controller.core.period import elapsed, period_bounds
from controller.core.plan import Plan
from controller.core.versus import usable
from controller.policy.budgets import Spending
from controller.policy.periods import EARLY


def spent(plan: Plan, measurements: Measurements, now: datetime) -> tuple[Spent, ...]:
    """Every period of every budget, as it stands at `now`."""
    return tuple(_spent(plan, budget, measurements, now) for budget in plan.budgets)


def _spent(plan: Plan, budget: Spending, measurements: Measurements, now: datetime) -> Spent:
    metric = plan.metrics[budget.metric]
    found = measurements.get(reference(CANDIDATE, budget.metric), MISSING)
    outcome, value, detail = usable(found, metric.min_samples, metric.max_age, now)
    known = value if outcome is Outcome.PASS else None
    passed = _passed(budget, plan.calendar, now)
    return Spent(
        budget=budget.budget,
        period=budget.period.unit,
        zone=str(budget.period.zone),
        amount=float(budget.amount.value),
        currency=budget.amount.currency,
        resets_at=period_bounds(budget.period, now)[1],
        spent=known,
        forecast=None if known is None or passed is None else known / passed,
        detail="" if known is not None else detail or outcome.value.replace("_", " "),
    )


def _passed(budget: Spending, calendar: Calendar, now: datetime) -> float | None:
    """The share of the period that has passed, where that is enough to reckon with."""
    try:
        passed = elapsed(budget.period, calendar, now)
    except ValueError:
        # The calendar does not reach: `Elapsed` in a condition is an error then.
        return None
    return None if passed is None or passed < EARLY else passed
