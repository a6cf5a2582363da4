"""Whatever is done to a store, in whatever order, it agrees with a model made of dicts."""

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.commits import T0, activate, alert, commit, set_share

from controller.core.effect import Activate, Effect, SetShare
from controller.core.event import Acknowledgement
from controller.core.state import State
from controller.store import open_store
from controller.store.audit import verify, verify_observations
from controller.store.base import Commit

NAMES = ("a", "b", "c")
LEASE = timedelta(seconds=20)
OWNERS = st.sampled_from(("me", "you"))


@dataclass
class Waiting:
    """An effect in the model's outbox."""

    rollout: str
    effect: Effect
    attempts: int
    not_before: datetime
    owner: str = ""
    until: datetime = T0

    def free(self, owner: str, now: datetime) -> bool:
        return self.owner in ("", owner) or self.until <= now


@dataclass
class Row:
    """A rollout in the model. `history` is every state it ever had."""

    history: list[State]
    due: datetime | None = None
    owner: str = ""
    until: datetime = T0
    keys: list[tuple[str, ...]] = field(default_factory=list)


def _same_place(one: Effect, other: Effect) -> bool:
    return (
        isinstance(one, SetShare | Activate)
        and type(one) is type(other)
        and one.target == getattr(other, "target", None)
    )


class StoreAgainstModel(RuleBasedStateMachine):
    """Rules of the store, each done to both sides."""

    seen = Bundle("seen")
    """States that a controller may still hold: of now, or stale."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = str(Path(self.directory.name) / "store.db")
        self.store = open_store(self.path)
        self.now = T0
        self.rows: dict[str, Row] = {}
        self.waiting: dict[str, Waiting] = {}
        self.batches: list[bytes] = []
        self.known: set[str] = set()

    def teardown(self) -> None:
        for name in self.rows:
            assert (
                str(verify(self.store, name))
                .split(": ")[1]
                .startswith(f"{len(self.rows[name].history) - 1} whole")
            )
        assert verify_observations(self.store, "s").whole
        self.store.close()
        self.directory.cleanup()

    @initialize(target=seen)
    def first(self) -> State:
        return self._create("a")

    @rule(target=seen, name=st.sampled_from(NAMES))
    def create(self, name: str) -> State:
        return self._create(name)

    def _create(self, name: str) -> State:
        state = State(name, "p")
        assert self.store.create(state, f"{name}.yaml") is (name not in self.rows)
        self.rows.setdefault(name, Row([state]))
        return self.rows[name].history[0]

    @rule(
        target=seen,
        held=seen,
        wants=st.sets(st.sampled_from(("share", "other", "config", "alert")), max_size=3),
        moves=st.booleans(),
        due=st.none() | st.integers(-30, 60),
    )
    def commit(self, held: State, wants: set[str], moves: bool, due: int | None) -> State:
        made = self._made(held, wants, moves, due)
        assert self.store.commit([made]) == [self._apply(made)]
        return self.rows[held.rollout].history[-1]

    @rule(
        helds=st.lists(seen, min_size=2, max_size=4),
        wants=st.sets(st.sampled_from(("share", "alert"))),
    )
    def commit_batch(self, helds: list[State], wants: set[str]) -> None:
        made = [self._made(held, wants, False, 0) for held in helds]
        accepted = self.store.commit(made)
        assert accepted == [self._apply(one) for one in made]

    def _made(self, held: State, wants: set[str], moves: bool, due: int | None) -> Commit:
        key = f"{held.rollout}:{held.seq + 1}"
        effects: dict[str, Effect] = {
            "share": set_share(f"{key}:share"),
            "other": set_share(f"{key}:other", "venue"),
            "config": activate(f"{key}:config"),
            "alert": alert(f"{key}:alert"),
        }
        return commit(
            held,
            *(effects[want] for want in sorted(wants)),
            at=self.now,
            name=f"s{held.seq}" if moves else "",
            next_due=None if due is None else self.now + timedelta(seconds=due),
        )

    def _apply(self, made: Commit) -> bool:
        row = self.rows[made.before.rollout]
        if row.history[-1].seq != made.before.seq:
            return False
        row.history.append(made.decision.state)
        row.due, row.owner = made.next_due, ""
        row.keys.append(tuple(effect.key for effect in made.decision.effects))
        event = made.event
        if isinstance(event, Acknowledgement) and event.ok:
            self.waiting.pop(event.key, None)
        for effect in made.decision.effects:
            for key, older in list(self.waiting.items()):
                if older.rollout == made.before.rollout and _same_place(effect, older.effect):
                    del self.waiting[key]
            self.waiting[effect.key] = Waiting(made.before.rollout, effect, 0, self.now)
        return True

    @precondition(lambda self: self.waiting)
    @rule(target=seen, data=st.data(), ok=st.booleans())
    def acknowledge(self, data: st.DataObject, ok: bool) -> State:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        held = self.rows[self.waiting[key].rollout].history[-1]
        made = commit(held, event=Acknowledgement(key, ok), at=self.now)
        assert self.store.commit([made]) == [True]
        assert self._apply(made)
        return made.decision.state

    @rule(seconds=st.integers(-5, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(owner=OWNERS, limit=st.integers(1, 4))
    def claim_due(self, owner: str, limit: int) -> None:
        due = sorted(
            (row.due, name)
            for name, row in self.rows.items()
            if row.due is not None
            and row.due <= self.now
            and (row.owner in ("", owner) or row.until <= self.now)
        )[:limit]
        claimed = self.store.claim_due(self.now, owner, LEASE, limit)
        assert [r.state for r in claimed] == [self.rows[name].history[-1] for _, name in due]
        for _, name in due:
            self.rows[name].owner, self.rows[name].until = owner, self.now + LEASE

    @rule()
    def reschedule(self) -> None:
        """After the clock went back."""
        late = [row for row in self.rows.values() if row.due is not None and row.due > self.now]
        assert self.store.reschedule(self.now) == len(late)
        for row in late:
            row.due = self.now
        for row in self.rows.values():
            row.until = min(row.until, self.now)
        for effect in self.waiting.values():
            effect.until = min(effect.until, self.now)
            effect.not_before = min(effect.not_before, self.now)

    @rule(owner=OWNERS, limit=st.integers(1, 4))
    def claim_outbox(self, owner: str, limit: int) -> None:
        due = [
            key
            for key, effect in self.waiting.items()
            if (effect.attempts == 0 or effect.not_before <= self.now)
            and effect.free(owner, self.now)
        ][:limit]
        claimed = self.store.claim_outbox(self.now, owner, LEASE, limit)
        assert [delivery.effect.key for delivery in claimed] == due
        for key in due:
            self.waiting[key].owner, self.waiting[key].until = owner, self.now + LEASE

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def delivered(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        self.store.delivered(key, self.now, "done")
        del self.waiting[key]
        assert self.store.attempts(key)[-1].ok

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), wait=st.integers(0, 60))
    def failed(self, data: st.DataObject, wait: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        effect = self.waiting[key]
        effect.attempts += 1
        effect.not_before, effect.owner = self.now + timedelta(seconds=wait), ""
        self.store.failed(key, self.now, "no", effect.not_before)

    @rule(keys=st.sets(st.sampled_from("uvwxyz"), max_size=2), lines=st.binary(min_size=1))
    def observe(self, keys: set[str], lines: bytes) -> None:
        batch = self.store.append_observations("s", self.now, lines, sorted(keys))
        assert (batch is None) is bool(keys & self.known)
        if batch is not None:
            self.batches.append(lines)
            self.known |= keys

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = open_store(self.path, create=False)

    @invariant()
    def rollouts_agree(self) -> None:
        found = {r.state.rollout: (r.state, r.next_due) for r in self.store.rollouts()}
        assert found == {name: (row.history[-1], row.due) for name, row in self.rows.items()}

    @invariant()
    def journals_agree(self) -> None:
        for name, row in self.rows.items():
            entries = list(self.store.journal(name))
            assert [e.seq for e in entries] == list(range(1, len(row.history)))
            assert [tuple(e.key for e in entry.effects) for entry in entries] == row.keys
            kept = [(e.state, row.history[e.seq]) for e in entries if e.state is not None]
            assert all(found == expected for found, expected in kept)

    @invariant()
    def outboxes_agree(self) -> None:
        for name in self.rows:
            found = [(d.effect, d.attempts, d.not_before) for d in self.store.outbox(name)]
            mine = [w for w in self.waiting.values() if w.rollout == name]
            assert found == [(w.effect, w.attempts, w.not_before) for w in mine]

    @invariant()
    def observations_agree(self) -> None:
        assert [b.lines for b in self.store.observations("s")] == self.batches


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, print_blob=True
)
