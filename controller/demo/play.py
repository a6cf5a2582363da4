"""The two acts of the demo, on a real controller: real store, real scheduler, real files.

The desk trades one bar after the other and pushes what it measured; the controller ticks in its
own thread and publishes the share; the desk reads the share from the published file before every
bar. Nothing here tells the controller what to do but `start`.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from controller.core.decide import decide
from controller.core.event import Command, Tick
from controller.core.explain import explanation
from controller.core.share import NONE, Share
from controller.core.state import COMPLETED, LOCKED, PARTIAL, PENDING, ROLLED_BACK
from controller.demo.clock import MarketClock, close_of
from controller.demo.desk import BOOKS, Desk, Look, Version, load_version, open_books
from controller.demo.market import Bar, DemoError
from controller.demo.screen import Frame, Move, Screen
from controller.effects.file import ShareFile
from controller.run.service import Service
from controller.run.settings import Settings
from controller.store.audit import AuditReport, verify
from controller.store.base import Rollout

WARM_UP = 121
"""Bars that the slower algorithm needs before its first signal."""
FINAL = frozenset({COMPLETED, ROLLED_BACK, LOCKED, PARTIAL})
SOURCE = "desk"
SHOW_EVERY = 4
"""Bars between two looks at the journal."""
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Act:
    """What is rolled out, and what the audience is told before."""

    rollout: str
    title: str
    story: str
    baseline: str
    candidate: str


@dataclass(slots=True)
class Outcome:
    """What came of one act. `share` was read back from the published file at the end."""

    act: Act
    state: str
    share: Share
    moves: list[Move] = field(default_factory=list)
    first_day: date = date.min
    last_day: date = date.min
    bars: int = 0
    seconds: float = 0.0
    money: dict[str, float] = field(default_factory=dict)
    audit: AuditReport | None = None


class Theatre:
    """The stage: one controller over one folder, one market that goes on from act to act."""

    def __init__(self, folder: Path, bars: Sequence[Bar], pace: float) -> None:
        """`folder` is made anew; `pace` is market days a second of the real clock."""
        self.folder = folder
        self.policies = folder / "policies"
        self._bars = bars
        self._next = WARM_UP
        self.clock = MarketClock(close_of(bars[WARM_UP - 1].day), pace)
        self._began = time.monotonic()
        _set_up(folder)
        settings = Settings(
            state_dir=folder,
            policies=self.policies,
            resolution=timedelta(milliseconds=50),
            log_level="error",
        )
        self.service = Service(settings, clock=self.clock)

    def __enter__(self) -> "Theatre":
        self.service.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()

    @property
    def seconds(self) -> float:
        """Since the curtain, on the real clock."""
        return time.monotonic() - self._began

    def perform(self, act: Act, screen: Screen) -> Outcome:
        """Start the rollout and trade until it is over, or the prices are."""
        desk = self._desk(act)
        self._await(act.rollout)
        self.service.command(act.rollout, Command("start", by="demo", reason=act.title))
        outcome = Outcome(act, PENDING, NONE, first_day=self._bars[self._next].day)
        started, seen = self.seconds, 0
        for bar in self._market():
            looks = desk.on_bar(bar, self.published(act.rollout))
            self.service.push(act.rollout, SOURCE, [_observation(look) for look in looks])
            outcome.bars += 1
            if outcome.bars % SHOW_EVERY:
                continue
            seen = self._tell_moves(act.rollout, seen, outcome, screen)
            row = self._row(act.rollout)
            outcome.state, outcome.last_day = row.state.name, bar.day
            screen.show(self._frame(row, bar.day, outcome, looks, desk))
            if outcome.state in FINAL:
                break
        outcome.seconds = self.seconds - started
        outcome.share = self.published(act.rollout)
        outcome.money = dict(desk.money)
        outcome.audit = self.audit(act.rollout)
        return outcome

    def published(self, rollout: str) -> Share:
        """The share in the published file; none before anything was published."""
        path = self.policies / "live" / f"{rollout}-share.json"
        found = ShareFile(path, rollout, "", "").read()
        return NONE if found is None else found.share

    def audit(self, rollout: str) -> AuditReport:
        """The journal's hashes again, and every decision taken again from its event."""
        store, plans = self.service.store, self.service.plans
        return verify(store, rollout, decide, lambda policy: plans.plan(policy, self.clock()))

    # What the acts are made of ------------------------------------------------------------

    def _desk(self, act: Act) -> Desk:
        def version(name: str) -> Version:
            return load_version(self.policies / "configs" / f"demo-{name}.json")

        desk = Desk((version(act.baseline), version(act.candidate)), open_books(BOOKS))
        desk.warm_up(self._bars[: self._next])
        return desk

    def _market(self) -> Iterator[Bar]:
        """One bar after the other, each when the market's clock has come to its close."""
        while self._next < len(self._bars):
            bar = self._bars[self._next]
            time.sleep(self.clock.run_to(close_of(bar.day)))
            self._next += 1
            yield bar

    def _await(self, rollout: str) -> None:
        """The controller finds the policy file by itself; that takes it a moment."""
        until = time.monotonic() + PATIENCE_S
        while self.service.store.rollout(rollout) is None:
            if time.monotonic() > until:
                raise DemoError(f"the controller did not take up {rollout} in {PATIENCE_S:g} s")
            time.sleep(0.02)

    def _row(self, rollout: str) -> Rollout:
        row = self.service.store.rollout(rollout)
        if row is None:
            raise DemoError(f"{rollout} is no longer in the store")
        return row

    def _tell_moves(self, rollout: str, seen: int, outcome: Outcome, screen: Screen) -> int:
        for entry in self.service.store.journal(rollout, seen):
            seen = entry.seq
            if entry.move and entry.state is not None:
                move = Move(
                    entry.seq, entry.at.date(), self.seconds, entry.state.name,
                    entry.state.share, entry.reasons,
                )  # fmt: skip
                outcome.moves.append(move)
                screen.moved(move)
        return seen

    def _frame(
        self, row: Rollout, day: date, outcome: Outcome, looks: Sequence[Look], desk: Desk
    ) -> Frame:
        entry = self.service.store.last_entry(row.state.rollout)
        measured = entry.event.measurements if entry and isinstance(entry.event, Tick) else None
        now = row.state.at or self.clock()
        plan = self.service.plans.plan(row.state.policy, now)
        return Frame(
            rollout=row.state.rollout,
            day=day,
            bars=outcome.bars,
            seconds=self.seconds,
            published=self.published(row.state.rollout),
            explanation=explanation(plan, row.state, now, measured),
            books={look.version: look.books for look in looks},
            money=desk.money,
        )


def shipped_policies() -> Path:
    """The folder of the demo's policies: in the source tree or in the installed package."""
    for folder in (Path(__file__).parent / "policies", Path(__file__).parents[2] / "policies"):
        if (folder / "demo.yaml").is_file():
            return folder
    raise DemoError("the demo's policies are not installed; reinstall rollout-controller")


def _set_up(folder: Path) -> None:
    """A new folder with the demo's policies. Only a folder that a demo made is replaced."""
    mark = folder / "made-by-rollout-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise DemoError(f"{folder} is there and was not made by the demo; name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    source = shipped_policies()
    (folder / "policies" / "configs").mkdir(parents=True)
    mark.touch()
    for path in (*source.glob("demo*.yaml"), *source.glob("configs/demo-*.json")):
        shutil.copy(path, folder / "policies" / path.relative_to(source))


def _observation(look: Look) -> dict[str, object]:
    """One JSON observation: what is None was not measured and is left out."""
    measured = {
        "correct": look.correct,
        "failed": look.failed,
        "agreed": look.agreed,
        "net_bps": look.net_bps,
        "latency_ms": look.latency_ms,
        "pnl": look.pnl,
        "exposure": look.exposure,
    }
    return {
        "version": look.version,
        "key": look.day.isoformat(),
        "at": close_of(look.day).isoformat(),
        **{name: value for name, value in measured.items() if value is not None},
    }
