"""Two trading processes that die at any moment: the market never sees two writers, nor one that has
been replaced, and what is held passes whole."""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from support.services import Desk

from controller.core.effect import Phase

pytestmark = pytest.mark.real

POLICY = """\
rollout: signal
baseline: v1
candidate: v3
schedule: {tick: 30s}
publish:
  share: {type: file, path: live/share.json}
transition:
  handover:
    stage: handover
    processes: {directory: live/handover, baseline: engine-1, candidate: engine-3, within: 10m}
    ready: {bars: 5, decisions: 5}
    within: 20 ticks
    ramp: 5m
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 5m}
  - {name: handover, weight: 100%, hold: 5m, deadline: {after: 8h}}
  - {name: watch, weight: 100%, hold: 10m}
rollback: {verify_after: 1m, deadline: 10m}
"""
ENGINE = """
import json, os, signal, sys
from datetime import UTC, datetime, timedelta
from controller.client import Account, Handover, Holding, Side

live, name, side, schema = sys.argv[1], sys.argv[2], Side(sys.argv[3]), int(sys.argv[4])
point = ""


def at(here):
    if point == here:
        os.kill(os.getpid(), signal.SIGKILL)


market = os.open(f"{live}/market.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Engine:
    def __init__(self):
        self.bars, self.position = 0, 0.0

    def ready(self):
        return self.bars, self.bars

    def targets(self):
        return {"NQ": 1.0}

    def holding(self):
        at("holding")
        state = {"seen" if schema == 2 else "bars": self.bars}
        return Holding(Account(100.0, 120.0, 99.0, 110.0), {"NQ": self.position}, {}, state, schema)

    def adopt(self, holding):
        self.position = holding.position["NQ"]
        if holding.algorithm is not None:
            self.bars = holding.algorithm["seen" if schema == 2 else "bars"]
        at("adopt")


steps = {(1, 2): lambda s: {"seen": s["bars"]}, (2, 1): lambda s: {"bars": s["seen"]}}
engine = Engine()
handover = Handover(live, name, name, engine, side=side, schema=schema, migrations=steps)
for line in sys.stdin:
    moment, _, point = line.strip().partition(" ")
    engine.bars += 1
    at("bar")
    handover.turn(datetime.fromtimestamp(float(moment), UTC))
    at("turn")
    with handover.writing() as leave:
        if leave is not None:
            for what in ("begin", "end"):
                said = {"what": what, "who": name, "token": leave.token, "pid": os.getpid()}
                os.write(market, json.dumps(said).encode() + b"\\n")
                at(what)
            engine.position += 1
    print(engine.position, flush=True)
"""
POINTS = ("bar", "holding", "adopt", "turn", "begin", "end")
MOST_BARS = 600
SECOND = timedelta(seconds=1)
SIDES = {"engine-1": ("baseline", "1"), "engine-3": ("candidate", "2")}


class Engines:
    """Both processes; one that is dead is started again before its next bar."""

    def __init__(self, live: Path, chance: random.Random) -> None:
        self._live, self._chance = live, chance
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.died: Counter[str] = Counter()

    def bar(self, at: float, *, dying: bool) -> None:
        """A bar for both, one after the other; where `dying`, some kill themselves within."""
        for name in SIDES:
            process = self._running.get(name) or self._start(name)
            assert process.stdin is not None and process.stdout is not None
            point = self._chance.choice(POINTS) if dying and self._chance.random() < 0.4 else ""
            process.stdin.write(f"{at} {point}\n")
            process.stdin.flush()
            if not process.stdout.readline():
                assert point, name
                self.died[point] += 1
                self.kill(name)

    def kill(self, name: str) -> None:
        """For good, until the next bar that it is started for."""
        process = self._running.pop(name)
        process.kill()
        process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)

    def _start(self, name: str) -> subprocess.Popen[str]:
        process = self._running[name] = subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(self._live), name, *SIDES[name]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return process


def market(live: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (live / "market.jsonl").read_text().splitlines()]


def held(live: Path) -> None:
    """Nobody begins before another that lives has ended, tokens never fall, each has one owner."""
    last, owners = 0, dict[int, str]()
    inside: dict[str, Any] | None = None
    for said in market(live):
        token = said["token"]
        assert token >= last, "somebody wrote by an order that had been replaced"
        last = token
        assert owners.setdefault(token, said["who"]) == said["who"]
        if said["what"] == "begin":
            assert inside is None or inside["pid"] != said["pid"]
            inside = said
        else:
            assert inside is not None
            assert (inside["who"], inside["pid"]) == (said["who"], said["pid"]), "two at once"
            inside = None


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, POLICY)
    (desk.policies / "live" / "handover").mkdir(parents=True)
    yield desk
    desk.close()


def test_the_writing_passes_between_two_processes_and_back(desk: Desk) -> None:
    live = desk.policies / "live" / "handover"
    with Engines(live, random.Random(0)) as engines:
        desk.command("start")
        while desk.state().name != "watch":
            desk.go(SECOND, SECOND)
            engines.bar(desk.now.timestamp(), dying=False)
            assert desk.state().epoch == 1
        who = [said["who"] for said in market(live)]
        assert set(who) == {"engine-1", "engine-3"}
        assert who == sorted(who), "first the one, then the other"
        engines.kill("engine-3")
        desk.command("rollback", reason="fills look wrong")
        while desk.state().name != "cooldown":
            engines.bar(desk.now.timestamp(), dying=False)
            desk.go(SECOND, SECOND)
        engines.bar(desk.now.timestamp(), dying=False)
    assert market(live)[-1]["who"] == "engine-1"
    held(live)


@pytest.mark.parametrize("back_at", [Phase.COPY, Phase.AGREE, Phase.FENCE, Phase.WRITE, None])
def test_processes_and_a_controller_that_die_at_any_moment_leave_one_writer(
    back_at: Phase | None, desk: Desk
) -> None:
    chance = random.Random(str(back_at))
    end, writer = ("cooldown", "engine-1") if back_at is not None else ("watch", "engine-3")
    live = desk.policies / "live" / "handover"
    with Engines(live, chance) as engines:
        desk.command("start")
        for _ in range(MOST_BARS):
            desk.go(5 * SECOND, 5 * SECOND)
            state = desk.state()
            engines.bar(desk.now.timestamp(), dying=state.name != "shadow")
            if chance.random() < 0.1:
                desk.restart()
            phase = state.handover.phase if state.handover is not None else None
            if phase is back_at and state.epoch == 1:
                desk.command("rollback", reason="drill")
            if state.name == end:
                break
        assert desk.state().name == end, (desk.state(), engines.died)
        assert engines.died.total() > 3
        for _ in range(3):
            engines.bar(desk.now.timestamp(), dying=False)
    assert market(live)[-1]["who"] == writer
    held(live)
