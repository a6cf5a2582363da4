"""The running program: settings in, everything wired, stopped in order.

`run_forever` is the process of `rollout run`; `Service` is the same for those who embed it. Time
is read in one place, `Service.clock`, and passed down from there.
"""

import logging
import os
import random
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, Protocol

from apscheduler.schedulers.base import BaseScheduler

from controller import __version__
from controller.core.decision import Decision
from controller.core.event import Command
from controller.effects import open_alert_log
from controller.run import logs
from controller.run.alarms import Alarms
from controller.run.commands import submit_command
from controller.run.connections import Opened
from controller.run.controller import Controller, TickReport
from controller.run.plans import Plans
from controller.run.reload import PolicyWatch, Reloader
from controller.run.scheduler import TickScheduler
from controller.run.settings import Settings, without_password
from controller.sources.push import Received
from controller.store import open_store
from controller.store.base import StoreError

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EXIT_DONE = 0
EXIT_UNREACHABLE = 3


class Face(Protocol):
    """What others reach this controller by."""

    def start(self) -> None:
        """Begin to answer."""
        ...

    def stop(self) -> None:
        """Finish what is being answered; answer nothing more."""
        ...


class FaceError(Exception):
    """A face cannot be opened; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one push, and the decision that it called for at once."""

    received: Received
    decision: Decision | None = None


def utc_now() -> datetime:
    """The wall clock, as a plain datetime: a frozen one hands out a subclass of it, which not
    every encoder takes."""
    return _EPOCH + (datetime.now(UTC) - _EPOCH)


class Service:
    """A controller with its store, sources, targets and scheduler.

    `clock` says what time it is for the rollouts (aware, UTC); the scheduler itself always waits
    by the wall clock. `scheduler`: another of APScheduler's, such as a stepped one; then nothing
    runs in threads. Raises StoreError when the store cannot be opened."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
        environment: Mapping[str, str] | None = None,
        scheduler: BaseScheduler | None = None,
        seed: int | None = None,
        on_round: Callable[[TickReport], None] | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.store = open_store(settings.store)
        chance = random.Random(seed)
        variables = os.environ if environment is None else environment
        self.plans = Plans(self.store, variables)
        self.connections = Opened(self.store, self.plans, settings.state_dir)
        alarms = Alarms(open_alert_log(self.connections.home))
        self.controller = Controller(
            self.store, self.plans, self.connections, alarms, settings.name,
            random=chance, lease=settings.lease, late_after=2 * settings.resolution,
            workers=1 if scheduler is not None else settings.workers,
        )  # fmt: skip
        self.reloader = Reloader(self.store, self.plans, alarms, settings.policies)
        self._on_round = on_round
        self._stepped = scheduler is not None
        self._clock_steps: deque[timedelta] = deque(maxlen=100)
        self._store_trouble = ""
        self._begun = False
        self.ticks = TickScheduler(
            self.round, settings.resolution, scheduler=scheduler,
            on_overlap=self._overlapped, on_error=self._round_failed,
            on_clock_step=self._clock_steps.append,
        )  # fmt: skip
        self._watch: PolicyWatch | None = None

    # Life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: from here on, rounds run by themselves."""
        log.info(
            "rollout %s as %s: store %s, policies %s, rollouts so far %d, a look every %gs",
            __version__,
            self.controller.owner,
            without_password(self.settings.store),
            self.settings.policies.absolute(),
            len(self.store.rollouts()),
            self.settings.resolution.total_seconds(),
        )
        if not self._stepped:
            self.round()  # reads every policy, which takes its time; then rounds begin to count
            if not self.store.rollouts():
                log.warning(
                    "no policy in %s yet: `rollout init` writes one, and it is taken up",
                    self.settings.policies.absolute(),
                )
        self.ticks.start(watch=not self._stepped)
        if not self._stepped:
            self._watch = PolicyWatch(self.settings.policies, self.ticks.wake)
            self._watch.start()

    def stop(self) -> None:
        """Let the running round finish, then let go of everything."""
        if self._watch is not None:
            self._watch.stop()
        self.ticks.stop()
        self.controller.close()
        try:
            self.controller.say_goodbye(self.clock())
        except StoreError as error:
            log.warning("the last heartbeat was not written: %s", error)
        self.close()
        log.info("stopped after %d rounds", self.controller.totals.rounds)

    def close(self) -> None:
        """Let go of everything: of a service that was never started, all that is left to do."""
        self.connections.close()
        self.store.close()

    # Rounds -------------------------------------------------------------------------------

    def round(self) -> TickReport | None:
        """One look at policies and rollouts; None when the store could not be used."""
        now = self.clock()
        try:
            if not self._begun:
                self.controller.begin(now)
                self._begun = True
            while self._clock_steps:
                self.controller.clock_stepped(self._clock_steps[0], now)
                self._clock_steps.popleft()
            self.reloader.look(now)
            report = self.controller.tick(now)
        except StoreError as error:
            self._trouble(str(error))
            return None
        if self._store_trouble:
            log.warning("the store can be used again")
            self._store_trouble = ""
        if self._on_round is not None:
            self._on_round(report)
        return report

    def push(
        self,
        rollout: str,
        source: str,
        observations: Sequence[Mapping[str, Any]] | bytes,
        keys: Sequence[str] = (),
    ) -> Pushed:
        """Observations for a push source: mappings, or JSON Lines; see `PushSource.push`. What
        breaks a hard limit is decided on before this returns. Raises UnknownRollout, SourceError,
        StoreError."""
        now = self.clock()
        received = self.connections.push(rollout, source, observations, now, keys)
        if not received.accepted:
            return Pushed(received)
        try:
            return Pushed(received, self.controller.observed(rollout, source, now))
        except StoreError as error:
            # They are kept, so this is no failure of the push: the next round decides on them.
            log.warning("%s: hard limits are looked at in the next round: %s", rollout, error)
            return Pushed(received)

    def not_ready(self) -> str:
        """Why nobody is guarded at the moment; empty while rounds are done."""
        return self._store_trouble or ("" if self._begun else "no round has been done yet")

    def rollouts(self) -> list[str]:
        """Names of all rollouts, in order. Raises StoreError."""
        return sorted(row.state.rollout for row in self.store.rollouts())

    def share_file(self, rollout: str) -> Path:
        """Where the share of `rollout` is published, for `Client.in_process`. Raises
        UnknownRollout, LookupError when its policy publishes it in other forms only, StoreError,
        and what the policy raises."""
        return self.connections.share_file(rollout, self.clock())

    def command(self, rollout: str, command: Command) -> Decision:
        """A named person's act; see `submit_command`."""
        return submit_command(
            self.store, self.plans, self.controller.dispatcher, rollout, command, self.clock()
        )

    # What goes wrong ----------------------------------------------------------------------

    def _trouble(self, words: str) -> None:
        """The store is the one thing that cannot be done without: say so once, go on trying."""
        self.controller.totals.errors += 1
        if words != self._store_trouble:
            log.error("round not done, tried again at the next: %s", words)
        self._store_trouble = words

    def _overlapped(self) -> None:
        self.controller.totals.overlapped += 1

    def _round_failed(self, error: BaseException) -> None:
        self.controller.totals.errors += 1
        log.error("a round failed: %s: %s", type(error).__name__, error)


def run_forever(
    settings: Settings, open_face: Callable[[Service], Face | None] = lambda _: None
) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. A second signal ends it at once.
    `open_face` opens what others reach it by, and may raise FaceError."""
    logs.configure(settings.log_level, settings.log_format)
    asked = Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        asked.set()

    try:
        service = Service(settings)
    except StoreError as error:
        log.critical("%s", error)
        return EXIT_UNREACHABLE
    try:
        face = open_face(service)
    except FaceError as error:
        log.critical("%s", error)
        service.close()
        return EXIT_UNREACHABLE
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    service.start()
    if face is not None:
        face.start()
    asked.wait()
    log.info("stopping: the round that runs is finished first")
    if face is not None:
        face.stop()
    service.stop()
    return EXIT_DONE
