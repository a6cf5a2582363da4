"""The client: one immutable snapshot, read without a lock, replaced by whoever looks.

What cannot be known is the baseline's: no state yet, a state that is too old, a key that is none.
Each is counted, told by `health`, and raised only if the caller asked for that (`strict`).
"""

import logging
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from controller.client.feed import Feed, FeedError, FileFeed, Sight, Watcher
from controller.core.share import NONE, percent_text
from controller.traffic.published import Fence, Published, decode
from controller.traffic.route import Assignment, Reason, Router, Side, Unroutable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

WATCH_EVERY = timedelta(milliseconds=20)
CLOCKS_DIFFER = 60.0
"""Seconds. A state written further ahead than this was written by another clock."""


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


@dataclass(frozen=True, slots=True)
class _Held:
    """A snapshot. From `until` on (of the monotonic clock; None: never) it is too old."""

    router: Router
    alive_at: float
    until: float | None


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
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`baseline`: the version to fall back to, which is also the only one that a published
        state may name as its baseline. `max_age`: the longest that a state is good without a sign
        of life; the policy's `routing.max_age` if that is shorter, or if this is None. `watch`:
        how often the feed is looked at; None: only when `refresh` is called. `strict`: raise
        ClientError instead of falling back."""
        self.baseline = baseline
        self._feed, self._strict = feed, strict
        self._clock, self._wall = clock, wall
        self._max_age = max_age.total_seconds() if max_age is not None else None
        self._fence = Fence(baseline)
        self._held: _Held | None = None
        self._written_at: float | None = None
        self._counts: Counter[str] = Counter()
        self._trouble = ""
        self._listeners: list[Callable[[Published], None]] = []
        self._lock = threading.RLock()
        self.refresh()
        every = watch.total_seconds() if watch is not None else None
        self._watcher = Watcher(self.refresh, every) if every is not None else None
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
    ) -> Self:
        """A client of a share file (a publisher of `type: file`), which need not be there yet."""
        return cls(
            FileFeed(Path(path)), baseline=baseline, max_age=max_age, watch=watch, strict=strict
        )

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
        return cls.from_file(
            service.share_file(rollout),
            baseline=baseline, max_age=max_age, watch=watch, strict=strict,
        )  # fmt: skip

    # Who acts -----------------------------------------------------------------------------

    def assign(self, key: str, attributes: Mapping[str, object] | None = None) -> Assignment:
        """Who acts on `key`: the same answer in every process for as long as the share allows.
        `attributes`: what the policy's pins may read, such as `account`."""
        held = self._held
        if held is None:
            return self._fall_back(Reason.NO_STATE, self._trouble)
        if held.until is not None and self._clock() >= held.until:
            return self._too_old(held)
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
        held = self._held
        if held is None:
            return self._all_fall_back(Reason.NO_STATE, len(keys), self._trouble)
        if held.until is not None and self._clock() >= held.until:
            return self._all_fall_back(Reason.TOO_OLD, len(keys), self._age_in_words(held))
        published = held.router.published
        candidate, doubts = held.router.route_many(keys, attributes)
        for reason, times in doubts.items():
            self._doubt(reason, f"{times} of {len(keys)} keys", times)
        mirror = published.candidate if published.mirror else None
        return Batch(published.baseline, published.candidate, candidate, mirror)

    # How it stands ------------------------------------------------------------------------

    @property
    def published(self) -> Published | None:
        """The last good state, however old; None before the first."""
        held = self._held
        return held.router.published if held is not None else None

    @property
    def age(self) -> timedelta | None:
        """Time since the last sign of life; None without a state."""
        held = self._held
        return timedelta(seconds=self._age(held)) if held is not None else None

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what went wrong since the client was made: fallbacks by their reason, and
        looks by what they found (`missing`, `unreadable`, `corrupt`, `refused`, `clock`)."""
        with self._lock:
            return dict(self._counts)

    def health(self) -> Health:
        """Everything about its state, for logs and pages."""
        held, published = self._held, self.published
        old = held is not None and held.until is not None and self._clock() >= held.until
        watching = self._watcher is not None and self._watcher.alive
        trouble = self._trouble
        if held is not None and old:
            trouble = trouble or self._age_in_words(held)
        elif self._watcher is not None and not watching:
            trouble = trouble or "closed: nothing new is seen any more"
        return Health(
            ok=held is not None and not trouble,
            trouble=trouble,
            rollout=published.rollout if published else None,
            share=percent_text(published.share if published and not old else NONE),
            epoch=published.epoch if published else 0,
            token=published.token if published else 0,
            age_s=self._age(held) if held is not None else None,
            max_age_s=self._allowed(published) if published else None,
            watching=watching,
            counts=self.counts,
        )

    def subscribe(self, listener: Callable[[Published], None]) -> None:
        """Call `listener` with every new state, in the thread that saw it. What it raises is
        logged and counted as `listener`."""
        with self._lock:
            self._listeners.append(listener)

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

        with self._lock:
            self.subscribe(seen)
            if self.published is not None:
                newest(self.published)
        try:
            while True:
                yield await queue.get()
        finally:
            with self._lock:
                self._listeners.remove(seen)

    # What it sees -------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Look at the feed now; whether there was a new state. Never raises for what it finds."""
        with self._lock:
            try:
                sight = self._feed.look()
            except FeedError as error:
                return self._see_trouble(error.kind, str(error))
            return sight is not None and self._take(sight)

    def close(self) -> None:
        """Look no more. What it knows stays good for `max_age`."""
        if self._watcher is not None:
            self._watcher.stop()

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

    def _take(self, sight: Sight) -> bool:
        try:
            published = decode(sight.content)
        except ValueError as error:
            return self._see_trouble("corrupt", str(error))
        before = self._fence.current
        refused = self._fence.admit(published)
        if refused is not None:
            words = f"decision {published.token} of {published.rollout}, store {published.store}"
            return self._see_trouble("refused", f"{words}: {refused.value}")
        self._trouble = ""
        alive_at, allowed = self._alive_at(sight), self._allowed(published)
        self._held = _Held(
            Router(published, self._held.router.buckets if self._held else None),
            alive_at,
            alive_at + allowed if allowed is not None else None,
        )
        if published == before:
            return False
        for listener in tuple(self._listeners):
            try:
                listener(published)
            except Exception:
                self._counts["listener"] += 1
                log.exception("a listener of %s failed", published.rollout)
        return True

    def _alive_at(self, sight: Sight) -> float:
        """When the controller last gave a sign of life, on the monotonic clock. At first sight
        only the wall clock can tell; from then on it does not matter if it is set."""
        held, before, now = self._held, self._written_at, self._clock()
        self._written_at = sight.written_at
        if held is not None and before is not None:
            return now if sight.written_at != before else held.alive_at
        age = self._wall() - sight.written_at
        if age < -CLOCKS_DIFFER:
            self._counts["clock"] += 1
            log.warning("the state was written %.0f s ahead of this clock", -age)
        return now - max(age, 0.0)

    def _allowed(self, published: Published) -> float | None:
        """Seconds that a state is good for; None: for ever."""
        if published.settled or published.is_baseline:
            return None
        known = [age for age in (published.max_age_s, self._max_age) if age]
        return min(known, default=None)

    def _see_trouble(self, kind: str, words: str) -> bool:
        """Count it once for as long as it lasts."""
        if words != self._trouble:
            self._counts[kind] += 1
            self._trouble = words
            log.warning("%s; %s", words, "the last state is kept" if self._held else "no state")
        return False

    # Falling back -------------------------------------------------------------------------

    def _too_old(self, held: _Held) -> Assignment:
        return self._fall_back(Reason.TOO_OLD, self._age_in_words(held), held)

    def _fall_back(self, reason: Reason, words: str, held: _Held | None = None) -> Assignment:
        self._doubt(reason, words, 1)
        published = held.router.published if held is not None else None
        return Assignment(
            self.baseline, Side.BASELINE, reason, None,
            published.epoch if published else 0, published.token if published else 0,
        )  # fmt: skip

    def _all_fall_back(self, reason: Reason, count: int, words: str) -> Batch:
        import numpy as np

        self._doubt(reason, words, count)
        return Batch(self.baseline, None, np.zeros(count, np.bool_))

    def _doubt(self, reason: Reason, words: str, times: int) -> None:
        with self._lock:
            self._counts[reason.value] += times
        if self._strict:
            raise ClientError(reason, words)

    def _age(self, held: _Held) -> float:
        return max(self._clock() - held.alive_at, 0.0)

    def _age_in_words(self, held: _Held) -> str:
        return f"no sign of life from the controller for {self._age(held):.0f} s"

    def _after_fork(self) -> None:
        """Neither threads nor whoever held the lock come along into a forked process."""
        self._lock = threading.RLock()
        if self._watcher is not None:
            self._watcher.start()


_CLIENTS: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._after_fork()


os.register_at_fork(after_in_child=_after_fork)
