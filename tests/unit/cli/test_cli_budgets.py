"""Budgets in plain words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.plans import GOOD, POLICY, plan_of

from controller.cli.render.budgets import money, spent_words
from controller.cli.render.plan import plan_text
from controller.core.decide import decide
from controller.core.decision import Spent
from controller.core.event import Tick
from controller.core.measurement import Measurement
from controller.core.plan import Plan
from controller.core.share import Share
from controller.core.state import State
from controller.policy.budgets import ACTIONS

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
PAGE = Path(__file__).parents[3] / "docs" / "budgets.md"
SPENT = Spent("data", "day", "UTC", 8.0, "USD", NOW, 6.4, 11.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(8, "8"), (6.4, "6.40"), (1234.5, "1,234.50"), (0, "0"), (0.00042, "0.00042"), (-3, "-3")],
)
def test_money_is_written_as_people_read_it(value: float, shown: str) -> None:
    assert money(value) == shown


@pytest.mark.parametrize(
    ("spent", "words"),
    [
        (SPENT, "data: 6.40 of 8 USD today (80%), at this rate 11 USD by midnight UTC"),
        (replace(SPENT, zone="America/New_York"),
         "data: 6.40 of 8 USD today (80%), at this rate 11 USD by midnight in America/New_York"),
        (replace(SPENT, period="month", forecast=None),
         "data: 6.40 of 8 USD this month (80%), too early for a forecast"),
        (replace(SPENT, spent=None, forecast=None, detail="no value of cost yet"),
         "data: not known of 8 USD today: no value of cost yet"),
    ],
)  # fmt: skip
def test_what_is_spent_is_told_in_a_line(spent: Spent, words: str) -> None:
    assert spent_words(spent) == words


COST = "cost: {source: signals, value: sum(cost)}"
TEXT = POLICY + f"budgets: {{data: {{{COST}, day: 8 USD, warn: 80%, rollback: 200%}}}}\n"


def in_canary(plan: Plan) -> State:
    begun = NOW - timedelta(minutes=5)
    return State(
        rollout=plan.rollout, policy=plan.digest, name="canary", share=Share(5000), at=begun,
        started_at=begun, entered_at=begun, step_since=begun,
    )  # fmt: skip


def test_an_explanation_has_every_budget_with_its_forecast_and_its_reset() -> None:
    plan = plan_of(TEXT)
    spent = Measurement(value=6.4, samples=3, as_of=NOW)
    state = in_canary(plan)

    decision = decide(plan, state, Tick(GOOD | {"candidate.data_day": spent}), NOW)

    found = decision.explanation.budgets
    assert found == (
        Spent("data", "day", "UTC", 8.0, "USD", datetime(2026, 3, 3, tzinfo=UTC), 6.4,
              6.4 / (14 / 24)),
    )  # fmt: skip


def test_late_costs_are_not_known_and_say_so() -> None:
    plan = plan_of(TEXT)
    late = Measurement(value=6.4, samples=3, as_of=NOW - timedelta(hours=2))
    state = in_canary(plan)

    told = decide(plan, state, Tick(GOOD | {"candidate.data_day": late}), NOW).explanation

    assert told.budgets[0].spent is None
    assert spent_words(told.budgets[0]).startswith("data: not known of 8 USD today: late")


def test_a_plan_says_what_happens_at_which_amount() -> None:
    text = plan_text(plan_of(TEXT), None)

    assert "  data: 8 USD a day (UTC), alert at 6.4 USD, rollback at 16 USD\n" in text
    assert "critical data_day_rollback: candidate.data_day >= 16 USD" in text


def test_the_page_has_every_level_with_its_severity() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert all(f"| `{level}` | {severity} | " in page for level, (severity, _) in ACTIONS.items())
