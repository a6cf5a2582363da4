"""Is the record whole? Chains are hashed again, states are folded again from their events.

What a verification proves: nothing was changed, removed or inserted after the last hash that
somebody wrote down elsewhere. Whoever can write the whole database can write a whole new chain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from controller.core.decision import Decision
from controller.core.event import Command, Event, PolicyEdit
from controller.core.state import State
from controller.store import codec
from controller.store.base import DamagedError, Entry, Head, ObservationBatch, Store, StoreError
from controller.store.observations import batch_body

Plan = TypeVar("Plan")
Decide = Callable[[Plan, State, Event, datetime], Decision]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place that is not as it was written."""

    number: int
    what: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Of one chain: a rollout's journal or a source's batches. `links` counts what was read up
    to the end or the broken place, `folded` the decisions taken again, `hash` is the last good
    one: keep a copy of it elsewhere."""

    chain: str
    links: int
    folded: int
    hash: str
    broken: Broken | None

    @property
    def whole(self) -> bool:
        """Nothing is broken."""
        return self.broken is None

    def __str__(self) -> str:
        if self.broken is not None:
            return f"{self.chain}: broken at {self.broken.number}: {self.broken.what}"
        folded = f", {self.folded} decided again" if self.folded else ""
        return f"{self.chain}: {self.links} whole{folded}, last hash {self.hash}"


def verify(
    store: Store,
    rollout: str,
    decide: Decide[Plan] | None = None,
    plan_of: Callable[[str], Plan] | None = None,
) -> AuditReport:
    """Verify a rollout's journal: hashes, gapless seqs, digests of the states that it keeps, and
    that it ends where the rollout's row says.

    With `decide` and `plan_of` (the plan of a policy's hash) every decision is taken again from
    its event and compared. Raises StoreError if the rollout is unknown or the store cannot be
    read, and whatever `plan_of` raises for a policy that it does not know."""
    head = store.head(rollout)
    if head is None:
        raise StoreError(f"there is no rollout {rollout!r}; `rollout status` lists them")
    fold = None if decide is None or plan_of is None else _Fold(decide, plan_of, head.initial)
    links, link = 0, codec.GENESIS.hex()
    digest = codec.digest(codec.encode_state(head.initial))
    fault = _unlike_row(head, link, digest) if head.seq == 0 else ""
    try:
        # Entries that are committed while this runs are verified like the others.
        for entry in () if fault else store.journal(rollout):
            fault = _fault_of(entry, rollout, links + 1, link) or (fold(entry) if fold else "")
            if not fault and entry.seq == head.seq:
                fault = _unlike_row(head, entry.hash, entry.state_digest)
            if fault:
                break
            links, link = entry.seq, entry.hash
    except DamagedError as error:
        fault = str(error)
    at = links + 1
    if not fault:
        newest = store.head(rollout)
        at, fault = links, _wrong_end(head.seq, newest.seq if newest else 0, links)
    broken = Broken(at, fault) if fault else None
    return AuditReport(f"journal of {rollout}", links, fold.count if fold else 0, link, broken)


def verify_observations(store: Store, source: str) -> AuditReport:
    """Verify a source's batches: hashes, gapless numbers, and the lines of those that still have
    them. Raises StoreError if the store cannot be read."""
    links, link, fault = 0, codec.GENESIS.hex(), ""
    number, newest = store.observation_head(source)
    try:
        for batch in store.observation_chain(source):
            fault = _fault_of_batch(batch, links + 1, link)
            if not fault and batch.number == number and batch.hash != newest:
                fault = "the source's row names another hash for it"
            if fault:
                break
            links, link = batch.number, batch.hash
    except DamagedError as error:
        fault = str(error)
    at = links + 1
    if not fault:
        at, fault = links, _wrong_end(number, store.observation_head(source)[0], links)
    broken = Broken(at, fault) if fault else None
    return AuditReport(f"observations of {source}", links, 0, link, broken)


class _Fold(Generic[Plan]):
    """The decisions taken again, one entry after the other."""

    def __init__(
        self, decide: Decide[Plan], plan_of: Callable[[str], Plan], initial: State
    ) -> None:
        self._decide = decide
        self._plan_of = plan_of
        self._state = initial
        self.count = 0

    def __call__(self, entry: Entry) -> str:
        """What differs from the entry, or nothing."""
        policy = policy_of(self._state, entry.event)
        decision = self._decide(self._plan_of(policy), self._state, entry.event, entry.at)
        self._state = decision.state
        self.count += 1
        again = {
            "state": codec.digest(codec.encode_state(decision.state)),
            "move": decision.move,
            "reasons": decision.reasons,
            "refused": decision.refused,
            "effects": decision.effects,
        }
        written = {
            "state": entry.state_digest,
            "move": entry.move,
            "reasons": entry.reasons,
            "refused": entry.refused,
            "effects": entry.effects,
        }
        return "; ".join(
            f"decided again, {what} is {again[what]!r}, not {written[what]!r}"
            for what in written
            if again[what] != written[what]
        )


def policy_of(before: State, event: Event) -> str:
    """Hash of the policy under which an event is decided: an edit and an apply bring theirs."""
    if isinstance(event, PolicyEdit):
        return event.policy
    if isinstance(event, Command) and event.name == "apply":
        return event.policy
    return before.policy


def _fault_of(entry: Entry, rollout: str, number: int, link: str) -> str:
    if entry.rollout != rollout:
        return f"it is an entry of {entry.rollout!r}"
    if entry.seq != number:
        return f"it is missing, the next one is {entry.seq}"
    fault = _fault_of_link(entry.previous, entry.hash, entry.body, link)
    if not fault and entry.state is not None:
        kept = codec.digest(codec.encode_state(entry.state))
        if kept != entry.state_digest:
            fault = "the state that it keeps does not have the digest that it names"
    return fault


def _fault_of_batch(batch: ObservationBatch, number: int, link: str) -> str:
    if batch.number != number:
        return f"it is missing, the next one is {batch.number}"
    body = batch_body(batch.source, batch.number, batch.received, batch.digest)
    fault = _fault_of_link(batch.previous, batch.hash, body, link)
    if not fault and batch.lines and codec.digest(batch.lines) != batch.digest:
        fault = "its lines were changed"
    return fault


def _fault_of_link(previous: str, link: str, body: bytes, before: str) -> str:
    if previous != before:
        return f"it follows {previous[:12]}..., but the one before has {before[:12]}..."
    if codec.link(bytes.fromhex(previous), body).hex() != link:
        return "its content does not have the hash that it carries"
    return ""


def _unlike_row(head: Head, link: str, state_digest: str) -> str:
    if link != head.hash:
        return "the rollout's row names another hash for it"
    if state_digest != head.state_digest:
        return "the rollout's state is not the one that it leads to"
    return ""


def _wrong_end(before: int, after: int, links: int) -> str:
    """`before` and `after` the chain was read, its owner's row said that it ends there."""
    if links < before:
        return f"the chain ends here, but its owner's row says {before}"
    if links > after:
        return f"the chain ends here, past the {after} of its owner's row"
    return ""
