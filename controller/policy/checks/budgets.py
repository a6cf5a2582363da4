"""Budgets: costs that nobody measures, levels that do not rise or that are never reached."""

from collections.abc import Iterator
from itertools import combinations, pairwise

from controller.policy.aggregation import AggregationError, parse_aggregation
from controller.policy.budgets import (
    ACTIONS,
    SHARED,
    Budget,
    metrics_of,
    spendings,
    triggers_of,
)
from controller.policy.checks.context import Context
from controller.policy.checks.references import SUBJECTS
from controller.policy.expression import Dimension
from controller.policy.findings import Finding, did_you_mean
from controller.policy.models import Metric
from controller.policy.places import Where
from controller.policy.source import PushSource
from controller.policy.tokens import ConditionError, scan
from controller.policy.units import UnitError, metric_unit

_PARTS = ("source", "value", "shared", "max_age")
"""What a cost says itself, where it names no metric."""


def costs_are_measured(context: Context) -> Iterator[Finding]:
    """Each budget adds up costs, of one metric or of one source."""
    for name, budget in context.policy.budgets.items():
        cost, where = budget.cost, ("budgets", name, "cost")
        if cost.metric is not None:
            yield from _of_a_metric(context, name, budget, cost.metric)
            continue
        missing = [part for part in ("source", "value") if getattr(cost, part) is None]
        if missing:
            message = f"the costs of {name} have no {missing[0]}"
            hint = "name a metric that adds them up, or write {source: NAME, value: sum(cost)}"
            yield context.places.at(where, "P401", message, hint)
            continue
        if cost.source not in context.policy.sources:
            known = context.policy.sources
            hint = did_you_mean(cost.source or "", known, "declare it under `sources`")
            message = f"unknown source {cost.source!r}"
            yield context.places.at((*where, "source"), "P301", message, hint)
        elif not isinstance(context.policy.sources[cost.source or ""], PushSource):
            message = f"{cost.source} gets no observations that could be added up"
            hint = "declare a metric with its query, and name it: cost: METRIC"
            yield context.places.at((*where, "source"), "P401", message, hint)
        yield from _adds_up(context, (*where, "value"), cost.value)


def _of_a_metric(context: Context, name: str, budget: Budget, cost: str) -> Iterator[Finding]:
    where = ("budgets", name, "cost", "metric")
    beside = [part for part in _PARTS if getattr(budget.cost, part) is not None]
    metric = context.policy.metrics.get(cost)
    if metric is None:
        known = context.policy.metrics
        hint = did_you_mean(cost, known, "declare it under `metrics`, with `value: sum(cost)`")
        yield context.places.at(where, "P401", f"unknown metric {cost!r}", hint)
    elif beside:
        message = f"metric {cost} says itself what its {beside[0]} is"
        at = ("budgets", name, "cost", beside[0])
        yield context.places.at_key(at, "P401", message, "leave it out")
    elif metric.value is not None:
        yield from _adds_up(context, where, metric.value)


def _adds_up(context: Context, where: Where, value: str | None) -> Iterator[Finding]:
    try:
        found = parse_aggregation(value or "")
    except AggregationError as error:
        yield context.places.at(where, "P322", str(error), error.hint)
        return
    if found.name != "sum":
        message = f"{value} does not add up what was spent"
        hint = f"write sum({found.field or 'cost'})"
        yield context.places.at(where, "P401", message, hint)


def currencies_fit(context: Context) -> Iterator[Finding]:
    """All amounts of a budget, and its metric, are in one currency: none is converted."""
    for name, budget in context.policy.budgets.items():
        amounts = list(budget.amounts())
        metric = context.policy.metrics.get(budget.cost.metric or "")
        adds_up = metric is not None and (metric.value is None or _kind(metric.value) == "sum")
        if metric is not None and adds_up and amounts:
            yield from _unit_fits(context, name, metric, amounts[0][1].currency)
        for unit, amount in amounts[1:]:
            first = amounts[0][1].currency
            if amount.currency != first:
                message = f"{amount} a {unit}, and {amounts[0][1]} a {amounts[0][0]}"
                hint = f"write it in {first}; nothing is converted"
                yield context.places.at(("budgets", name, unit), "P402", message, hint)


def _unit_fits(context: Context, name: str, metric: Metric, currency: str) -> Iterator[Finding]:
    try:
        unit = metric_unit(metric)
    except UnitError:
        return  # found already
    if unit.dimension is not Dimension.MONEY or unit.name != currency:
        said = f"in {metric.unit}" if metric.unit else "a number without a unit"
        message = f"the budget is in {currency}, and its metric is {said}"
        hint = f"give the metric `unit: {currency}`"
        yield context.places.at(("budgets", name, "cost", "metric"), "P402", message, hint)


def levels_rise(context: Context) -> Iterator[Finding]:
    """What does more comes later: warn, hold, stop, rollback."""
    for name, budget in context.policy.budgets.items():
        levels = list(budget.levels())
        for (milder, below), (level, percent) in pairwise(levels):
            if percent <= below:
                message = f"{level} at {percent}% is not after {milder} at {below}%"
                hint = f"write a {level} above {below}%, or leave {milder} out"
                yield context.places.at(("budgets", name, level), "P403", message, hint)


def budgets_do_something(context: Context) -> Iterator[Finding]:
    """A budget has a period and a level; or a condition reads it, and then it needs none."""
    read = set(_read_budgets(context))
    for name, budget in context.policy.budgets.items():
        if not any(budget.amounts()):
            message = f"{name} says for no period what may be spent"
            hint = "add `day: 8 USD`, or `week`, or `month`"
            yield context.places.at_key(("budgets", name), "P404", message, hint)
        elif not any(budget.levels()) and name not in read:
            message = f"nothing happens when {name} is spent"
            hint = f"add a level: {', '.join(ACTIONS)}, such as `hold: 100%`"
            yield context.places.at_key(("budgets", name), "P404", message, hint)


def _read_budgets(context: Context) -> Iterator[str]:
    """Budgets that a condition names, with a measure or by their metric."""
    metrics = {f"candidate.{each.metric}": each.budget for each in spendings(context.policy)}
    texts = [check.check for stage in context.policy.stages for check in stage.advance]
    texts += [trigger.when for trigger in context.policy.triggers]
    for text in texts:
        try:
            tokens = scan(text)
        except ConditionError:
            continue  # found already
        for token in tokens:
            yield metrics.get(token.text, token.text.partition(".")[0])


def levels_can_be_reached(context: Context) -> Iterator[Finding]:
    """A longer period has more to spend than a shorter one, or the shorter one's levels are never
    reached."""
    for name, budget in context.policy.budgets.items():
        for (short, less), (long, more) in combinations(budget.amounts(), 2):
            if less.currency == more.currency and more.value <= less.value:
                message = f"{less} a {short} are never spent: {long} ends at {more}"
                hint = f"write less for a {short}, or more for a {long}"
                yield context.places.at(("budgets", name, short), "P405", message, hint)
                break


def names_are_free(context: Context) -> Iterator[Finding]:
    """A budget is called like nothing else before the point, and what it makes is new."""
    policy, places = context.policy, context.places
    metrics, triggers = set(policy.metrics), {trigger.name for trigger in policy.triggers}
    made: dict[str, str] = {}
    for name in policy.budgets:
        where = ("budgets", name)
        if name in SUBJECTS or name in policy.sources:
            kind = "a source" if name in policy.sources else "a side in conditions"
            yield places.at_key(where, "P406", f"{name!r} is {kind}", "choose another name")
    for spending in spendings(policy):
        where = ("budgets", spending.budget)
        other = made.setdefault(spending.metric, spending.budget)
        if spending.metric in metrics or other != spending.budget:
            message = f"its metric {spending.metric} is there already"
            yield places.at_key(where, "P406", message, "rename one of them")
    for trigger in triggers_of(policy):
        if trigger.name in triggers:
            number = [each.name for each in policy.triggers].index(trigger.name)
            message = f"a budget has a trigger {trigger.name} already"
            yield places.at(("triggers", number, "name"), "P406", message, "rename it")


def shared_is_divided(context: Context) -> Iterator[Finding]:
    """`shared` belongs to a sum of observations; the version of that name is no side's."""
    policy = context.policy
    for name, metric in policy.metrics.items():
        if metric.shared is None:
            continue
        where, message = ("metrics", name, "shared"), ""
        if not isinstance(policy.sources.get(metric.source), PushSource):
            message = f"{metric.source} gets no observations of the version {SHARED}"
        elif metric.value is not None and _kind(metric.value) != "sum":
            message = f"only a sum can be divided, and {name} is {metric.value}"
        if message:
            yield context.places.at_key(where, "P401", message, "leave it out")
    if any(metric.shared for metric in metrics_of(policy).values()):
        for side in ("baseline", "candidate"):
            if getattr(policy, side).version == SHARED:
                message = f"{SHARED!r} is what both versions have in common"
                hint = "give the version another name"
                yield context.places.at((side, "version"), "P406", message, hint)


def _kind(value: str) -> str:
    try:
        return parse_aggregation(value).name
    except AggregationError:
        return "sum"  # found already
