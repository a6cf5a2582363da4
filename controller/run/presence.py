"""Who is at work on a store, as their heartbeats say."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from controller.store.base import Store

Doing = Literal["running", "stopped", "looking"]
"""A controller at work, one that ended in order, and `rollout doctor`, which is none."""


class Note(msgspec.Struct):
    """What every heartbeat says; a controller's own counts stand beside it."""

    state: Doing


_NOTE = msgspec.json.Decoder(Note)


@dataclass(frozen=True, slots=True)
class Seen:
    """A controller, and when it was last heard of."""

    owner: str
    at: datetime
    running: bool

    def is_at_work(self, now: datetime, within: timedelta) -> bool:
        """Whether it has not ended, as far as one can tell."""
        return self.running and now - self.at <= within


def controllers(store: Store) -> list[Seen]:
    """Every controller that was heard of, the last one first. Raises StoreError."""
    beats = [(owner, at, _NOTE.decode(note).state) for owner, at, note in store.heartbeats()]
    return [Seen(owner, at, doing == "running") for owner, at, doing in beats if doing != "looking"]
