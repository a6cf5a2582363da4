"""Commits for tests of the store: states and decisions made by hand, as small as they can be."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from controller.core.decision import Decision, Explanation
from controller.core.effect import Activate, Alert, Effect, SetShare, Severity, Verify
from controller.core.event import Event, Tick
from controller.core.measurement import Measurement
from controller.core.share import Share
from controller.core.state import State
from controller.store.base import Commit, Store

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
STEP = timedelta(seconds=15)


def tick(value: float | None = 0.9) -> Tick:
    """A tick with one measurement."""
    return Tick({"candidate.accuracy": Measurement(value=value, samples=120)})


def commit(
    before: State,
    *effects: Effect,
    event: Event | None = None,
    name: str = "",
    at: datetime | None = None,
    next_due: datetime | None = None,
    **changes: object,
) -> Commit:
    """The next decision of `before`; a `name` is a move to that state."""
    at = T0 + STEP * (before.seq + 1) if at is None else at
    after = replace(before, seq=before.seq + 1, at=at, name=name or before.name, **changes)
    move = "tick" if name else ""

    def explain() -> Explanation:
        return Explanation(before.name, before.share)

    decision = Decision(after, at, explain, effects, move, ("a reason",) if name else ())
    return Commit(before, event or tick(), decision, next_due)


def created(store: Store, name: str = "r") -> State:
    """A new rollout in the store."""
    state = State(name, "p" * 64)
    assert store.create(state, f"policies/{name}.yaml")
    return state


def go(store: Store, before: State, *effects: Effect, **changes: object) -> State:
    """Commit the next decision; it must be taken."""
    made = commit(before, *effects, **changes)  # type: ignore[arg-type]
    assert store.commit([made]) == [True]
    return made.decision.state


def set_share(key: str, target: str = "book", share: int = 5000) -> SetShare:
    """A SetShare."""
    return SetShare(key, target, Share(share), mirror=False, epoch=1, token=1)


def activate(key: str, target: str = "config") -> Activate:
    """An Activate."""
    return Activate(key, target, "v3", epoch=1, token=1)


def verify_share(key: str, target: str = "book") -> Verify:
    """A Verify."""
    return Verify(key, target, Share(0))


def alert(key: str) -> Alert:
    """An Alert."""
    return Alert(key, Severity.HIGH, "trigger", "errors: candidate.errors > 10%")
