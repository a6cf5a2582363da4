"""Who is at work on a store, and what they could not take, as their heartbeats say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from controller.store.base import Store

TOGETHER = timedelta(minutes=1)
"""Controllers of one store whose last heartbeats are so close run at the same time."""

Doing = Literal["running", "stopped", "looking"]
"""A controller at work, one that ended in order, and `rollout doctor`, which is none."""


class Refusals(msgspec.Struct, frozen=True):
    """How many observations a source refused since it was opened, and why the last one."""

    count: int
    last: str


class Note(msgspec.Struct, frozen=True):
    """What every heartbeat says; a controller's own counts stand beside it."""

    state: Doing
    refusals: dict[str, Refusals] = {}


_NOTE = msgspec.json.Decoder(Note)


@dataclass(frozen=True, slots=True)
class Seen:
    """A controller, when it was last heard of, and what it refused, by stored source."""

    owner: str
    at: datetime
    running: bool
    refusals: Mapping[str, Refusals]

    def is_at_work(self, now: datetime, within: timedelta) -> bool:
        """Whether it has not ended, as far as one can tell."""
        return self.running and now - self.at <= within


def note(
    state: Doing,
    totals: Mapping[str, int] | None = None,
    refusals: Mapping[str, Refusals] | None = None,
) -> str:
    """The words of a heartbeat."""
    told = {"state": state, **(totals or {}), "refusals": refusals or {}}
    return msgspec.json.encode(told).decode()


def controllers(store: Store) -> list[Seen]:
    """Every controller that was heard of, the last one first. Raises StoreError."""
    beats = [(owner, at, _NOTE.decode(words)) for owner, at, words in store.heartbeats()]
    return [
        Seen(owner, at, told.state == "running", told.refusals)
        for owner, at, told in beats
        if told.state != "looking"
    ]


def refusals(seen: Sequence[Seen]) -> dict[str, Refusals]:
    """By stored source, what the controllers that ran last refused. `seen`: the last one first."""
    found: dict[str, Refusals] = {}
    for one in seen:
        if seen[0].at - one.at > TOGETHER:
            break
        for source, told in one.refusals.items():
            before = found.get(source, Refusals(0, told.last))
            found[source] = Refusals(before.count + told.count, before.last)
    return found
