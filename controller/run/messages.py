"""Messages to people under way: nothing and nobody waits for them.

Each rollout's messages to one channel go in order, one after another; different ones at the same
time. Half of the room is kept for what was never tried, so that a channel that hangs does not keep
the next in line from being told.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from controller.store.base import Delivery

AT_ONCE = 16
"""Channels told at the same time."""

Answer = TypeVar("Answer")
Place = tuple[str, str]


class Messages(Generic[Answer]):
    """For one thread at a time. With `in_threads` off, what is begun is done on return."""

    def __init__(self, *, in_threads: bool) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, "tell") if in_threads else None
        self._under_way: dict[Place, tuple[bool, Future[list[Answer]]]] = {}

    def begin(
        self, due: Sequence[Delivery], deliver: Callable[[list[Delivery]], list[Answer]]
    ) -> None:
        """Deliver what is due, as far as there is room; the rest is for another time. `deliver`
        takes the messages of one rollout to one channel, in order, and does not raise."""
        groups: dict[Place, list[Delivery]] = {}
        for delivery in sorted(due, key=lambda each: each.created):
            place = (delivery.rollout, getattr(delivery.effect, "target", ""))
            groups.setdefault(place, []).append(delivery)
        for place, group in sorted(groups.items(), key=lambda item: item[1][0].attempts > 0):
            again = group[0].attempts > 0
            if place not in self._under_way and self._has_room(again=again):
                self._under_way[place] = (again, self._submit(deliver, group))

    def answered(self) -> list[Answer]:
        """What came of those that are done."""
        done = [place for place, (_, asked) in self._under_way.items() if asked.done()]
        return [answer for place in done for answer in self._under_way.pop(place)[1].result()]

    def close(self) -> None:
        """Begin nothing more; wait for what is under way. Whose answer is not heard any more is
        told again."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _has_room(self, *, again: bool) -> bool:
        if self._pool is None:
            return True
        if again:
            return sum(tried for tried, _ in self._under_way.values()) < AT_ONCE // 2
        return len(self._under_way) < AT_ONCE

    def _submit(
        self, deliver: Callable[[list[Delivery]], list[Answer]], group: list[Delivery]
    ) -> Future[list[Answer]]:
        if self._pool is not None:
            return self._pool.submit(deliver, group)
        done: Future[list[Answer]] = Future()
        done.set_result(deliver(group))
        return done
