"""APScheduler, with one job: the round. Its clock is watched.

What is due is in the store, never in the scheduler: one job in a memory job store, one at a time,
however late it comes. APScheduler waits for wall-clock moments, so a clock that is set back would
stop it until the old time comes again; the watchdog compares the wall clock with the monotonic
one and gets it going at once.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

log = logging.getLogger(__name__)

JOB = "tick"
CLOCK_TOLERANCE = timedelta(seconds=2)
"""A wall clock that moves this much against the monotonic one has been set."""
WATCH_EVERY = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Every(BaseTrigger):  # type: ignore[misc]
    """Fires at whole multiples of `interval` since 1970. Moments that have passed are skipped in
    one step, so that a leap of a hundred years costs no more than one of a second."""

    def __init__(self, interval: timedelta) -> None:
        self.interval = interval

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first multiple after both."""
        after = now if previous is None else max(previous, now)
        return _EPOCH + ((after - _EPOCH) // self.interval + 1) * self.interval


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment; `monotonic` in seconds."""

    wall: datetime
    monotonic: float


def clock_step(
    before: Reading, after: Reading, tolerance: timedelta = CLOCK_TOLERANCE
) -> timedelta | None:
    """How far the wall clock was moved between two readings; None within the tolerance."""
    passed = timedelta(seconds=after.monotonic - before.monotonic)
    step = after.wall - before.wall - passed
    return step if abs(step) > tolerance else None


def read_clocks() -> Reading:
    """Both clocks now. The wall clock is the one that APScheduler waits by."""
    return Reading(datetime.now(UTC), time.monotonic())


class TickScheduler:
    """Runs `job` every `resolution`. `scheduler`: another of APScheduler's own (a stepped one in
    frozen time); by default one thread in the background.

    `on_overlap` is told of a round that was skipped because the last one still ran, `on_error`
    of one that raised, `on_clock_step` of a clock that was moved, before the next round begins.
    They are called in the scheduler's and the watchdog's threads and must not raise."""

    def __init__(
        self,
        job: Callable[[], object],
        resolution: timedelta,
        *,
        on_overlap: Callable[[], None],
        on_error: Callable[[BaseException], None],
        on_clock_step: Callable[[timedelta], None],
        scheduler: BaseScheduler | None = None,
        read: Callable[[], Reading] = read_clocks,
    ) -> None:
        self.scheduler = scheduler if scheduler is not None else _background()
        self._job = job
        self._on_overlap = on_overlap
        self._on_error = on_error
        self._on_clock_step = on_clock_step
        self._read = read
        self._last = read()
        self._resolution = resolution
        self._began = self._last.monotonic
        self._stop = Event()
        self._watch: Thread | None = None
        self.scheduler.add_listener(self._listen, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_ERROR)
        self.scheduler.add_job(
            self._round, Every(resolution), id=JOB, name=JOB,
            misfire_grace_time=None, coalesce=True, max_instances=1,
        )  # fmt: skip

    def start(self, *, watch: bool = True) -> None:
        """Begin. `watch`: with the watchdog's own thread; without it, `check_clock` is called by
        whoever owns the clock."""
        self._last = self._read()
        self.scheduler.start()
        if watch:
            self._watch = Thread(target=self._watch_clock, name="clock-watchdog", daemon=True)
            self._watch.start()

    def stop(self) -> None:
        """Let the running round finish, begin no other."""
        self._stop.set()
        if self._watch is not None:
            self._watch.join()
        if self.scheduler.running:
            self.scheduler.shutdown(wait=True)

    def wake(self) -> None:
        """Run a round now."""
        self.scheduler.modify_job(JOB, next_run_time=datetime.now(UTC))

    def check_clock(self) -> timedelta | None:
        """Compare the clocks with the last reading; if the wall clock was moved, say so and get
        the scheduler going by the new time."""
        before, self._last = self._last, self._read()
        step = clock_step(before, self._last)
        if step is not None:
            self._on_clock_step(step)
            self.wake()
        return step

    def _round(self) -> None:
        self._began = self._read().monotonic
        self._job()

    def _watch_clock(self) -> None:
        while not self._stop.wait(WATCH_EVERY.total_seconds()):
            self.check_clock()

    def _listen(self, event: JobEvent) -> None:
        if event.code == EVENT_JOB_ERROR:
            self._on_error(event.exception)
        elif self._read().monotonic - self._began > self._resolution.total_seconds() / 2:
            log.warning("round skipped: the last one has not finished")
            self._on_overlap()
        else:
            log.debug("round skipped: one that was asked for has only just begun")


def _background() -> BackgroundScheduler:
    options: dict[str, Any] = {
        "jobstores": {"default": MemoryJobStore()},
        "executors": {"default": ThreadPoolExecutor(1)},
        "timezone": UTC,
    }
    return BackgroundScheduler(**options)
