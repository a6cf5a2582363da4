"""Budgets as people read them."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from controller.core.decision import Spent
from controller.policy.budgets import ACTIONS, Spending

_NOW = {"day": "today", "week": "this week", "month": "this month"}
_UNTIL = {"day": "by midnight", "week": "by the end of Sunday", "month": "by the end of the month"}
_DONE = {"alert": "alert", "hold": "hold", "pause": "pause", "rollback": "rollback"}


def money(value: float) -> str:
    """`6.40`, `8`, `0.0042`: cents where there are any, and what is less than a cent."""
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    text = f"{value:,.2f}"
    return text.removesuffix(".00")


def spent_words(spent: Spent) -> str:
    """`data: 6.40 of 8 USD today (80%), at this rate 11 USD by midnight`."""
    of = f"of {money(spent.amount)} {spent.currency} {_NOW[spent.period]}"
    zone = "UTC" if spent.zone == "UTC" else f"in {spent.zone}"
    if spent.spent is None:
        return f"{spent.budget}: not known {of}: {spent.detail}"
    words = f"{spent.budget}: {money(spent.spent)} {of} ({spent.spent / spent.amount:.0%})"
    if spent.forecast is None:
        return f"{words}, too early for a forecast"
    at_this_rate = f"at this rate {money(spent.forecast)} {spent.currency}"
    return f"{words}, {at_this_rate} {_UNTIL[spent.period]} {zone}"


def spent_lines(found: Sequence[Spent]) -> list[Text]:
    """One line each; red where it is spent, yellow where it will be or nobody knows."""
    return [Text(f"  {spent_words(spent)}", style=_style(spent)) for spent in found]


def budget_lines(budgets: Sequence[Spending]) -> Iterator[str]:
    """What a plan's budgets are, and what happens at which amount."""
    for budget in budgets:
        zone = f"{budget.period.zone}"
        acts = (f"{_DONE[ACTIONS[level][1]]} at {limit}" for level, limit in budget.levels)
        what = f"{budget.amount} a {budget.period.unit} ({zone})"
        yield f"  {budget.budget}: {', '.join([what, *acts])}"


def _style(spent: Spent) -> str:
    if spent.spent is None:
        return "yellow"
    if spent.spent >= spent.amount:
        return "red"
    return "yellow" if (spent.forecast or 0.0) > spent.amount else ""
