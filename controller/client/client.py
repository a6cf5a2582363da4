"""The client: who acts on a key, and what came of it.

What cannot be known is the baseline's: no state yet, a state that is too old, a key that is none.
Each is counted, told by `health`, and raised only if the caller asked for that (`strict`).
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from controller.blend.blend import Blended
from controller.blend.legs import Number, Signal
from controller.client.blending import Blending
from controller.client.feed import Feed, FileFeed, Watcher
from controller.client.known import Held, Known
from controller.client.record import Recorder, RecordError
from controller.client.stream import StreamFeed
from controller.core.share import NONE, percent_text
from controller.traffic.published import Published
from controller.traffic.route import Assignment, Reason, Side, Unroutable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from controller.blend.columns import BlendedMany, Signals, States

log = logging.getLogger(__name__)

WATCH_EVERY = timedelta(milliseconds=20)


class ClientError(Exception):
    """Only of a strict client: the answer would have been the baseline for want of a better one;
    `reason` says which."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Health:
    """How a client stands. `ok`: it has a state that is not too old, and the last look at its
    source went well; `trouble` says what is wrong. `age_s`: seconds since the last sign of life;
    None without a state."""

    ok: bool
    trouble: str
    rollout: str | None
    share: str
    epoch: int
    token: int
    age_s: float | None
    max_age_s: float | None
    watching: bool
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Who acts on each of many keys: `to_candidate` has a true where it is the candidate, and no
    true where `candidate` is None. `mirror`: see `Assignment`, of the baseline's keys."""

    baseline: str
    candidate: str | None
    to_candidate: "NDArray[np.bool_]"
    mirror: str | None = None

    def versions(self) -> list[str]:
        """The version of each key."""
        candidate = self.candidate or self.baseline
        return [candidate if it else self.baseline for it in self.to_candidate.tolist()]

    def __len__(self) -> int:
        return len(self.to_candidate)


class HasShareFile(Protocol):
    """A controller in this process (`controller.run.service.Service`)."""

    def share_file(self, rollout: str) -> Path:
        """Where it publishes the share."""
        ...


class Client:
    """Says which version acts on a key. Safe for several threads and across a fork; `assign`
    takes no lock, opens no file and never waits."""

    def __init__(
        self,
        feed: Feed,
        *,
        baseline: str,
        max_age: timedelta | None = None,
        watch: timedelta | None = WATCH_EVERY,
        strict: bool = False,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`baseline`: the version to fall back to, which is also the only one that a published
        state may name as its baseline. `max_age`: the longest that a state is good without a sign
        of life; the policy's `routing.max_age` if that is shorter, or if this is None. `watch`:
        how often the feed is looked at; None: only when `refresh` is called. `strict`: raise
        ClientError instead of falling back. `recorder`: where `record` writes to."""
        self.baseline = baseline
        self._strict, self._recorder, self._wall = strict, recorder, wall
        allowed = max_age.total_seconds() if max_age is not None else None
        self._known = Known(feed, baseline, allowed, clock, wall)
        self._known.refresh()
        self.blends = Blending(self._known, wall, self._doubt, baseline)
        every = watch.total_seconds() if watch is not None else None
        self._watcher = Watcher(self._known.refresh, every) if every is not None else None
        self._followed = self._known.follow()
        self._closed = False
        _CLIENTS.add(self)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        *,
        baseline: str,
        max_age: timedelta | None = None,
        watch: timedelta | None = WATCH_EVERY,
        strict: bool = False,
        observations: Path | str | None = None,
        name: str = "client",
    ) -> Self:
        """A client of a share file (a publisher of `type: file`), which need not be there yet.
        `observations`: the directory that a push source watches; `name`: of this program's file
        in it."""
        recorder = Recorder(Path(observations), name) if observations is not None else None
        return cls(
            FileFeed(Path(path)), baseline=baseline,
            max_age=max_age, watch=watch, strict=strict, recorder=recorder,
        )  # fmt: skip

    @classmethod
    def from_url(
        cls,
        url: str,
        rollout: str,
        *,
        baseline: str,
        max_age: timedelta | None = None,
        strict: bool = False,
        within: timedelta = timedelta(seconds=1),
    ) -> Self:
        """A client of a controller that is elsewhere, such as `http://127.0.0.1:8787`: it streams
        the share of `rollout`. Waits `within` for the first state; without one the baseline acts
        until it comes. Raises ValueError if `url` is no address."""
        feed = StreamFeed(url, rollout)
        client = cls(feed, baseline=baseline, max_age=max_age, watch=None, strict=strict)
        client.wait(within)
        return client

    @classmethod
    def in_process(
        cls,
        service: HasShareFile,
        rollout: str,
        *,
        baseline: str,
        max_age: timedelta | None = None,
        watch: timedelta | None = WATCH_EVERY,
        strict: bool = False,
    ) -> Self:
        """A client of a controller in this process: what was published counts here too, not what
        is about to be. Raises what `Service.share_file` does."""
        path = service.share_file(rollout)
        return cls.from_file(path, baseline=baseline, max_age=max_age, watch=watch, strict=strict)

    # Who acts -----------------------------------------------------------------------------

    def assign(self, key: str, attributes: Mapping[str, object] | None = None) -> Assignment:
        """Who acts on `key`: the same answer in every process for as long as the share allows.
        `attributes`: what the policy's pins may read, such as `account`."""
        known = self._known
        held = known.held
        if held is None:
            return self._fall_back(Reason.NO_STATE, known.trouble, None)
        if held.until is not None and known.clock() >= held.until:
            return self._fall_back(Reason.TOO_OLD, known.age_in_words(held), held)
        try:
            return held.router.route(key, attributes)
        except Unroutable as doubt:
            return self._fall_back(doubt.reason, str(doubt), held)

    def assign_many(
        self, keys: Sequence[str], attributes: Mapping[str, Sequence[object]] | None = None
    ) -> Batch:
        """The same for many keys at once, as an array. `attributes`: columns as long as `keys`;
        raises ValueError if they are not."""
        for name, column in (attributes or {}).items():
            if len(column) != len(keys):
                raise ValueError(f"{name} has {len(column)} values for {len(keys)} keys")
        held = self._known.held
        if held is None:
            return self._all_fall_back(Reason.NO_STATE, self._known.trouble, len(keys))
        if self._known.is_too_old(held):
            return self._all_fall_back(Reason.TOO_OLD, self._known.age_in_words(held), len(keys))
        published = held.router.published
        candidate, doubts = held.router.route_many(keys, attributes)
        for reason, times in doubts.items():
            self._doubt(reason, f"{times} of {len(keys)} keys", times)
        mirror = published.candidate if published.mirror else None
        return Batch(published.baseline, published.candidate, candidate, mirror)

    def _fall_back(self, reason: Reason, words: str, held: Held | None) -> Assignment:
        self._doubt(reason, words, 1)
        published = held.router.published if held is not None else None
        return Assignment(
            self.baseline, Side.BASELINE, reason, None,
            published.epoch if published else 0, published.token if published else 0,
        )  # fmt: skip

    def _all_fall_back(self, reason: Reason, words: str, count: int) -> Batch:
        import numpy as np

        self._doubt(reason, words, count)
        return Batch(self.baseline, None, np.zeros(count, np.bool_))

    def _doubt(self, reason: Reason, words: str, times: int) -> None:
        self._known.count(reason.value, times)
        if self._strict:
            raise ClientError(reason, words)

    # Targets of both ------------------------------------------------------------------------

    def blend(
        self,
        baseline: Signal | Number | None,
        candidate: Signal | Number | None,
        *,
        instrument: str = "",
        attributes: Mapping[str, object] | None = None,
        at: datetime | None = None,
        move: Number | None = None,
        held: Number | None = None,
    ) -> Blended:
        """What to hold of `instrument`, of what both versions want, by the published policy and
        share. A bare number is a signal that says no more than its exposure. `attributes`: what
        pins may read; the instrument is the key. `at`: now if left out. `move`: how far its price
        moved since the last call, as a fraction; what is learned is learned from it. `held`: what
        is really held, if that may differ from what was asked for."""
        return self.blends.blend(baseline, candidate, instrument, attributes, at, move, held)

    def blend_many(
        self,
        baseline: "Signals",
        candidate: "Signals",
        *,
        instruments: Sequence[str] | None = None,
        attributes: Mapping[str, Sequence[object]] | None = None,
        at: datetime | None = None,
        states: "States | None" = None,
    ) -> "BlendedMany":
        """The same for many instruments at once, as arrays. `states`: of the answer before; None:
        nothing yet. Raises ValueError if columns differ in length."""
        return self.blends.blend_many(baseline, candidate, instruments, attributes, at, states)

    # What came of it ----------------------------------------------------------------------

    def record(
        self,
        version: Assignment | Blended | str,
        /,
        *,
        id: str | None = None,
        key: str | None = None,
        at: datetime | None = None,
        **fields: object,
    ) -> bool:
        """Tell what `version` did; False, counted as `record`, if it could not be written. `id`
        binds later parts to it, `key` pairs it with the other version's, `at` is now if left out.
        Raises ValueError without a place to write to, RecordError if strict."""
        at = at or datetime.fromtimestamp(self._wall(), UTC)
        return self._record(str(version), at, id, key, fields)

    def outcome(self, id: str, /, *, at: datetime | None = None, **fields: object) -> bool:
        """Tell what came of the observation `id`: it counts for the version and the time that it
        was recorded with. As `record` otherwise."""
        return self._record(None, at, id, None, fields)

    def _record(
        self, version: str | None, at: datetime | None, id: str | None, key: str | None,
        fields: dict[str, object],
    ) -> bool:  # fmt: skip
        if self._recorder is None:
            raise ValueError("no place for observations; name one: Client(..., observations=DIR)")
        try:
            self._recorder.write(version, at, id, key, fields)
        except RecordError as error:
            self._known.count("record")
            if self._strict:
                raise
            log.warning("not recorded: %s", error)
            return False
        return True

    # How it stands ------------------------------------------------------------------------

    @property
    def published(self) -> Published | None:
        """The last good state, however old; None before the first."""
        held = self._known.held
        return held.router.published if held is not None else None

    @property
    def age(self) -> timedelta | None:
        """Time since the last sign of life; None without a state."""
        held = self._known.held
        return timedelta(seconds=self._known.age_s(held)) if held is not None else None

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what went wrong since the client was made: fallbacks by their reason; looks
        by what they found (`missing`, `unreadable`, `corrupt`, `refused`, `clock`); `record` and
        `listener` for observations and listeners that failed; `no_baseline_signal`,
        `no_candidate_signal`, `at`, `move`, `held` for blends that had no use of what they got."""
        return self._known.counts()

    def health(self) -> Health:
        """Everything about its state, for logs and pages."""
        held, published, trouble = self._known.held, self.published, self._known.trouble
        old = held is not None and self._known.is_too_old(held)
        watching = self._followed and not self._closed
        if self._watcher is not None:
            watching = self._watcher.alive
        if held is not None and old:
            trouble = trouble or self._known.age_in_words(held)
        elif held is None:
            trouble = trouble or "no state has come yet"
        elif self._closed or (self._watcher is not None and not watching):
            trouble = trouble or "closed: nothing new is seen any more"
        return Health(
            ok=held is not None and not trouble,
            trouble=trouble,
            rollout=published.rollout if published else None,
            share=percent_text(published.share if published and not old else NONE),
            epoch=published.epoch if published else 0,
            token=published.token if published else 0,
            age_s=self._known.age_s(held) if held is not None else None,
            max_age_s=self._known.allowed_s(published) if published else None,
            watching=watching,
            counts=self.counts,
        )

    def refresh(self) -> bool:
        """Look at the feed now; whether there was a new state. Never raises for what it finds."""
        return self._known.refresh()

    def wait(self, within: timedelta) -> bool:
        """Wait until there is a state; whether there is one."""
        there = threading.Event()

        def seen(_published: Published) -> None:
            there.set()

        if self._known.subscribe(seen) is None:
            there.wait(within.total_seconds())
        self._known.unsubscribe(seen)
        return self._known.held is not None

    def subscribe(self, listener: Callable[[Published], None]) -> None:
        """Call `listener` with every new state, in the thread that saw it. What it raises is
        logged and counted as `listener`."""
        self._known.subscribe(listener)

    async def changes(self) -> AsyncIterator[Published]:
        """The present state, if there is one, then every new one. If they come faster than they
        are taken, only the newest is kept."""
        import asyncio

        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Published] = asyncio.Queue(1)

        def newest(published: Published) -> None:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(published)

        def seen(published: Published) -> None:
            loop.call_soon_threadsafe(newest, published)

        present = self._known.subscribe(seen)
        try:
            if present is not None:
                yield present
            while True:
                yield await queue.get()
        finally:
            self._known.unsubscribe(seen)

    # Its end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Look no more. What it knows stays good for `max_age`."""
        self._closed = True
        self._known.close()
        if self._watcher is not None:
            self._watcher.stop()
        if self._recorder is not None:
            self._recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _after_fork(self) -> None:
        """Neither threads nor whoever held a lock come along into a forked process."""
        self._known.after_fork()
        self.blends.after_fork()
        if self._recorder is not None:
            self._recorder.after_fork()
        if self._watcher is not None:
            self._watcher.start()


_CLIENTS: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._after_fork()


os.register_at_fork(after_in_child=_after_fork)
