"""Stretches taken at once give what deciding every tick gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import T0, plan_of
from support.policies import policy_texts

from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.event import Acknowledgement, Command, Tick
from controller.core.measurement import Measurement
from controller.core.state import State
from controller.replay.columns import Column, replay_columns

REFERENCES = ("candidate.accuracy", "candidate.errors", "candidate.loss", "signals.silent")


@settings(max_examples=60, deadline=None)
@given(policy_texts(), st.integers(0, 2**32 - 1), st.floats(0, 0.2))
def test_every_state_after_a_stretch_is_the_state_of_every_tick_decided(
    text: str, seed: int, trouble: float
) -> None:
    plan = plan_of(text)
    random = np.random.default_rng(seed)
    rows = 240
    columns = {}
    for reference in REFERENCES:
        good = 0.9 if reference == "candidate.accuracy" else 0.01
        values = np.full(rows, good)
        bad = random.random(rows) < trouble / 10
        values[bad] = random.choice([0.0, 0.28, 1.0, 90.0, np.nan], bad.sum())
        samples = np.where(random.random(rows) < trouble, 10, 500)
        columns[reference] = Column(values, samples.astype(np.int64))
    started = decide(plan, State("drawn", plan.digest), Command("start", "ann"), T0)
    state = started.state
    for key in state.unacknowledged:
        state = decide(plan, state, Acknowledgement(key, ok=True), T0).state

    plain = {}
    each = state
    for row in range(rows):
        found = {
            name: Measurement(value=float(c.values[row]), samples=int(c.samples[row]))
            for name, c in columns.items()
        }
        each = decide(plan, each, Tick(found), T0 + (row + 1) * plan.tick).state
        plain[each.seq] = each
    decided = 0
    last = state
    for step in replay_columns(plan, state, columns, T0):
        decided += isinstance(step, Decision)
        last = step.state if isinstance(step, Decision) else step
        assert last == plain[last.seq]
    assert last == each
    assert decided < rows, "no stretch was ever taken at once"
