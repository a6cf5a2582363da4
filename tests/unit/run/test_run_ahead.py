"""A source that hangs, answers late or wrongly is the trouble of its own rollout alone."""

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from support.plans import GOOD, POLICY, T0
from support.running import Recorder, Said, Shop
from support.web import Asked, serving

from controller.core.event import Command
from controller.core.measurement import Measurement
from controller.core.state import State
from controller.run.ahead import Ahead
from controller.run.alarms import Alarms
from controller.run.commands import register
from controller.run.connections import Opened
from controller.run.controller import Controller, TickReport
from controller.run.plans import Plans
from controller.run.unit import handle
from controller.sources.base import Request
from controller.store import open_store

NAMES = ("one", "two", "three")


class Late(Said):
    """A source that answers when it is let."""

    def __init__(self) -> None:
        super().__init__(GOOD)
        self.let = threading.Event()
        self.times = 0

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        self.times += 1
        assert self.let.wait(60)
        return super().measure(requests)


class Floor:
    """Three rollouts, all with slow sources; that of `two` is late."""

    def __init__(self, path: Path) -> None:
        self.shop = Shop(path / "store.db", workers=4, patience=timedelta(milliseconds=50))
        self.late = Late()
        for name in NAMES:
            text = POLICY.replace("rollout: signal", f"rollout: {name}")
            self.shop.register(text, f"/policies/{name}.yaml")
            self.shop.command("start", name)
        wires = self.shop.wires
        wires.slow = lambda state, now: True  # type: ignore[method-assign]
        wires.sources = self.sources  # type: ignore[method-assign]

    def sources(self, state: State, now: object) -> dict[str, Said]:
        return {"signals": self.late if state.rollout == "two" else self.shop.wires.source}

    def until_decided(self, count: int) -> TickReport:
        """Rounds, each of which waits a little, until all three had their look."""
        seen = TickReport(T0)
        for _ in range(1000):
            report = self.shop.tick(timedelta(0))
            seen.decided += report.decided
            seen.refused += report.refused
            if seen.decided >= count:
                return seen
        raise AssertionError(f"{seen.decided} of {count} decided")


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    floor = Floor(tmp_path)
    yield floor
    floor.late.let.set()
    floor.shop.close()


def test_nobody_waits_for_a_source_that_hangs(floor: Floor) -> None:
    floor.shop.now += timedelta(seconds=30)
    floor.until_decided(2)
    before = len(floor.shop.entries("two"))
    for _ in range(3):
        report = floor.shop.tick(timedelta(seconds=1))
        assert (report.due, report.decided, report.waiting) == (1, 0, 1)
    assert floor.late.times == 1
    floor.late.let.set()
    floor.until_decided(1)
    assert len(floor.shop.entries("two")) == before + 1


def test_an_answer_for_a_state_that_is_over_decides_nothing(floor: Floor) -> None:
    floor.shop.now += timedelta(seconds=30)
    floor.until_decided(2)
    floor.shop.decide_only("pause", "two")
    floor.late.let.set()
    assert floor.until_decided(1).refused == 0
    assert floor.late.times == 2
    assert floor.shop.state("two").name == "shadow.paused"


def test_an_answer_that_never_came_is_no_decision_and_late_when_it_comes(floor: Floor) -> None:
    floor.shop.now += timedelta(seconds=30)
    floor.until_decided(2)
    floor.shop.now += timedelta(seconds=9)
    late = floor.shop.controller.totals.late
    floor.late.let.set()
    floor.until_decided(1)
    assert floor.shop.controller.totals.late == late + 1


def test_what_was_measured_for_an_older_state_is_not_given_for_a_newer_one() -> None:
    ahead, let = Ahead(1, timedelta(minutes=1)), threading.Event()

    def late() -> dict[str, Measurement]:
        let.wait(60)
        return {"old": Measurement()}

    before, after = State("web", "p", seq=1), State("web", "p", seq=2)
    ahead.ask(before, late)
    ahead.ask(after, lambda: {"new": Measurement()})
    let.set()
    assert ahead.answers([after]) == {}
    ahead.ask(after, lambda: {"new": Measurement()})
    (answer,) = ahead.answers([after]).values()
    assert answer.result() == {"new": Measurement()}
    ahead.close()


MIXED = POLICY.replace(
    "  signals: {type: push}", '  signals: {type: push}\n  api: {type: http, url: "URL"}'
).replace(
    "stages:\n", "  cost: {source: api, query: cost, window: 5m}\nstages:\n", 1
).replace(
    "triggers:\n", "triggers:\n  - {name: cost, when: candidate.cost > 5, severity: high}\n"
)  # fmt: skip


def test_a_hard_limit_between_looks_waits_for_no_network(tmp_path: Path) -> None:
    with serving(Asked.hang) as server, open_store("sqlite://") as store:
        plans = Plans(store, {})
        opened = Opened(store, plans, tmp_path)
        controller = Controller(
            store, plans, opened, Alarms(Recorder()), "one", random=Random(1)
        )  # fmt: skip
        loaded = plans.read(MIXED.replace("URL", server.url), tmp_path / "policy.yaml")
        assert loaded.ok, [str(finding) for finding in loaded.findings]
        assert register(store, plans, loaded, T0)
        handle(store, plans.plan, "signal", Command("start", "kim"), T0)
        now = T0 + timedelta(seconds=5)
        observation = {"version": "v3", "pnl": -50_000.0}
        opened.push("signal", "signals", [observation], now)
        decision = controller.observed("signal", "signals", now)
        assert decision is not None
        assert decision.state.name.startswith("rolling_back.")
        assert server.asked == []
        controller.close()
        opened.close()
