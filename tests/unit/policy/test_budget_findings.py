"""What is wrong with a budget is told at its exact place, and what it comes to is the language's
own: metrics and triggers."""

import pytest
from support.marked import GOOD, load, only_finding

from controller.policy.budgets import triggers_of
from controller.policy.checks.context import action
from controller.policy.models import Policy

COST = "cost: {source: signals, value: sum(cost)}"
BUDGET = f"{COST}, day: 8 USD, hold: 100%"
SPENT = "  spent: {source: signals, value: sum(cost), unit: USD, window: day}\n"

CASES = {
    # name: (the budget `data`, code, words of the hint)
    "no cost": ("»data: {day: 8 USD, hold: 100%}", "P102", "add `cost:`"),
    "an unknown key": (f"data: {{{COST}, »year: 8 USD, day: 8 USD, hold: 100%}}", "P101", "keys"),
    "an amount without a currency": (f"data: {{{COST}, day: »8, hold: 100%}}", "P103", "8 USD"),
    "an amount of nothing": (f"data: {{{COST}, day: »0 USD, hold: 100%}}", "P103", "more than 0"),
    "a level without per cent": (f"data: {{{COST}, day: 8 USD, hold: »1}}", "P103", "80%"),
    "a level of nothing": (f"data: {{{COST}, day: 8 USD, hold: »0%}}", "P103", "above 0%"),
    "an unknown zone": (f"data: {{{BUDGET}, zone: »America/New_Yrok}}", "P103", "New_York"),
    "a zone of this machine": (f"data: {{{BUDGET}, zone: »localtime}}", "P103", "tz database"),
    "a metric that is not there": (
        "data: {cost: »spnet, day: 8 USD, hold: 100%}", "P401", "did you mean 'spent'",
    ),
    "a cost of two kinds": (
        "data: {cost: {metric: spent, »value: sum(cost)}, day: 8 USD, hold: 100%}", "P401", "leave",
    ),
    "a cost without a sum": ("data: {cost: »{source: signals}, day: 8 USD, hold: 100%}",
                             "P401", "sum(cost)"),
    "a mean for a cost": (
        "data: {cost: {source: signals, value: »mean(cost)}, day: 8 USD, hold: 100%}", "P401",
        "sum(cost)",
    ),
    "a metric that is no sum": ("data: {cost: »slow, day: 8 ABC, hold: 100%}", "P401", "sum(ms)"),
    "a broken sum": (
        "data: {cost: {source: signals, value: »summ(cost)}, day: 8 USD, hold: 100%}", "P322",
        "'sum'",
    ),
    "an unknown source of costs": (
        "data: {cost: {source: »signal, value: sum(cost)}, day: 8 USD, hold: 100%}", "P301",
        "'signals'",
    ),
    "costs of a database": (
        "data: {cost: {source: »files, value: sum(cost)}, day: 8 USD, hold: 100%}", "P401",
        "cost: METRIC",
    ),
    "two currencies": (f"data: {{{BUDGET}, month: »200 EUR}}", "P402", "write it in USD"),
    "another currency than the metric's": (
        "data: {cost: »spent, day: 8 EUR, hold: 100%}", "P402", "unit: EUR",
    ),
    "levels that fall": (f"data: {{{BUDGET}, rollback: »90%}}", "P403", "above 100%"),
    "levels that are the same": (f"data: {{{BUDGET}, stop: »100%}}", "P403", "leave hold out"),
    "no period": (f"»data: {{{COST}, hold: 100%}}", "P404", "day: 8 USD"),
    "no level": (f"»data: {{{COST}, day: 8 USD}}", "P404", "hold: 100%"),
    "a day with more than the month": (
        f"data: {{{COST}, day: »200 USD, month: 200 USD, hold: 100%}}", "P405", "less for a day",
    ),
    "a week with more than the month": (
        f"data: {{{COST}, day: 8 USD, week: »300 USD, month: 200 USD, hold: 100%}}", "P405",
        "more for a month",
    ),
    "a budget called like a source": (f"»signals: {{{BUDGET}}}", "P406", "another name"),
    "a budget called like a side": (f"»candidate: {{{BUDGET}}}", "P406", "another name"),
    "a metric that is taken": (f"»sp: {{{BUDGET}}}", "P406", "rename"),
}  # fmt: skip


def with_budget(budget: str, policy: str = GOOD) -> str:
    text = policy.replace("stages:\n", f"{SPENT}stages:\n")
    if "»sp:" in budget:
        text = text.replace("stages:\n", "  sp_day: {source: signals, value: max(ms)}\nstages:\n")
    return f"{text}budgets:\n  {budget}\n"


@pytest.mark.parametrize(("budget", "code", "hint"), CASES.values(), ids=CASES)
def test_what_is_wrong_with_a_budget_is_told_where_it_stands(
    budget: str, code: str, hint: str
) -> None:
    finding, place = only_finding(with_budget(budget))

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint


SHARED = {
    "of a database": ('unit: USD}\n  drawdown', '»shared: equally, unit: USD}\n  drawdown', "P401"),
    "of a mean": ("value: mean(ms), unit", "»shared: equally, value: mean(ms), unit", "P401"),
    "with a side of that name": ("candidate: v3", "candidate: »shared", "P406"),
    "with another rule": (SPENT, SPENT.replace("unit", "shared: »half, unit"), "P104"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code"), SHARED.values(), ids=SHARED)
def test_what_is_shared_can_be_divided(old: str, new: str, code: str) -> None:
    text = with_budget(f"data: {{{BUDGET}}}")
    if code == "P406":
        text = text.replace(SPENT, SPENT.replace("unit", "shared: equally, unit"))
    assert text.count(old) == 1

    finding, place = only_finding(text.replace(old, new))

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)


CONDITIONS = {
    "a period that it has not": ("»data.month.share <= 1", "P202", "there are: day"),
    "a measure that there is not": ("»data.day.shares <= 1", "P202", "'share'"),
    "no measure": ("»data.day <= 1", "P202", "data.day.share"),
    "a forecast in per cent": ("data.day.forecast »<= 80%", "P203", "100 USD"),
    "the time of day alone": ("»data.day.elapsed >= 0.5", "P204", "one side must be"),
    "a budget that is not there": ("»date.day.share <= 1", "P202", "'data'"),
}


@pytest.mark.parametrize(("condition", "code", "hint"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_on_a_budget_is_checked_like_any_other(
    condition: str, code: str, hint: str
) -> None:
    text = with_budget(f"data: {{{BUDGET}}}").replace("candidate.latency <= 2000ms", condition)

    finding, place = only_finding(text)

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint


@pytest.mark.parametrize(
    "condition",
    ["data.day.spent <= 4 USD", "data.day.share <= 50%", "data.day.burn <= 1.5",
     "data.day.forecast <= 8 USD", "data.day.share <= 1.2 * data.day.elapsed",
     "candidate.data_day <= 1.2 * baseline.data_day"],
)  # fmt: skip
def test_a_budget_without_levels_is_one_that_conditions_read(condition: str) -> None:
    text = with_budget(f"data: {{{COST}, day: 8 USD}}")

    loaded = load(text.replace("candidate.latency <= 2000ms", condition))

    assert [str(finding) for finding in loaded.findings] == []


def test_a_trigger_of_a_budgets_name_is_told_at_the_trigger() -> None:
    text = with_budget(f"data: {{{BUDGET}}}").replace("name: errors", "name: »data_day_hold")

    finding, place = only_finding(text)

    assert (finding.code, finding.line, finding.column) == ("P406", place.line, place.column)


def policy_with(budget: str) -> Policy:
    loaded = load(with_budget(budget))
    assert loaded.policy is not None
    assert loaded.ok, [str(finding) for finding in loaded.findings]
    return loaded.policy


def test_each_level_of_each_period_is_a_trigger_with_what_its_severity_means() -> None:
    budget = (
        f"data: {{{COST}, day: 8 USD, month: 200 USD, warn: 82.5%, stop: 120%, rollback: 2e2%}}"
    )
    policy = policy_with(budget.replace("2e2%", "200%"))

    made = {t.name: (t.when, t.clear, t.severity, action(t)) for t in triggers_of(policy)}

    assert made["data_day_warn"] == (
        "candidate.data_day >= 6.6 USD", "candidate.data_day < 6.27 USD", "low", "alert",
    )  # fmt: skip
    assert made["data_month_stop"] == (
        "candidate.data_month >= 240 USD", "candidate.data_month < 228 USD", "high", "pause",
    )  # fmt: skip
    assert made["data_day_rollback"] == (
        "candidate.data_day >= 16 USD", None, "critical", "rollback",
    )  # fmt: skip
    assert len(made) == 6
