"""What a client knows: the last good state, its age, and everything that went wrong.

The state is one immutable snapshot. Who reads it takes no lock; who looks for a new one replaces
it as a whole.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from controller.client.feed import Feed, FeedError, Sight
from controller.traffic.published import Fence, Published, decode
from controller.traffic.route import Router

log = logging.getLogger(__name__)

CLOCKS_DIFFER = 60.0
"""Seconds. A state written further ahead than this was written by another clock."""

Listener = Callable[[Published], None]


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot. From `until` on (of the monotonic clock; None: never) it is too old."""

    router: Router
    alive_at: float
    until: float | None


class Known:
    """Looks at a feed and holds what may be believed of it."""

    def __init__(
        self,
        feed: Feed,
        baseline: str,
        max_age_s: float | None,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`clock` is monotonic, `wall` says what time it is; both in seconds."""
        self.held: Held | None = None
        self.trouble = ""
        self.clock = clock
        self._feed, self._max_age_s, self._wall = feed, max_age_s, wall
        self._fence = Fence(baseline)
        self._written_at: float | None = None
        self._counts: Counter[str] = Counter()
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()

    def refresh(self) -> bool:
        """Look at the feed now; whether there was a new state. Never raises for what it finds."""
        with self._lock:
            try:
                sight = self._feed.look()
            except FeedError as error:
                return self._see_trouble(error.kind, str(error))
            return sight is not None and self._take(sight)

    def is_too_old(self, held: Held) -> bool:
        """Whether there was no sign of life for too long."""
        return held.until is not None and self.clock() >= held.until

    def age_s(self, held: Held) -> float:
        """Seconds since the last sign of life."""
        return max(self.clock() - held.alive_at, 0.0)

    def age_in_words(self, held: Held) -> str:
        """For people."""
        return f"no sign of life from the controller for {self.age_s(held):.0f} s"

    def allowed_s(self, published: Published) -> float | None:
        """Seconds that a state is good for; None: for ever."""
        if published.settled or published.is_baseline:
            return None
        known = [age for age in (published.max_age_s, self._max_age_s) if age]
        return min(known, default=None)

    def count(self, what: str, times: int = 1) -> None:
        """Something went wrong."""
        with self._lock:
            self._counts[what] += times

    def counts(self) -> dict[str, int]:
        """How often each thing went wrong."""
        with self._lock:
            return dict(self._counts)

    def subscribe(self, listener: Listener) -> Published | None:
        """Call `listener` with every new state; returns the present one."""
        with self._lock:
            self._listeners.append(listener)
            return self.held.router.published if self.held is not None else None

    def unsubscribe(self, listener: Listener) -> None:
        """No more calls."""
        with self._lock:
            self._listeners.remove(listener)

    def follow(self) -> bool:
        """Let the feed say when to look; whether it can."""
        return self._feed.follow(self.refresh)

    def close(self) -> None:
        """Nothing more comes."""
        self._feed.close()

    def after_fork(self) -> None:
        """Whoever held the lock is not in this process, nor the feed's thread."""
        self._lock = threading.RLock()
        self.follow()

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
        self.trouble = ""
        alive_at, allowed = self._alive_at(sight), self.allowed_s(published)
        self.held = Held(
            Router(published, self.held.router.buckets if self.held else None),
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
        held, before, now = self.held, self._written_at, self.clock()
        self._written_at = sight.written_at
        if held is not None and before is not None:
            return now if sight.written_at != before else held.alive_at
        age = sight.age_s if sight.age_s is not None else self._wall() - sight.written_at
        if age < -CLOCKS_DIFFER:
            self._counts["clock"] += 1
            log.warning("the state was written %.0f s ahead of this clock", -age)
        return now - max(age, 0.0)

    def _see_trouble(self, kind: str, words: str) -> bool:
        """Count it once for as long as it lasts."""
        if words != self.trouble:
            self._counts[kind] += 1
            self.trouble = words
            log.warning("%s; %s", words, "the last state is kept" if self.held else "no state")
        return False
