"""A controller on a real store, with sources that say what the test says and targets that write
down what they were given: for tests of the shell itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from controller.core.decision import Decision
from controller.core.effect import Activate, Alert, Effect, SetShare, Verify
from controller.core.event import Command, CommandName
from controller.core.measurement import Measurement
from controller.core.state import State
from controller.effects.base import EffectError
from controller.run.alarms import Alarms
from controller.run.commands import register, submit_command
from controller.run.controller import Controller, TickReport
from controller.run.plans import Plans
from controller.run.presence import Refusals
from controller.run.unit import handle
from controller.sources.base import Request
from controller.store import open_store
from controller.store.base import Entry, Store
from support.plans import GOOD, POLICY, T0


class Said:
    """A source that answers what it was told to answer."""

    def __init__(self, answers: Mapping[str, Measurement]) -> None:
        self.answers = dict(answers)
        self.broken: Exception | None = None
        self.received: datetime | None = None

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        if self.broken is not None:
            raise self.broken
        missing = Measurement(status="no_data")
        return [self.answers.get(f"{r.subject}.{r.metric}", missing) for r in requests]

    def last_received(self) -> datetime | None:
        return self.received

    def check(self) -> str:
        return "says what it is told"

    def close(self) -> None:
        """Nothing is open."""


class Recorder:
    """A target that keeps what it took. Names in `down` are out of reach."""

    def __init__(self) -> None:
        self.taken: list[Effect] = []
        self._keys: set[str] = set()
        self.tried: list[str] = []
        self.down: set[str] = set()
        self.broken: dict[str, Exception] = {}

    def deliver(self, effect: Effect) -> str:
        name = "alerts" if isinstance(effect, Alert) else effect.target
        self.tried.append(effect.key)
        if name in self.broken:
            raise self.broken[name]
        if name in self.down:
            raise EffectError(f"{name} is out of reach")
        if effect.key not in self._keys:
            self._keys.add(effect.key)
            self.taken.append(effect)
        return "read back"

    @property
    def shares(self) -> list[int]:
        return [effect.share for effect in self.taken if isinstance(effect, SetShare)]

    @property
    def alerts(self) -> list[Alert]:
        return [effect for effect in self.taken if isinstance(effect, Alert)]

    def others(self) -> list[Activate | Verify]:
        return [effect for effect in self.taken if isinstance(effect, Activate | Verify)]


class Wires:
    """Connections of every rollout: one source by name, one recorder."""

    def __init__(self) -> None:
        self.source = Said(GOOD)
        self.recorder = Recorder()
        self.heard: list[tuple[str, str]] = []
        self.released: list[str] = []
        self.renewed: list[str] = []
        self.broken: dict[str, Exception] = {}

    def sources(self, state: State, now: datetime) -> Mapping[str, Said]:
        if state.rollout in self.broken:
            raise self.broken[state.rollout]
        return {"signals": self.source}

    def slow(self, state: State, now: datetime) -> bool:
        return False

    def target(self, state: State, effect: Effect, now: datetime) -> Recorder:
        return self.recorder

    def poll(self, now: datetime) -> Sequence[tuple[str, str]]:
        self.source.received = now
        heard, self.heard = self.heard, []
        return heard

    def renew(self, state: State, now: datetime) -> None:
        self.renewed.append(state.rollout)

    def refusals(self) -> Mapping[str, Refusals]:
        return {}

    def release(self, rollout: str) -> None:
        self.released.append(rollout)


class Shop:
    """One store, one controller, a clock that the test moves."""

    def __init__(
        self,
        path: Path | str,
        owner: str = "one",
        workers: int = 1,
        patience: timedelta = timedelta(seconds=1),
    ) -> None:
        self.store: Store = open_store(str(path))
        self.now = T0
        self.plans = Plans(self.store, {})
        self.wires = Wires()
        self.told = Recorder()
        self.alarms = Alarms(self.told)
        self.controller = Controller(
            self.store,
            self.plans,
            self.wires,
            self.alarms,
            owner,
            random=Random(1),
            workers=workers,
            patience=patience,
        )

    def close(self) -> None:
        self.controller.close()
        self.store.close()

    def register(self, text: str = POLICY, path: str = "/policies/signal.yaml") -> str:
        """A pending rollout; its name."""
        loaded = self.plans.read(text, Path(path))
        assert loaded.ok and loaded.policy is not None, [str(f) for f in loaded.findings]
        assert register(self.store, self.plans, loaded, self.now)
        return loaded.policy.rollout

    def command(self, name: CommandName, rollout: str = "signal", **more: Any) -> Decision:
        """A person's act, delivered at once."""
        dispatcher = self.controller.dispatcher
        command = Command(name, "kim", **more)
        return submit_command(self.store, self.plans, dispatcher, rollout, command, self.now)

    def decide_only(self, name: CommandName, rollout: str = "signal") -> Decision:
        """A person's act, committed but not delivered: what a crash leaves."""
        return handle(self.store, self.plans.plan, rollout, Command(name, "kim"), self.now)

    def tick(self, after: timedelta = timedelta(seconds=30)) -> TickReport:
        """A round `after` the last one."""
        self.now += after
        return self.controller.tick(self.now)

    def ticks(self, span: timedelta, every: timedelta = timedelta(seconds=30)) -> TickReport:
        """Rounds over `span`; the last report."""
        for _ in range(span // every - 1):
            self.tick(every)
        return self.tick(every)

    def state(self, rollout: str = "signal") -> State:
        row = self.store.rollout(rollout)
        assert row is not None
        return row.state

    def due(self, rollout: str = "signal") -> datetime | None:
        row = self.store.rollout(rollout)
        assert row is not None
        return row.next_due

    def entries(self, rollout: str = "signal") -> list[Entry]:
        return list(self.store.journal(rollout))
