"""A past decision, taken again: the journal has the state before it and the event."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.event import Tick
from controller.core.plan import Plan
from controller.core.state import State
from controller.store.audit import policy_of
from controller.store.base import Entry, Store

KEPT_EVERY = 100
"""The journal keeps a state at least this often; folding starts there."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """One journal entry with the decision it came of."""

    entry: Entry
    before: State
    decision: Decision
    plan: Plan


class NothingThere(Exception):
    """The journal has no such entry; the message says what it has."""


def recall(
    store: Store,
    plan_of: Callable[[str, datetime], Plan],
    rollout: str,
    *,
    seq: int | None = None,
    at: datetime | None = None,
    ticks_only: bool = False,
) -> Recalled:
    """The decision number `seq`, or the last one not after `at`, or the last of all; with
    `ticks_only` the last one there that measured something. Raises NothingThere, StoreError."""
    head = store.head(rollout)
    if head is None:
        raise NothingThere(f"there is no rollout {rollout}")
    last = head.seq if seq is None else seq
    if at is not None:
        last = _last_before(store, rollout, at)
    if not 0 < last <= head.seq:
        what = f"at {at:%Y-%m-%d %H:%M:%S} UTC" if at else f"number {last}"
        raise NothingThere(f"{rollout} has no decision {what}; it has 1 to {head.seq}")
    found = _fold(store, plan_of, rollout, head.initial, last, ticks_only)
    if found is None:
        raise NothingThere(f"{rollout} has not measured anything yet")
    return found


def _last_before(store: Store, rollout: str, at: datetime) -> int:
    """Number of the last entry not after `at`."""
    found = 0
    for entry in store.journal(rollout):
        if entry.at <= at:
            found = entry.seq
    return found


def _fold(
    store: Store,
    plan_of: Callable[[str, datetime], Plan],
    rollout: str,
    initial: State,
    last: int,
    ticks_only: bool,
) -> Recalled | None:
    """Decide again from the newest kept state; further back where the wanted tick is earlier."""
    reach = 2 * KEPT_EVERY
    while True:
        first = max(0, last - reach)
        state = initial if first == 0 else None
        found: Recalled | None = None
        for entry in store.journal(rollout, after=first, limit=last - first):
            if state is not None:
                plan = plan_of(policy_of(state, entry.event), entry.at)
                wanted = not ticks_only or isinstance(entry.event, Tick)
                decision = decide(plan, state, entry.event, entry.at)
                if wanted and (ticks_only or entry.seq == last):
                    found = Recalled(entry, state, decision, plan)
                state = decision.state
            elif entry.state is not None:
                state = entry.state
        if found is not None or first == 0:
            return found
        reach *= 4
