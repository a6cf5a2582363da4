"""What a controller writes with every heartbeat for others to read: how it does, and what it could
not take."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

TOGETHER = timedelta(minutes=1)
"""Controllers of one store whose last heartbeats are so close run at the same time."""

Beat = tuple[str, datetime, str]
"""Owner, time and note, as the store has them."""


class Refusals(msgspec.Struct, frozen=True):
    """How many observations a source refused since it was opened, and why the last one."""

    count: int
    last: str


class _Note(msgspec.Struct, frozen=True):
    refusals: dict[str, Refusals] = {}


def note(state: str, totals: Mapping[str, int], refusals: Mapping[str, Refusals]) -> str:
    """The words of a heartbeat."""
    return msgspec.json.encode({"state": state, **totals, "refusals": refusals}).decode()


def refusals(beats: Sequence[Beat]) -> dict[str, Refusals]:
    """By stored source, what the controllers that ran last refused. `beats`: newest first."""
    found: dict[str, Refusals] = {}
    newest: datetime | None = None
    for _, at, words in beats:
        try:
            told = msgspec.json.decode(words, type=_Note).refusals
        except msgspec.DecodeError:
            continue  # no controller: `rollout doctor` leaves a plain word
        newest = newest or at
        if newest - at > TOGETHER:
            break
        for source, one in told.items():
            before = found.get(source, Refusals(0, one.last))
            found[source] = Refusals(before.count + one.count, before.last)
    return found
