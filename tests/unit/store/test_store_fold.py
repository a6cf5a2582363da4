"""The real core's decisions, written, read back and taken again: byte for byte the same."""

import pytest
from support.plans import Driver, plan_of

from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.event import Acknowledgement, Event
from controller.core.measurement import Measurement
from controller.core.plan import Plan
from controller.store.audit import verify
from controller.store.base import Commit
from controller.store.sql import SqlStore


class Recorder(Driver):
    """Commits every decision, and decides from what the store gives back."""

    def __init__(self, plan: Plan, store: SqlStore) -> None:
        super().__init__(plan)
        self._store = store
        assert store.create(self.state, "policy.yaml")

    def event(self, event: Event) -> Decision:
        before = self.state
        decision = decide(self.plan, before, event, self.now)
        assert self._store.commit([Commit(before, event, decision, None)]) == [True]
        row = self._store.rollout(before.rollout)
        assert row is not None
        self.state = row.state
        for effect in decision.effects:
            if effect.key in self.state.unacknowledged:
                self.event(Acknowledgement(effect.key, ok=True, detail="read back"))
        return decision


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 1, -0.0, 1e-300])
def test_a_whole_life_is_reproduced_from_its_journal(store: SqlStore, odd: float) -> None:
    plan = plan_of()
    life = Recorder(plan, store)
    baseline = Measurement(value=odd, mean=odd, variance=2, samples=200, as_of=life.now)
    life.to("canary")
    life.ticks(plan.tick * 5, candidate__accuracy=Measurement(value=odd, samples=120))
    life.to("ramp-50")
    life.command("advance")
    life.tick()
    life.command("approve", by="risk")
    life.tick(baseline__accuracy=baseline, baseline__errors=baseline)
    assert life.state.name == "watch" and life.state.frozen
    life.tick(candidate__drawdown=Measurement(value=0.5, samples=3))
    for _ in range(20):
        life.tick()
    assert life.state.rollbacks
    report = verify(store, plan.rollout, decide, lambda digest: plan)
    assert report.whole, str(report)
    assert report.folded == life.state.seq > 40
