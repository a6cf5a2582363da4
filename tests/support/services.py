"""A whole service on real files, whose clock the test moves and whose rounds it calls for."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.core.event import Command, CommandName
from controller.core.measurement import Measurement
from controller.core.state import State
from controller.replay.stepped import SteppedScheduler
from controller.run.collect import collect
from controller.run.service import Pushed, Service
from controller.run.settings import Settings
from support.plans import T0


class Desk:
    """One policy, its rollout, its service. `restart` loses all that is only in memory."""

    def __init__(
        self,
        place: Path,
        policy: str,
        files: Mapping[str, str] | None = None,
        store_timeout: float = 5.0,
    ) -> None:
        """`files`: what lies beside the policy; `store_timeout`: how long a call waits for
        another's lock, in seconds."""
        self.place, self.now = place, T0
        self._database = f"sqlite:///{place / 'rollout.db'}?timeout={store_timeout}"
        self.policies = place / "policies"
        self.policies.mkdir()
        for name, text in (files or {}).items():
            path = self.policies / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.write(policy)
        self.service = self._open()
        self.service.round()

    def write(self, policy: str) -> None:
        """Edit the policy's file."""
        self.policies.joinpath("signal.yaml").write_text(policy)

    def restart(self) -> None:
        """As after a crash: nothing is said goodbye to."""
        self.close()
        self.service = self._open()

    def close(self) -> None:
        """Let go of files."""
        self.service.controller.close()
        self.service.close()

    def go(self, span: timedelta, every: timedelta = timedelta(seconds=30)) -> None:
        """Rounds over `span`."""
        for _ in range(span // every):
            self.now += every
            assert self.service.round() is not None

    def command(self, name: CommandName, **more: Any) -> None:
        """A person's act, which must not be refused."""
        assert not self.service.command("signal", Command(name, "kim", **more)).refused

    def push(self, *observations: Mapping[str, Any], source: str = "signals") -> Pushed:
        """Observations for the rollout."""
        return self.service.push("signal", source, observations)

    def state(self) -> State:
        """Of the rollout."""
        row = self.service.store.rollout("signal")
        assert row is not None
        return row.state

    def measured(self) -> dict[str, Measurement]:
        """What the next look would see."""
        state = self.state()
        plan = self.service.plans.plan(state.policy, self.now)
        return collect(plan, state, self.service.connections.sources(state, self.now), self.now)

    def _open(self) -> Service:
        settings = Settings(database=self._database, policies=self.policies, owner="desk")
        return Service(
            settings,
            clock=lambda: self.now,
            environment={},
            scheduler=SteppedScheduler(),
            seed=1,
        )
