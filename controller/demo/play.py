"""The two acts of the demo, on a real controller: real store, real scheduler, real files.

The desk trades one bar after the other and pushes what it measured; the controller ticks in its
own thread and publishes the share; the desk's client looks at the published file before every
bar. Nothing here tells the controller what to do but `start`.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from controller.client import Client
from controller.core.decide import decide
from controller.core.decision import Explanation
from controller.core.event import Command
from controller.core.share import NONE, Share
from controller.core.state import COMPLETED, LOCKED, PARTIAL, ROLLED_BACK, ROLLING_BACK
from controller.demo.account import Account
from controller.demo.books import Books
from controller.demo.clock import MarketClock, close_of
from controller.demo.desk import Desk, Look
from controller.demo.market import Bar, DemoError
from controller.demo.screen import Frame, Move, Screen
from controller.demo.turnover import Turnover, turnover
from controller.demo.version import Version, load_version
from controller.policy.load import load_policy
from controller.policy.models import Policy
from controller.policy.publisher import ConfigPublisher
from controller.run.controller import TickReport
from controller.run.recall import NothingThere, Recalled, recall
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
LOOK_EVERY = timedelta(days=3)
"""Of market time, between two rounds of the controller: half of the policies' tick."""
MOST_BEHIND = timedelta(days=7)
QUICKEST_ROUND = timedelta(milliseconds=10)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Act:
    """What is rolled out, and what the audience is told before."""

    rollout: str
    title: str
    story: str
    baseline: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one act. `share` was read back from the published file at the end; `money` is
    what each version made with its part of the capital, in US dollars; `turnover` of the handover,
    if signals were blended; `vectors` of parameters that the desk acknowledged; `configuration`:
    the version whose file the published configuration is, byte for byte (empty: neither's)."""

    act: Act
    state: str
    share: Share
    moves: tuple[Move, ...]
    first_day: date
    last_day: date
    bars: int
    seconds: float
    money: Mapping[str, float]
    turnover: Turnover | None
    vectors: int
    configuration: str
    audit: AuditReport

    @property
    def turn(self) -> Move | None:
        """Where it turned back, if it did."""
        return next((move for move in self.moves if move.state.startswith(ROLLING_BACK)), None)


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
            resolution=max(QUICKEST_ROUND, LOOK_EVERY / (timedelta(days=1) * pace) * SECOND),
        )
        self._log_path = folder / "controller.log"
        self._log = logging.FileHandler(self._log_path, encoding="utf-8")
        self._last_round = self.clock()
        self.service = Service(settings, clock=self.clock, on_round=self._round_done)

    def __enter__(self) -> "Theatre":
        logging.getLogger().addHandler(self._log)
        self.service.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()
        logging.getLogger().removeHandler(self._log)
        self._log.close()

    @property
    def seconds(self) -> float:
        """Since the curtain, on the real clock."""
        return time.monotonic() - self._began

    def perform(self, act: Act, screen: Screen) -> Outcome:
        """Start the rollout and trade until it is over, or the prices are."""
        policy = self._policy(act)
        desk = self._desk(act, policy)
        self._await(act.rollout)
        began, first = self.seconds, self._next
        self.service.command(act.rollout, Command("start", by="demo"))
        moves: list[Move] = []
        client = self._client(act, policy)
        for bar in self._market():
            client.refresh()
            looks = desk.on_bar(bar, client)
            self.service.push(act.rollout, SOURCE, [_observation(look) for look in looks])
            if (self._next - first) % SHOW_EVERY:
                continue
            self._tell_moves(act.rollout, moves, screen)
            state = self._row(act.rollout).state.name
            screen.show(self._frame(act, state, looks, desk, client, self._next - first))
            if state in FINAL:
                break
        self._tell_moves(act.rollout, moves, screen)
        client.refresh()
        return Outcome(
            act=act,
            state=self._row(act.rollout).state.name,
            share=_share(client),
            moves=tuple(moves),
            first_day=self._bars[first].day,
            last_day=self._bars[self._next - 1].day,
            bars=self._next - first,
            seconds=self.seconds - began,
            money=dict(desk.money),
            turnover=turnover(desk.trading.days) if isinstance(desk.trading, Account) else None,
            vectors=len(desk.parameters),
            configuration=self._configuration(act, policy),
            audit=self.audit(act.rollout),
        )

    def reason_for_rollback(self, outcome: Outcome) -> Recalled | None:
        """The decision that turned the rollout back, taken again from the journal."""
        if outcome.turn is None:
            return None
        store, plans = self.service.store, self.service.plans
        return recall(store, plans.plan, outcome.act.rollout, seq=outcome.turn.seq)

    def audit(self, rollout: str) -> AuditReport:
        """The journal's hashes again, and every decision taken again from its event."""
        store, plans = self.service.store, self.service.plans
        return verify(store, rollout, decide, lambda policy: plans.plan(policy, self.clock()))

    # What the acts are made of ------------------------------------------------------------

    def _policy(self, act: Act) -> Policy:
        policy = load_policy(self.policies / f"{act.rollout}.yaml", {}).policy
        if policy is None:
            raise DemoError(f"the policy of {act.rollout} is broken; reinstall rollout-controller")
        return policy

    def _desk(self, act: Act, policy: Policy) -> Desk:
        """One that blends or routes, as the policy says."""

        def version(name: str) -> Version:
            return load_version(self._config_file(name))

        desk = Desk(
            (version(act.baseline), version(act.candidate)),
            Account() if policy.transition.blend is not None else Books(),
            follows=policy.transition.parameters is not None,
        )
        desk.warm_up(self._bars[: self._next])
        return desk

    def _client(self, act: Act, policy: Policy) -> Client:
        """The desk's: of the files that the controller publishes, as in a process of its own."""
        way = policy.transition.parameters
        said = way.acknowledge if way is not None else None
        return Client.from_file(
            self.service.share_file(act.rollout),
            baseline=act.baseline,
            watch=None,
            parameters=self._live_config(policy) if way is not None else None,
            acknowledgements=self.policies / said.directory if said is not None else None,
            name="desk",
        )

    def _config_file(self, version: str) -> Path:
        return self.policies / "configs" / f"demo-{version}.json"

    def _live_config(self, policy: Policy) -> Path:
        found = (one for one in policy.publish.values() if isinstance(one, ConfigPublisher))
        return self.policies / next(found).path

    def _configuration(self, act: Act, policy: Policy) -> str:
        live = self._live_config(policy).read_bytes()
        versions = (act.baseline, act.candidate)
        return next((v for v in versions if self._config_file(v).read_bytes() == live), "")

    def _market(self) -> Iterator[Bar]:
        """One bar after the other, each when the market's clock has come to its close."""
        while self._next < len(self._bars):
            bar = self._bars[self._next]
            time.sleep(self.clock.run_to(close_of(bar.day)))
            self._wait_for_the_controller()
            self._next += 1
            yield bar

    def _round_done(self, report: TickReport) -> None:
        self._last_round = report.at

    def _wait_for_the_controller(self) -> None:
        """On a slow or busy machine the market waits: no look is missed for the hurry of a demo."""
        until = time.monotonic() + PATIENCE_S
        while self.clock() - self._last_round > MOST_BEHIND:
            if time.monotonic() > until:
                raise DemoError(
                    f"the controller did nothing for {PATIENCE_S:g} s; see {self._log_path}"
                )
            time.sleep(0.002)

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

    def _tell_moves(self, rollout: str, moves: list[Move], screen: Screen) -> None:
        for entry in self.service.store.journal(rollout, moves[-1].seq if moves else 0):
            if entry.move and entry.state is not None:
                move = Move(
                    rollout=rollout,
                    seq=entry.seq,
                    day=entry.at.date(),
                    seconds=self.seconds,
                    state=entry.state.name,
                    share=entry.state.share,
                    reasons=entry.reasons,
                )
                moves.append(move)
                screen.moved(move)

    def _frame(
        self, act: Act, state: str, looks: Sequence[Look], desk: Desk, client: Client, bars: int
    ) -> Frame:
        return Frame(
            rollout=act.rollout,
            state=state,
            day=looks[0].day,
            bars=bars,
            seconds=self.seconds,
            published=_share(client),
            told=self._last_look(act.rollout),
            parts={look.version: look.part for look in looks},
            money=desk.money,
        )

    def _last_look(self, rollout: str) -> Explanation | None:
        store, plans = self.service.store, self.service.plans
        try:
            return recall(store, plans.plan, rollout, ticks_only=True).decision.explanation
        except NothingThere:
            return None


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


def _share(client: Client) -> Share:
    """The share in the published file; none before anything was published."""
    return NONE if client.published is None else client.published.share


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
        "ts": close_of(look.day).isoformat(),
        **{name: value for name, value in measured.items() if value is not None},
    }
