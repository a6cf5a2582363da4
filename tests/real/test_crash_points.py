"""A process that dies at any point of a rollout's life, and the one that takes over (rule 15).

One life, from the start over an approval, an edited policy and pushed observations to a loss and
the whole way back, is lived once undisturbed. Then it is lived again for every point at which
something leaves the process, and killed there; the next process is killed as well, soon after it
has begun, and the third one brings the life to its end.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import msgspec
import pytest
from support import life

from controller.core.clocks import MISSED_TICKS
from controller.core.decide import decide
from controller.core.effect import Activate, Alert, SetShare
from controller.core.event import Acknowledgement, PolicyEdit, Tick
from controller.core.state import State
from controller.run.plans import Plans
from controller.store import open_store
from controller.store.audit import policy_of, verify, verify_observations
from controller.store.base import Entry

pytestmark = pytest.mark.real

KILLED = -9
SOON = 4
"""The heir is killed at this point of its own life."""
CHAPTERS = {
    "before a decision is committed": r"before commit of (a look|start|approve)",
    "between commit and delivery": r"after commit of (a look|start|approve)|before delivery",
    "between delivery and acknowledgement": r"after delivery|before commit of an answer",
    "after an acknowledgement": r"after commit of an answer|outbox settled",
    "while a policy is read": r"policy|an edit",
    "while observations are pushed": r"observations",
}
STEPS_BACK = ("baseline_traffic", "restore", "verify")


class Nursery:
    """Where lives are lived: one process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, life.__file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    def live(self, place: Path, last: int = 0) -> int:
        """Exit code of a life in `place` that ends at its point number `last`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{last} {place}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer or int(answer) not in (0, KILLED):
            self._process.stdin.close()
            assert self._process.stderr is not None
            raise AssertionError(f"{answer.strip()}: {self._process.stderr.read()[-2000:]}")
        return int(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Told:
    """What is told of a life when it is over: what two lives must have in common."""

    states: tuple[str, ...]
    published: tuple[str, ...]
    alerts: tuple[tuple[str, str], ...]
    observations: tuple[tuple[int, ...], int]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, str]:
    """What is told of the life that nobody disturbs, and the names of its points."""
    place = tmp_path_factory.mktemp("undisturbed")
    life.prepare(place)
    assert nursery.live(place) == 0
    return tell(place), place.joinpath("points.txt").read_text()


def points(names: str, chapter: str) -> list[tuple[int, str]]:
    """Numbers and names of the points that belong to a chapter: the first that knows them."""
    found = []
    for number, name in enumerate(names.splitlines(), 1):
        belongs = next(title for title, known in CHAPTERS.items() if re.search(known, name))
        if belongs == chapter:
            found.append((number, name))
    return found


def test_the_life_passes_every_point_that_is_to_be_survived(undisturbed: tuple[Told, str]) -> None:
    told, names = undisturbed
    for chapter in CHAPTERS:
        assert len(points(names, chapter)) >= 4, chapter
    for step in STEPS_BACK:
        for side in ("before", "after"):
            assert re.search(rf"{side} commit of .* leads to rolling_back\.{step}", names)
            assert re.search(rf"{side} commit of an answer .* in rolling_back\.{step}", names)
    for delivered in ("share 0 in epoch 2", "configuration v1", "a look at the share"):
        assert f"before delivery of {delivered}\nafter delivery of {delivered}" in names
    assert told.states[0] == "shadow" and told.states[-1] == "cooldown"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_life_that_is_cut_short_twice_ends_as_if_it_never_was(
    nursery: Nursery, undisturbed: tuple[Told, str], tmp_path: Path, chapter: str
) -> None:
    told, names = undisturbed
    for number, name in points(names, chapter):
        place = tmp_path / str(number)
        life.prepare(place)
        assert nursery.live(place, number) == KILLED
        left = state(place)
        if nursery.live(place, SOON) == KILLED:
            assert nursery.live(place) == 0
        assert tell(place) == told, f"killed {name}"
        whole(place, left)


def state(place: Path) -> State | None:
    """Where the store says that the rollout stands."""
    with open_store(str(place / ".rollout" / "rollout.db")) as store:
        row = store.rollout("signal")
    return row.state if row else None


def whole(place: Path, left: State | None) -> None:
    """One history without a gap, in which nothing was done twice."""
    with open_store(str(place / ".rollout" / "rollout.db")) as store:
        plans = Plans(store, {})
        report = verify(store, "signal", decide, lambda digest: plans.plan(digest, life.T0))
        assert report.whole, str(report)
        for source in store.observation_sources():
            assert verify_observations(store, source).whole
        entries = list(store.journal("signal"))
        head = store.head("signal")
        assert head is not None
        states, plan = [head.initial], plans.plan(head.initial.policy, life.T0)
        for entry in entries:
            plan = plans.plan(policy_of(states[-1], entry.event), entry.at)
            states.append(decide(plan, states[-1], entry.event, entry.at).state)
    assert left is None or states[left.seq] == left, "what was decided before the kill stands"
    for before, after in pairwise(states):
        if after.name == before.name and after.entered_at == before.entered_at:
            assert 0 <= after.dwell_ms - before.dwell_ms <= MISSED_TICKS * plan.tick_ms
        known = before.counters.get("errors")
        if known is not None and after.epoch == before.epoch == 1:
            assert after.counters["errors"].total >= known.total, "a failure was forgotten"
    acted_once(place, entries)


def acted_once(place: Path, entries: list[Entry]) -> None:
    """Every effect has its entry, is answered once, and reaches its target in order; it comes
    again only if its first arrival was not acknowledged when the process was killed."""
    asked = {effect.key: effect for entry in entries for effect in entry.effects}
    arrived = [line.split()[0] for line in (place / "deliveries.txt").read_text().splitlines()]
    assert set(arrived) == set(asked), "what was asked for arrived, and nothing else"
    assert max(Counter(arrived).values()) <= 3, "once for each of the processes at most"
    for kind in (SetShare, Activate):
        effects = [asked[key] for key in arrived]
        tokens = [effect.token for effect in effects if isinstance(effect, kind)]
        assert tokens == sorted(tokens), "no target saw an older token after a newer one"
    answers = [e.event.key for e in entries if isinstance(e.event, Acknowledgement)]
    waited_for = [key for key, effect in asked.items() if not isinstance(effect, Alert)]
    assert sorted(answers) == sorted(waited_for), "each is acknowledged once"
    assert sum(isinstance(entry.event, PolicyEdit) for entry in entries) == 1
    lines = (place / ".rollout" / "alerts.jsonl").read_bytes().splitlines()
    told = [msgspec.json.decode(line)["key"] for line in lines]
    assert len(told) == len(set(told)), "people are told once"


def tell(place: Path) -> Told:
    """The life in `place`, without its times and numbers."""
    with open_store(str(place / ".rollout" / "rollout.db")) as store:
        entries = list(store.journal("signal"))
        sent = [
            msgspec.json.decode(line)
            for batch in store.observations("signal/signals")
            for line in batch.lines.splitlines()
        ]
    looks = [e.event.measurements for e in entries if isinstance(e.event, Tick)]
    samples = max(look["candidate.errors"].samples or 0 for look in looks)
    deliveries = (place / "deliveries.txt").read_text().splitlines()
    published = [
        line.partition(" ")[2] for line in deliveries if not re.search(" alert | a look ", line)
    ]
    alerts = (place / ".rollout" / "alerts.jsonl").read_bytes().splitlines()
    kinds = [(line["kind"], line["title"]) for line in map(msgspec.json.decode, alerts)]
    share = msgspec.json.decode((place / "policies" / "share.json").read_bytes())
    config = (place / "policies" / "live.json").read_text()
    return Told(
        states=tuple(name for name, _ in groupby(e.state.name for e in entries if e.state)),
        published=(*(one for one, _ in groupby(published)), share["percent"], config),
        alerts=tuple(kinds),
        observations=(tuple(sorted(line["batch"] for line in sent)), samples),
    )
