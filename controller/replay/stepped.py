"""A scheduler without a thread: whoever owns the clock steps it from one due job to the next.

The jobs, triggers and events are APScheduler's own; only the waiting is taken out. Three things
that APScheduler keeps to itself are used here (`_jobstores`, `_jobstores_lock`, `_process_jobs`),
which is why the dependency is held below 4 and a test of this file stands watch.
"""

from datetime import UTC, datetime
from typing import Any, Protocol

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler


class MovableClock(Protocol):
    """What `freezegun.freeze_time` hands out: `datetime.now()` follows `move_to`."""

    def move_to(self, target_datetime: datetime) -> None:
        """Set the clock."""
        ...


class SteppedScheduler(BaseScheduler):  # type: ignore[misc]
    """APScheduler in frozen time. Jobs run inline, in the caller's thread."""

    def __init__(self, **options: Any) -> None:
        super().__init__(timezone=UTC, **options)

    def wakeup(self) -> None:
        """Nobody waits, so nobody is woken: the next step looks at the jobs afresh."""

    def shutdown(self, wait: bool = True) -> None:
        """Stop. No job can be running."""
        super().shutdown(wait)

    def _create_default_executor(self) -> DebugExecutor:
        return DebugExecutor()

    def next_wakeup(self) -> datetime | None:
        """When the next job is due; None without one."""
        with self._jobstores_lock:
            found = [store.get_next_run_time() for store in self._jobstores.values()]
        return min((moment for moment in found if moment is not None), default=None)

    def step(self) -> None:
        """Run what is due at the present moment."""
        self._process_jobs()

    def advance_to(self, frozen: MovableClock, target: datetime) -> None:
        """Move `frozen` to `target` (aware), running each job at its own moment on the way. A job
        that is overdue already runs first, at the time the clock shows."""
        while (due := self.next_wakeup()) is not None and due <= target:
            if due > datetime.now(UTC):
                frozen.move_to(due)
            self.step()
        frozen.move_to(target)
