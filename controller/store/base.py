"""The one interface of the store: one truth, one transaction per decision.

Fencing: every change of a rollout names the `seq` it was decided from. If another replica or a
person was faster, the commit is refused and the caller decides again from the newer state. On
PostgreSQL the same calls claim rows with SKIP LOCKED; nothing above the store changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from controller.core.decision import Decision
from controller.core.effect import Effect
from controller.core.event import Event
from controller.core.state import State

ATTEMPTS_KEPT = 20
"""Tries remembered of one effect."""
KEYS_KEPT = 100_000
"""Idempotency keys remembered of one source."""
HEARTBEATS_KEPT = 100
"""Controllers remembered."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One row: the current state and its place in the schedule."""

    state: State
    policy_path: str
    next_due: datetime | None
    """None: nothing to do until an event (`pending`, `completed`, ...)."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A decision to be made durable: journal entry, new state and effects, all or nothing."""

    before: State
    event: Event
    decision: Decision
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry. `hash` covers `previous` and `body`, the exact bytes stored."""

    rollout: str
    seq: int
    at: datetime
    policy: str
    event: Event
    move: str
    reasons: tuple[str, ...]
    refused: str
    effects: tuple[Effect, ...]
    state_digest: str
    state: State | None
    """The state after, where it was kept (every move and every 100th entry)."""
    previous: str
    hash: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """An effect that waits in the outbox."""

    rollout: str
    effect: Effect
    attempts: int
    not_before: datetime
    created: datetime
    last_error: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver an effect. `number` counts from 1."""

    number: int
    at: datetime
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where a rollout's journal must end: the row's own seq, hash and state digest, and the
    state that the rollout was created with."""

    seq: int
    hash: str
    state_digest: str
    initial: State


@dataclass(frozen=True, slots=True)
class ObservationBatch:
    """Observations as they came in: JSON Lines bytes, chained by hash per source. `digest` is
    sha256 of the lines and what the chain covers, so `lines` may be pruned (then empty)."""

    source: str
    number: int
    received: datetime
    lines: bytes
    digest: str
    previous: str
    hash: str


class StoreError(Exception):
    """The store cannot do it: locked, read-only, full, newer than this program, damaged.
    The message says which, where, and what to do."""


class DamagedError(StoreError):
    """What was read is not what was written: restore a backup."""


class Store(Protocol):
    """Everything durable."""

    @property
    def identity(self) -> str:
        """The store's name: drawn when it was made, the same in every copy of it."""
        ...

    @property
    def directory(self) -> Path | None:
        """Where the store's file is, and what is kept beside it; None when it has no file."""
        ...

    # policies -----------------------------------------------------------------------------
    def save_policy(self, digest: str, path: str, text: str) -> None:
        """Keep the text under its hash; again is fine."""
        ...

    def policy_text(self, digest: str) -> tuple[str, str]:
        """(path, text). Raises StoreError if unknown."""
        ...

    # rollouts -----------------------------------------------------------------------------
    def create(self, state: State, policy_path: str, next_due: datetime | None = None) -> bool:
        """Insert a rollout; False when one of that name is there. `next_due`: of one that begins
        in the middle, when it is first looked at."""
        ...

    def rollouts(self) -> list[Rollout]:
        """All, by name."""
        ...

    def rollout(self, name: str) -> Rollout | None:
        """One."""
        ...

    def claim_due(
        self, now: datetime, owner: str, lease: timedelta, limit: int = 100_000
    ) -> list[Rollout]:
        """Rollouts due at `now` whose lease is free or the owner's, oldest due first; each is
        leased to `owner` until `now + lease`."""
        ...

    def commit(self, commits: Sequence[Commit]) -> list[bool]:
        """One transaction for all. False for each whose rollout has moved on meanwhile (its
        entry, state and effects are not written); the others are durable on return.

        A SetShare, Activate or SetParameters takes the place of the rollout's older undelivered
        one for the same target. The commit of an Acknowledgement that is `ok` takes its effect out
        of the outbox: commit first, and a crash redelivers at worst. A commit ends the rollout's
        lease and needs none. Raises ValueError, and writes nothing, for a decision that does not
        follow `before` (same rollout, seq + 1) or that holds what JSON cannot say."""
        ...

    def reschedule(self, now: datetime) -> int:
        """After the clock went back: what is planned later than `now` (rollouts, retries,
        leases) is due at `now`. An early look is harmless. Returns how many rollouts moved."""
        ...

    # journal ------------------------------------------------------------------------------
    def journal(self, rollout: str, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Entries with seq > after, in order."""
        ...

    def last_entry(self, rollout: str) -> Entry | None:
        """The newest entry."""
        ...

    def head(self, rollout: str) -> Head | None:
        """Where the journal must end, as the rollout's own row says; None if unknown."""
        ...

    # outbox -------------------------------------------------------------------------------
    def claim_outbox(
        self, now: datetime, owner: str, lease: timedelta, limit: int = 1000
    ) -> list[Delivery]:
        """Undelivered effects that are due and not leased to another, in commit order; messages to
        people are not among them."""
        ...

    def claim_messages(
        self,
        now: datetime,
        owner: str,
        lease: timedelta,
        rollout: str | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """The same of messages to people (Notify), of one rollout or of all: those never tried
        first."""
        ...

    def delivered(self, key: str, at: datetime, detail: str) -> None:
        """Take an effect out of the outbox; its attempt is kept with `detail`. Again, or after
        a newer effect has taken its place, is fine. Raises StoreError if it never was there."""
        ...

    def failed(self, key: str, at: datetime, error: str, retry_at: datetime) -> None:
        """Count a failed attempt and when to try again."""
        ...

    def settle(
        self,
        at: datetime,
        delivered: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str, datetime]],
    ) -> None:
        """`delivered` (key, detail) and `failed` (key, error, retry_at) of many, in one
        transaction."""
        ...

    def outbox(self, rollout: str) -> list[Delivery]:
        """Undelivered effects of one rollout."""
        ...

    def attempts(self, key: str) -> list[Attempt]:
        """The last tries to deliver one effect (at most `ATTEMPTS_KEPT`), oldest first."""
        ...

    def shown(self, rollout: str) -> dict[str, Attempt]:
        """By share target: what it showed when it last took a share."""
        ...

    # observations -------------------------------------------------------------------------
    def append_observations(
        self, source: str, received: datetime, lines: bytes, keys: Sequence[str] = ()
    ) -> ObservationBatch | None:
        """Chain one batch. `keys` make it idempotent: None if any of them is known already; the
        last `KEYS_KEPT` of a source are remembered."""
        ...

    def observations(self, source: str, after: int = 0) -> Iterator[ObservationBatch]:
        """Batches with number > after, in order, without those that were pruned."""
        ...

    def observation_chain(self, source: str) -> Iterator[ObservationBatch]:
        """Every batch from the first, the pruned ones with empty `lines`."""
        ...

    def observation_head(self, source: str) -> tuple[int, str]:
        """Number and hash of a source's newest batch; 0 and zeros if it never sent one."""
        ...

    def observation_sources(self) -> list[str]:
        """Names of the sources that ever sent a batch."""
        ...

    def prune_observations(self, source: str, before: datetime) -> int:
        """Drop the lines (not the hashes) of batches received before. Returns how many."""
        ...

    # the controller itself ----------------------------------------------------------------
    def beat(self, owner: str, at: datetime, note: str) -> None:
        """Heartbeat of a controller."""
        ...

    def heartbeats(self) -> list[tuple[str, datetime, str]]:
        """(owner, at, note), newest first."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
