"""What both versions have in common is divided as the metric says, and never for nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.plans import POLICY, plan_of

from controller.core.measurement import BASELINE, CANDIDATE, Measurement
from controller.core.plan import MetricPlan
from controller.core.state import State
from controller.run.collect import collect
from controller.run.sharing import with_shared
from controller.sources.push import PushSource
from controller.store import open_store
from controller.store.base import Store

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
OLD = T0 - timedelta(hours=2)
NOTHING = Measurement(status="no_data", detail="nothing")


def metric(rule: str) -> MetricPlan:
    text = POLICY.replace(
        "stages:", f"  spent: {{source: signals, value: sum(cost), shared: {rule}}}\nstages:", 1
    )
    return plan_of(text).metrics["spent"]


def told(shared: float, *counts: float) -> list[Measurement]:
    return [Measurement(value=each, samples=1, as_of=T0) for each in (shared, *counts)]


@given(
    st.sampled_from(["by_signals", "equally", "baseline"]),
    st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6),
    st.integers(0, 1000), st.integers(1, 1000),
)  # fmt: skip
def test_both_together_pay_all_of_it_and_nothing_twice(
    rule: str, first: float, second: float, shared: float, candidate: int, baseline: int
) -> None:
    counts = (candidate, baseline) if rule == "by_signals" else ()
    own = {CANDIDATE: first, BASELINE: second}

    paid = [
        with_shared(metric(rule), side, Measurement(value=cost, samples=1), told(shared, *counts))
        for side, cost in own.items()
    ]

    total = sum(each.value or 0.0 for each in paid)
    assert total == pytest.approx(first + second + shared)
    assert all((each.value or 0.0) >= cost for each, cost in zip(paid, own.values(), strict=True))


def test_a_shared_fee_makes_a_versions_own_costs_no_fresher() -> None:
    own = Measurement(value=1.0, samples=1, as_of=OLD)

    assert with_shared(metric("equally"), CANDIDATE, own, told(4)).as_of == OLD
    assert with_shared(metric("equally"), CANDIDATE, NOTHING, told(4)).as_of == T0


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_an_error_of_any_part_is_one_of_the_whole(broken: int) -> None:
    error = Measurement(status="error", detail="out of reach")
    answers = told(4, 1, 3)
    answers[broken] = error

    assert with_shared(metric("by_signals"), CANDIDATE, replace(NOTHING), answers) == error


def test_nothing_to_divide_by_is_no_data_and_nothing_shared_changes_nothing() -> None:
    own = Measurement(value=1.0, samples=1)

    assert with_shared(metric("by_signals"), CANDIDATE, own, told(4, 0, 0)).status == "no_data"
    assert with_shared(metric("equally"), CANDIDATE, own, [NOTHING]) is own
    assert with_shared(metric("baseline"), CANDIDATE, NOTHING, told(4)) is NOTHING


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store("sqlite://") as opened:
        yield opened


def test_a_source_takes_shared_observations_where_a_metric_divides_them(store: Store) -> None:
    cost = "cost: {source: signals, value: sum(cost), shared: equally}"
    plan = plan_of(f"{POLICY}budgets: {{data: {{{cost}, day: 8 USD, hold: 100%}}}}\n")
    assert plan.versions == ("v1", "v3", "shared")
    assert plan_of(POLICY).versions == ("v1", "v3")
    source = PushSource("signals", store, versions=plan.versions)
    source.push([{"version": "shared", "ts": T0.isoformat(), "cost": 6},
                 {"version": "v3", "ts": T0.isoformat(), "cost": 1}], T0)  # fmt: skip

    state = State(rollout="signal", policy=plan.digest, name="canary", started_at=T0, entered_at=T0)
    found = collect(plan, state, {"signals": source}, T0)

    assert found["candidate.data_day"].value == 4.0
