"""Structs to bytes and back: the journal's body, the state, effects, digests and times.

The same value always gives the same bytes (struct fields in order, mapping keys sorted), so that
digests can be compared. A journal entry's hash is sha256 of the previous entry's 32 hash bytes
followed by the body; the first entry follows 32 zero bytes.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from controller.core.decision import Decision
from controller.core.effect import Effect
from controller.core.event import Event
from controller.core.state import State
from controller.store.base import Entry

GENESIS = bytes(32)
"""What the first link of every chain follows: 64 zeros in hexadecimal."""
KEEP_EVERY = 100
"""Every so many entries the journal keeps the whole state, not only its digest."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOT_KEPT = Raw()


class Body(Struct, frozen=True, omit_defaults=True):
    """What a journal entry's hash covers. `state` is there where the entry keeps it."""

    rollout: str
    seq: int
    at: datetime
    policy: str
    event: Event
    state_digest: str
    move: str = ""
    reasons: tuple[str, ...] = ()
    refused: str = ""
    effects: tuple[Effect, ...] = ()
    state: Raw = _NOT_KEPT


def _plain(value: Any) -> str:
    """A clock in a test may hand out a subclass of datetime; it is written like the real one."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no place in the journal")


encode: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_plain, order="deterministic").encode
decode_effect: Callable[[bytes], Effect] = msgspec.json.Decoder(Effect).decode
_decode_state: Callable[[bytes], State] = msgspec.json.Decoder(State).decode
_decode_body: Callable[[bytes], Body] = msgspec.json.Decoder(Body).decode


def encode_state(state: State) -> bytes:
    """The state's bytes. Frozen measurements go through bytes once: NaN becomes none and `3`
    becomes `3.0`, as on the way back, so that a state and its copy have one digest."""
    written = encode(state)
    return encode(_decode_state(written)) if state.frozen else written


def decode_state(written: bytes) -> State:
    """The state of `encode_state`'s bytes."""
    return _decode_state(written)


def digest(written: bytes) -> str:
    """sha256, hexadecimal."""
    return sha256(written).hexdigest()


def link(previous: bytes, body: bytes) -> bytes:
    """The hash of the chain's next link."""
    chain = sha256(previous)
    chain.update(body)
    return chain.digest()


def encode_body(before: State, event: Event, decision: Decision, state: bytes) -> bytes:
    """The body of the entry of one decision; `state` is the state after, encoded."""
    after = decision.state
    kept = after.name != before.name or after.seq % KEEP_EVERY == 0
    return encode(
        Body(
            rollout=after.rollout,
            seq=after.seq,
            at=decision.at,
            policy=after.policy,
            event=event,
            state_digest=digest(state),
            move=decision.move,
            reasons=decision.reasons,
            refused=decision.refused,
            effects=decision.effects,
            state=Raw(state) if kept else _NOT_KEPT,
        )
    )


def decode_entry(body: bytes, previous: bytes, link_hash: bytes) -> Entry:
    """A journal entry. Raises msgspec.DecodeError if the body is not one."""
    read = _decode_body(body)
    kept = bytes(read.state)
    return Entry(
        rollout=read.rollout,
        seq=read.seq,
        at=read.at,
        policy=read.policy,
        event=read.event,
        move=read.move,
        reasons=read.reasons,
        refused=read.refused,
        effects=read.effects,
        state_digest=read.state_digest,
        state=_decode_state(kept) if kept else None,
        previous=previous.hex(),
        hash=link_hash.hex(),
        body=body,
    )


def micros(moment: datetime) -> int:
    """Microseconds since 1970, UTC. Raises TypeError for a time without a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(since_epoch: int) -> datetime:
    """The time of `micros`, in UTC."""
    return _EPOCH + timedelta(microseconds=since_epoch)
