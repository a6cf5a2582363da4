"""Stretches taken at once give what deciding every tick gives."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.parameters import POLICY, SHARED, write_files
from support.parameters import plan_of as of_parameters
from support.plans import T0, plan_of
from support.policies import policy_texts

from controller.core.decide import decide
from controller.core.event import Acknowledgement, Command, Tick
from controller.core.state import State
from controller.replay.columns import Column, replay_columns

LONG = """
rollout: drawn
baseline: v1
candidate: v2
schedule: {tick: 30s}
sources: {signals: {type: push}}
metrics:
  errors: {source: signals, value: ratio(bad), window: 2m, min_samples: 50}
stages:
  - {name: full, weight: 100%, hold: 2d}
triggers:
  - {name: silent, when: signals.silent > 1m, severity: medium, then: hold, escalate_after: 10m}
  - {name: slow, when: candidate.errors > 25%, severity: low, for: 2m}
"""
REFERENCES = {
    "candidate.accuracy": (0.9, [0.0, 0.7, np.nan]),
    "candidate.errors": (0.01, [0.22, 0.22, 0.28, 0.28, 0.35, np.nan]),
    "candidate.loss": (0.01, [0.05, 0.05, 0.2, np.nan]),
    "candidate.trial": (0.01, [0.92, 0.92, 0.97, np.nan]),
    "signals.silent": (0.01, [40.0, 40.0, 90.0, np.nan]),
}
"""What each is in good times, and in bad ones: on both sides of every limit."""


@settings(max_examples=100, deadline=None)
@given(policy_texts(), st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 0.3]))
def test_every_state_after_a_stretch_is_the_state_of_every_tick_decided(
    text: str, seed: int, trouble: float
) -> None:
    plan = plan_of(text)
    random = np.random.default_rng(seed)
    rows = 240
    columns = {}
    for reference, (good, bad) in REFERENCES.items():
        values = np.full(rows, good)
        for begin in np.flatnonzero(random.random(rows) < trouble / 10):
            length = random.choice([1, 2, 8, 30])
            values[begin : begin + 2 * length] = random.choice(bad)
            values[begin : begin + length] = random.choice(bad)
        samples = np.where(random.random(rows) < trouble / 10, 10, 500)
        columns[reference] = Column(values, samples.astype(np.int64))
    started = decide(plan, State("drawn", plan.digest), Command("start", "ann"), T0)
    state = started.state
    for key in state.unacknowledged:
        state = decide(plan, state, Acknowledgement(key, ok=True), T0).state

    plain = {}
    each = state
    for row in range(rows):
        found = {name: column.measurement(row) for name, column in columns.items()}
        each = decide(plan, each, Tick(found), T0 + (row + 1) * plan.tick).state
        plain[each.seq] = each

    def look(before: State, row: int, now: datetime) -> State:
        found = {name: column.measurement(row) for name, column in columns.items()}
        return decide(plan, before, Tick(found), now).state

    last = state
    for last in replay_columns(plan, state, columns, T0, look):
        assert last == plain[last.seq]
    assert last == each


def test_a_stretch_ends_where_a_rule_has_held_long_enough_before_and_after_a_gap() -> None:
    plan = plan_of(LONG.replace("for: 2m", "for: 10m"))
    state = decide(plan, State("drawn", plan.digest), Command("start", "ann"), T0).state
    for key in state.unacknowledged:
        state = decide(plan, state, Acknowledgement(key, ok=True), T0).state
    errors = np.full(60, 0.26)
    errors[12:20] = np.nan
    columns = {
        "candidate.errors": Column(errors, np.full(60, 500)),
        "signals.silent": Column(np.zeros(60), np.full(60, 500)),
    }

    def look(before: State, row: int, now: datetime) -> State:
        found = {name: column.measurement(row) for name, column in columns.items()}
        return decide(plan, before, Tick(found), now).state

    each, fires = state, 0
    for row in range(60):
        each = look(each, row, T0 + (row + 1) * plan.tick)
        fires = fires or (row if each.firing else 0)
    *_, last = replay_columns(plan, state, columns, T0, look)
    assert fires == 28, "twelve ticks before the gap, the gap as one, eight after it"
    assert last == each


@pytest.mark.parametrize("errors", [0.0, 0.26])
def test_what_goes_on_as_before_is_not_decided_tick_by_tick(errors: float) -> None:
    """Quiet, or with one alerting trigger that fires all the while."""
    plan = plan_of(LONG)
    state = decide(plan, State("drawn", plan.digest), Command("start", "ann"), T0).state
    for key in state.unacknowledged:
        state = decide(plan, state, Acknowledgement(key, ok=True), T0).state
    many = np.full(1000, 500)
    columns = {
        "candidate.errors": Column(np.full(1000, errors), many),
        "signals.silent": Column(np.zeros(1000), many),
    }
    decided = []

    def look(before: State, row: int, now: datetime) -> State:
        decided.append(row)
        found = {name: column.measurement(row) for name, column in columns.items()}
        return decide(plan, before, Tick(found), now).state

    *_, last = replay_columns(plan, state, columns, T0, look)
    assert (last.seq, last.dwell_ms) == (state.seq + 1000, 1000 * plan.tick_ms)
    assert last.firing == (("slow",) if errors else ())
    assert len(decided) <= 4


@pytest.mark.parametrize(
    ("errors", "ends"),
    [
        (0.26, "rolling_back.baseline_traffic"),  # alerts all the while, shuts the gate: deadline
        (0.35, "rolling_back.baseline_traffic"),  # three in a row
        (0.02, "completed"),
    ],
)
def test_a_stretch_ends_where_something_is_due(errors: float, ends: str) -> None:
    text = LONG.replace("hold: 2d}", "hold: 30m, advance: [candidate.errors <= 20%]}").replace(
        "triggers:",
        "triggers:\n"
        "  - {name: many, when: candidate.errors > 30%, severity: high, confirm: 3 in a row}",
    )
    plan = plan_of(text)
    state = decide(plan, State("drawn", plan.digest), Command("start", "ann"), T0).state
    for key in state.unacknowledged:
        state = decide(plan, state, Acknowledgement(key, ok=True), T0).state
    many = np.full(200, 500)
    columns = {
        "candidate.errors": Column(np.full(200, errors), many),
        "signals.silent": Column(np.zeros(200), many),
    }
    found = {name: column.measurement(0) for name, column in columns.items()}

    def look(before: State, row: int, now: datetime) -> State:
        return decide(plan, before, Tick(found), now).state

    each, moves = state, {}
    for row in range(200):
        now = T0 + (row + 1) * plan.tick
        after = decide(plan, each, Tick(found), now).state
        if after.name != each.name:
            moves[after.name] = now
        each = after
    last, moved = state, {}
    for here in replay_columns(plan, state, columns, T0, look):
        if here.name != last.name:
            moved[here.name] = here.at
        last = here
    assert moved == moves
    assert ends in moved
    assert last == each


@pytest.mark.parametrize("text", [POLICY, SHARED], ids=["time", "share"])
def test_parameters_on_their_way_are_decided_tick_by_tick(text: str, tmp_path: Path) -> None:
    plan = of_parameters(text, write_files(tmp_path))
    rows = 900
    columns = {
        f"{side}.accuracy": Column(np.full(rows, 0.9), np.full(rows, 500))
        for side in ("candidate", "baseline")
    }

    def settle(state: State, event: Command | Tick, now: datetime) -> State:
        state = decide(plan, state, event, now).state
        while state.unacknowledged:
            answer = Acknowledgement(state.unacknowledged[0], ok=True)
            state = decide(plan, state, answer, now).state
        return state

    def look(before: State, row: int, now: datetime) -> State:
        found = {name: column.measurement(row) for name, column in columns.items()}
        return settle(before, Tick(found), now)

    started = settle(State("flow", plan.digest), Command("start", "ann"), T0)
    plain, each = {}, started
    for row in range(rows):
        each = look(each, row, T0 + (row + 1) * plan.tick)
        plain[each.seq] = each
    assert each.name == "completed"
    last = started
    for last in replay_columns(plan, started, columns, T0, look):
        assert last == plain[last.seq]
    assert last == each
