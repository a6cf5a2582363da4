"""What the candidate may cost: a policy's `budgets`, and what they come to in metrics and triggers.

A budget is no mechanism of its own. Of each of its periods there is a metric, the sum of costs in a
window that begins anew with the period, and of each of its levels a trigger on that metric: they
are measured, judged, counted, shown and journaled like any other.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import replace

from controller.policy.periods import PERIODS, Period, find_zone
from controller.policy.values import (
    LONGEST_TEXT,
    PERCENT_PATTERN,
    AggregationText,
    Duration,
    Model,
    Name,
    Zone,
    text_schema,
)

if TYPE_CHECKING:
    from controller.policy.expression import Guard
    from controller.policy.models import Metric, Policy, Trigger

SHARED = "shared"
"""The version of an observation that both versions have in common."""
SharedRule = Literal["by_signals", "equally", "baseline"]
AMOUNT_PATTERN = r"^\d[\d_]*(\.\d+)?\s*[A-Z]{3}$"
MOST_PERCENT = 10_000
CLEARED = Decimal("0.95")
"""A level that was crossed is left at this part of it: a credit of a few cents, or the last digits
of a sum over what is no longer held one by one, are no end of it. The reset of the period is."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money, as written: more than 0."""

    value: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.value:f} {self.currency}"

    def of(self, percent: Decimal) -> "Amount":
        """A part of it, without rounding."""
        return Amount((self.value * percent / 100).normalize(), self.currency)


def parse_amount(value: object) -> Amount:
    """`8 USD`, more than 0. Raises ValueError with the remedy."""
    text = value if isinstance(value, str) and len(value) <= LONGEST_TEXT else ""
    if not re.match(AMOUNT_PATTERN, text):
        raise ValueError(f"{value!r} is not an amount; write it with its currency: 8 USD")
    number = Decimal(text[:-3].strip().replace("_", ""))
    if not number:
        raise ValueError(f"{value!r} is nothing to spend; write more than 0")
    return Amount(number, text[-3:])


def parse_level(value: object) -> Decimal:
    """`80%`, `200%`: more than 0. Raises ValueError with the remedy."""
    text = value if isinstance(value, str) and len(value) <= LONGEST_TEXT else ""
    if not re.match(PERCENT_PATTERN, text) or not 0 < Decimal(text[:-1]) <= MOST_PERCENT:
        remedy = f"write a part of the budget above 0% and up to {MOST_PERCENT}%, like 80% or 200%"
        raise ValueError(f"{value!r} is no level; {remedy}")
    return Decimal(text[:-1])


Money = Annotated[
    Amount,
    Meta(
        extra={"read": parse_amount, "kind": "an amount of money (8 USD)"},
        extra_json_schema=text_schema(AMOUNT_PATTERN, "8 USD"),
    ),
]
Level = Annotated[
    Decimal,
    Meta(
        extra={"read": parse_level, "kind": "a part of the budget (80%, 200%)"},
        extra_json_schema=text_schema(PERCENT_PATTERN, "80%", "200%"),
    ),
]


class Cost(Model, frozen=True, kw_only=True):
    """What is spent: the name of a metric alone, of which the budget takes everything but the
    window; or a source and a sum."""

    shorthand: ClassVar[str] = "metric"

    metric: Annotated[Name | None, Meta(description="Name of a metric that adds up costs")] = None
    source: Annotated[Name | None, Meta(description="Name of the source that tells costs")] = None
    value: Annotated[
        AggregationText | None,
        Meta(description="The sum of a field, in the budget's currency, such as sum(cost)"),
    ] = None
    shared: Annotated[
        SharedRule | None,
        Meta(description="Who pays for observations of the version `shared`, as of a metric"),
    ] = None
    max_age: Annotated[
        Duration | None,
        Meta(
            description="With no cost newer than this nobody knows what was spent, and nothing "
            "advances. By default 1h"
        ),
    ] = None


class Budget(Model, frozen=True, kw_only=True):
    """What the candidate may cost in a day, a week and a month of the calendar, and what happens at
    which part of it. Each level that is given acts once it is reached, until the period is over or
    95% of the level is not reached any more."""

    cost: Annotated[Cost, Meta(description="What is spent")]
    day: Annotated[Money | None, Meta(description="For each day, from midnight on")] = None
    week: Annotated[Money | None, Meta(description="For each week, from Monday on")] = None
    month: Annotated[Money | None, Meta(description="For each month, from the first on")] = None
    zone: Annotated[Zone, Meta(description="Where it is midnight: a name of the tz database")] = (
        "UTC"
    )
    warn: Annotated[Level | None, Meta(description="An alert of low severity")] = None
    hold: Annotated[
        Level | None,
        Meta(
            description="Nothing advances until the period is over. The share stays, and so does "
            "what the candidate spends. Held for two periods, because no cost is told any more, it "
            "rolls back"
        ),
    ] = None
    stop: Annotated[
        Level | None,
        Meta(
            description="The rollout is paused, with an alert of high severity, and a person "
            "resumes it when the period is over. The share stays: what the candidate pays for "
            "must be stopped by who is told; where nobody may be there, write `rollback`"
        ),
    ] = None
    rollback: Annotated[
        Level | None, Meta(description="Back to the baseline, at once: a hard limit")
    ] = None

    def amounts(self) -> Iterator[tuple[Literal["day", "week", "month"], Amount]]:
        """The periods that have a budget, the shortest first."""
        for unit in PERIODS:
            if (amount := getattr(self, unit)) is not None:
                yield unit, amount  # type: ignore[misc]

    def levels(self) -> Iterator[tuple[str, Decimal]]:
        """The levels that are given, the mildest first."""
        for level in ACTIONS:
            if (percent := getattr(self, level)) is not None:
                yield level, percent


ACTIONS: Mapping[str, tuple[str, str]] = {
    "warn": ("low", "alert"),
    "hold": ("medium", "hold"),
    "stop": ("high", "pause"),
    "rollback": ("critical", "rollback"),
}
"""Of each level, the mildest first: the severity and the action of its trigger."""


ENDED: Mapping[str, timedelta] = {
    "day": timedelta(days=2), "week": timedelta(weeks=2), "month": timedelta(days=62),
}  # fmt: skip
"""Held for two periods, and nobody has told a cost of the second: nobody will."""


@dataclass(frozen=True, slots=True)
class Spending:
    """One period of one budget: the metric that measures it, and what the levels come to."""

    budget: str
    period: Period
    amount: Amount
    metric: str
    levels: tuple[tuple[str, Amount], ...]


def spendings(policy: "Policy") -> Iterator[Spending]:
    """Every period of every budget."""
    for name, budget in policy.budgets.items():
        zone = find_zone(budget.zone)
        for unit, amount in budget.amounts():
            levels = tuple((level, amount.of(percent)) for level, percent in budget.levels())
            yield Spending(name, Period(unit, zone), amount, f"{name}_{unit}", levels)


def cost_metric(policy: "Policy", budget: Budget, period: Period) -> "Metric | None":
    """The metric of one period of a budget; None where its cost names none, which is reported."""
    from controller.policy.models import Metric

    cost = budget.cost
    if cost.metric is not None:
        named = policy.metrics.get(cost.metric)
        return None if named is None else replace(named, window=period)
    if cost.source is None or cost.value is None:
        return None
    _, amount = next(budget.amounts(), (None, None))
    return Metric(
        source=cost.source,
        value=cost.value,
        unit=None if amount is None else amount.currency,
        window=period,
        shared=cost.shared,
        max_age=cost.max_age,
    )


def metrics_of(policy: "Policy") -> dict[str, "Metric"]:
    """The metrics of a policy, those of its budgets included."""
    found = dict(policy.metrics)
    for spending in spendings(policy):
        metric = cost_metric(policy, policy.budgets[spending.budget], spending.period)
        if metric is not None:
            found.setdefault(spending.metric, metric)
    return found


def triggers_of(policy: "Policy") -> Iterator["Trigger"]:
    """The triggers of the budgets' levels."""
    from controller.policy.models import Trigger

    for spending in spendings(policy):
        for level, limit in spending.levels:
            severity, then = ACTIONS[level]
            spent = f"candidate.{spending.metric}"
            below = limit.of(CLEARED * 100)
            yield Trigger(
                name=f"{spending.metric}_{level}",
                when=f"{spent} >= {limit}",
                clear=None if then == "rollback" else f"{spent} < {below}",
                severity=severity,  # type: ignore[arg-type]
                then=then,  # type: ignore[arg-type]
                escalate_after=ENDED[spending.period.unit] if then == "hold" else None,
            )


def with_budgets(
    policy: "Policy", guards: Mapping[str, "Guard"]
) -> tuple["Policy", dict[str, "Guard"]]:
    """A checked policy with the metrics and triggers of its budgets, and their conditions."""
    from controller.policy.condition import parse_condition
    from controller.policy.expression import Guard
    from controller.policy.names import names_of

    if not policy.budgets:
        return policy, dict(guards)
    names, found = names_of(policy), dict(guards)
    triggers = tuple(triggers_of(policy))
    for trigger in triggers:
        clear = None if trigger.clear is None else parse_condition(trigger.clear, names)
        found[trigger.name] = Guard(parse_condition(trigger.when, names), clear)
    metrics = metrics_of(policy)
    return replace(policy, metrics=metrics, triggers=(*policy.triggers, *triggers)), found


Difference = tuple[str, object, object, bool]
"""Path, before, after, and whether it can only make the rollout more careful."""


def differences(old: Mapping[str, Budget], new: Mapping[str, Budget]) -> Iterator[Difference]:
    """What an edit of the budgets comes to: less to spend, and less until something happens, is
    safe, and so is a budget, a period or a level more."""
    for name in sorted({*old, *new}):
        before, after, path = old.get(name), new.get(name), f"budgets.{name}"
        if before is None or after is None:
            yield path, before and "a budget", after and "a budget", before is None
            continue
        for field in ("cost", "zone"):
            yield f"{path}.{field}", getattr(before, field), getattr(after, field), False
        for unit in PERIODS:
            was, now = getattr(before, unit), getattr(after, unit)
            yield f"{path}.{unit}", was, now, _less(was and was.value, now and now.value)
        for level in ACTIONS:
            was, now = getattr(before, level), getattr(after, level)
            yield f"{path}.{level}", _percent(was), _percent(now), _less(was, now)


def _less(was: Decimal | None, now: Decimal | None) -> bool:
    return now is not None and (was is None or now < was)


def _percent(level: Decimal | None) -> str | None:
    return None if level is None else f"{level}%"
