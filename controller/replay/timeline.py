"""What happened in a run: every decision with its scenario time, in order."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from controller.core.decision import Decision
from controller.core.event import Event, Tick
from controller.core.state import State


@dataclass(frozen=True, slots=True)
class Happened:
    """One decision."""

    at: timedelta
    event: Event
    before: State
    decision: Decision


@dataclass(slots=True)
class Timeline:
    """One run. `initial` is the state it began in; `files` what targets held in the end, by
    name (live runs); `quiet` how many ticks moved nothing and were not kept one by one."""

    initial: State
    happened: list[Happened] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    activated: dict[str, str] = field(default_factory=dict)
    quiet: int = 0

    @property
    def ticks(self) -> int:
        """How many ticks there were."""
        return self.quiet + sum(isinstance(one.event, Tick) for one in self.happened)

    def up_to(self, at: timedelta) -> list[Happened]:
        """Everything that happened until `at`, that moment included."""
        return self.happened[: self._count(at)]

    def _count(self, at: timedelta) -> int:
        """How many decisions there were until `at`. Times never fall."""
        return bisect_right(self.happened, at, key=lambda one: one.at)

    def state_at(self, at: timedelta) -> State:
        """The state once everything of the moment `at` is over."""
        count = self._count(at)
        return self.happened[count - 1].decision.state if count else self.initial

    def moments(self, begins: timedelta, ends: timedelta) -> Iterator[timedelta]:
        """Moments at which something may have changed, from `begins` to `ends`, both included."""
        yield begins
        last = begins
        for one in self.happened[self._count(begins) : self._count(ends)]:
            if one.at != last:
                last = one.at
                yield last

    def fingerprint(self) -> bytes:
        """Everything that was decided, as bytes."""
        return msgspec.json.encode(
            [
                (
                    one.at,
                    one.event,
                    one.decision.state,
                    one.decision.effects,
                    one.decision.move,
                    one.decision.reasons,
                    one.decision.refused,
                    one.decision.explanation,
                )
                for one in self.happened
            ],
            order="deterministic",
        )
