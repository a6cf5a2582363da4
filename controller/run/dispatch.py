"""From the outbox to the targets and back: every effect at least once, in order per target.

A target that fails is tried again later and later (exponential, full jitter); the others do not
wait for it. What a target answered is an event of its own and goes through `decide`: success
always, failure the first time, every try in the outbox's own record. An effect leaves the outbox
with the commit of its acknowledgement, so a crash in between delivers it again under the same
key, never not at all.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from threading import Lock

from controller.core.decide import decide
from controller.core.effect import (
    Activate,
    Alert,
    Effect,
    HandOver,
    Notify,
    Phase,
    SetParameters,
    SetShare,
)
from controller.core.event import Acknowledgement
from controller.core.share import NONE
from controller.core.state import State
from controller.effects.base import EffectError, NotYet, Target
from controller.run.messages import Messages
from controller.run.unit import PlanOf, UnknownRollout, due_after, handle, not_before
from controller.store.base import Commit, Delivery, Store, StoreError

log = logging.getLogger(__name__)

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=1)
MOST_PASSES = 50
"""Passes over the outbox in one go: acknowledging one effect often brings forth the next."""
BATCH = 200
"""Answers made durable in one transaction; a crash delivers at most these again."""
REPLACES = SetShare | Activate | SetParameters | HandOver
"""Effects that take the place of an older one at the same target."""
ALERTS = "alerts"
"""Where alerts of all rollouts wait for their turn."""

OUTDATED = "not carried out: the rollout no longer waits for it"
"""Of an effect that a later decision has overtaken: its target never sees it (rule 7)."""

TargetOf = Callable[[State, Effect, datetime], Target]
"""The target of a rollout's effect. Raises what it cannot open."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What one dispatch did."""

    delivered: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one delivery: the words read back, or the error's. `waits`: it was not tried,
    an older one for the same target goes first. `not_yet`: nothing is wrong, and somebody has to
    say so."""

    delivery: Delivery
    ok: bool
    detail: str
    waits: bool = False
    not_yet: bool = False


def wait_after(attempts: int, random: Random) -> timedelta:
    """How long to wait after `attempts` failures before this one: full jitter, a uniform draw
    from [0, min(cap, first * 2**attempts)]."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * (1 << min(attempts, 16)))
    return longest * random.random()


class Dispatcher:
    """Delivers effects as `owner`. `workers` targets are written to at the same time; with 1
    everything happens in the caller's thread, in commit order. Without `tells`, messages to people
    are left to another."""

    def __init__(
        self,
        store: Store,
        plan_of: PlanOf,
        target_of: TargetOf,
        owner: str,
        *,
        random: Random,
        lease: timedelta,
        workers: int = 1,
        tells: bool = True,
    ) -> None:
        self._store = store
        self._plan_of = plan_of
        self._target_of = target_of
        self._owner = owner
        self._random = random
        self._tells = tells
        self._lease = lease
        self._one_at_a_time = Lock()
        self._failing: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._pool = ThreadPoolExecutor(workers, "dispatch") if workers > 1 else None
        self._messages = Messages[Answer](in_threads=workers > 1)

    def dispatch(self, now: datetime, rollout: str | None = None) -> Dispatched:
        """Deliver everything that is due, of one rollout or of all, and what comes of it.
        Raises StoreError; what it had claimed is delivered again later."""
        done = Dispatched()
        with self._one_at_a_time:
            for _ in range(MOST_PASSES):
                found = self._pass(self._claim(now, rollout), now)
                if found == Dispatched() and self._tells:
                    # People are told when there is nothing left to do (rule 7).
                    found = self._tell(now, rollout)
                done = Dispatched(done.delivered + found.delivered, done.failed + found.failed)
                if not found.delivered and not found.failed:
                    break
        return done

    def close(self) -> None:
        """Wait for deliveries that are under way."""
        if self._pool is not None:
            self._pool.shutdown()
        self._messages.close()

    def _claim(self, now: datetime, rollout: str | None) -> list[Delivery]:
        if rollout is None:
            return self._store.claim_outbox(now, self._owner, self._lease)
        return [
            delivery
            for delivery in self._store.outbox(rollout)
            if not isinstance(delivery.effect, Notify)
            and (delivery.attempts == 0 or delivery.not_before <= now)
        ]

    def _tell(self, now: datetime, rollout: str | None) -> Dispatched:
        """Begin with the messages that are due; settle those that are done. Nothing waits for a
        channel."""
        due = self._store.claim_messages(now, self._owner, self._lease, rollout)
        rows = _Rows(self._store)
        self._messages.begin(due, lambda group: self._deliver_group(group, rows, now))
        answers = self._messages.answered()
        if not answers:
            return Dispatched()
        return Dispatched(*self._settle(answers, _Rows(self._store), now, 0, 0))

    def _pass(self, claimed: list[Delivery], now: datetime) -> Dispatched:
        """Deliver what was claimed; answers are made durable a batch at a time."""
        groups: dict[tuple[str, str], list[Delivery]] = {}
        for delivery in claimed:
            groups.setdefault(_place(delivery), []).append(delivery)
        rows = _Rows(self._store)
        answers: list[Answer] = []
        delivered = failed = 0
        for group in self._deliver_all(sorted(groups.values(), key=_urgency), rows, now):
            answers += group
            if len(answers) >= BATCH:
                delivered, failed = self._settle(answers, rows, now, delivered, failed)
                answers = []
        delivered, failed = self._settle(answers, rows, now, delivered, failed)
        return Dispatched(delivered, failed)

    # Delivering ---------------------------------------------------------------------------

    def _deliver_all(
        self, groups: Iterable[list[Delivery]], rows: "_Rows", now: datetime
    ) -> Iterable[list[Answer]]:
        if self._pool is None:
            return (self._deliver_group(group, rows, now) for group in groups)
        return self._pool.map(lambda group: self._deliver_group(group, rows, now), groups)

    def _deliver_group(self, group: list[Delivery], rows: "_Rows", now: datetime) -> list[Answer]:
        """One target's effects in order: what is written first, then what is read back, which waits
        for a write that failed. A new share or configuration waits for none, for it takes the place
        of the older one."""
        answers: list[Answer] = []
        failing, until = self._failing.get(_place(group[0]), ("", now))
        blocked = failing if until > now else ""
        for delivery in sorted(group, key=lambda one: not isinstance(one.effect, REPLACES)):
            key = delivery.effect.key
            takes_over = isinstance(delivery.effect, REPLACES)
            if blocked not in ("", key) and not takes_over:
                answers.append(Answer(delivery, False, f"waits for {blocked}", waits=True))
                continue
            answers.append(self._deliver(delivery, rows, now))
            blocked = "" if answers[-1].ok else key
        return answers

    def _deliver(self, delivery: Delivery, rows: "_Rows", now: datetime) -> Answer:
        try:
            row = rows.of(delivery.rollout)
            if not isinstance(delivery.effect, Alert) and not row.awaits(delivery.effect.key):
                return Answer(delivery, True, OUTDATED)
            target = self._target_of(row.state, delivery.effect, now)
            answer = Answer(delivery, True, target.deliver(delivery.effect))
            if isinstance(delivery.effect, Alert):
                log.info("%s", _words(delivery.effect))
            return answer
        except StoreError:
            raise
        except NotYet as error:
            return Answer(delivery, False, str(error), not_yet=True)
        except EffectError as error:
            return Answer(delivery, False, str(error))
        except Exception as error:
            log.exception("%s: its target is broken", delivery.effect.key)
            return Answer(delivery, False, f"{type(error).__name__}: {error}")

    # Settling -----------------------------------------------------------------------------

    def _settle(
        self, answers: list[Answer], rows: "_Rows", now: datetime, delivered: int, failed: int
    ) -> tuple[int, int]:
        """Tell the rollouts, then the outbox. Returns the counts with these answers added."""
        untold = self._acknowledge(answers, rows, now)
        arrived: list[tuple[str, str]] = []
        postponed: list[tuple[str, str, datetime]] = []
        for answer in answers:
            key = answer.delivery.effect.key
            trouble = untold.get(key, "") if answer.ok else answer.detail
            if trouble:
                postponed.append((key, trouble, self._postpone(answer, trouble, now)))
            else:
                self._failing.pop(_place(answer.delivery), None)
                arrived.append((key, answer.detail))
        if answers:
            self._store.settle(now, arrived, postponed)
        return delivered + len(arrived), failed + len(postponed)

    def _postpone(self, answer: Answer, trouble: str, now: datetime) -> datetime:
        """When to try again."""
        delivery = answer.delivery
        effect, place = delivery.effect, _place(delivery)
        if answer.waits:
            retry_at = self._failing[place][1]
        elif answer.not_yet:
            retry_at = now + FIRST_WAIT
            self._failing[place] = (effect.key, retry_at)
        else:
            retry_at = now + wait_after(delivery.attempts, self._random)
            self._failing[place] = (effect.key, retry_at)
        level = logging.ERROR if isinstance(effect, Alert) else logging.WARNING
        level = logging.DEBUG if answer.not_yet else level
        tries = delivery.attempts + 1
        said = f" | {_words(effect)}" if isinstance(effect, Alert) else ""
        log.log(level, "%s not delivered (%d): %s%s", effect.key, tries, trouble, said)
        return retry_at

    def _acknowledge(self, answers: list[Answer], rows: "_Rows", now: datetime) -> dict[str, str]:
        """One transaction for all that the rollouts are waiting to hear; a failure is told the
        first time only. Returns what could not be told, by key."""
        untold: dict[str, str] = {}
        commits: list[Commit] = []
        for answer in answers:
            name, key = answer.delivery.rollout, answer.delivery.effect.key
            row = rows.of(name)
            first = answer.delivery.attempts == 0 and not answer.not_yet
            if not row.awaits(key) or not (answer.ok or first):
                continue
            event = Acknowledgement(key, answer.ok, answer.detail)
            try:
                at = not_before(row.state, now)
                plan = self._plan_of(row.state.policy, at)
                decision = decide(plan, row.state, event, at)
                due = due_after(plan, row.state, row.next_due, event, decision)
            except Exception as error:
                log.exception("%s: what its target answered cannot be decided on", key)
                untold[key] = f"delivered, not acknowledged: {error}"
                continue
            commits.append(Commit(row.state, event, decision, due))
            row.state = decision.state
        accepted = self._store.commit(commits)
        for commit, took in zip(commits, accepted, strict=True):
            if not took:
                self._tell_again(commit, untold, now)
        return untold

    def _tell_again(self, commit: Commit, untold: dict[str, str], now: datetime) -> None:
        """Somebody moved the rollout meanwhile: decide from where it is now."""
        name, event = commit.before.rollout, commit.event
        assert isinstance(event, Acknowledgement), "nothing else is told here"
        if not _Rows(self._store).of(name).awaits(event.key):
            return
        try:
            handle(self._store, self._plan_of, name, event, now)
        except StoreError:
            raise
        except Exception as error:
            log.exception("%s: what its target answered cannot be decided on", event.key)
            untold[event.key] = f"delivered, not acknowledged: {error}"


@dataclass(slots=True)
class _Row:
    """A rollout as this pass leaves it."""

    state: State
    next_due: datetime | None

    def awaits(self, key: str) -> bool:
        """Whether the rollout is waiting to hear of an effect."""
        return self.state.awaits(key)


class _Rows:
    """Rollouts of one pass, each read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, _Row] = {}

    def of(self, name: str) -> _Row:
        """The rollout. Raises UnknownRollout."""
        row = self._rows.get(name)
        if row is None:
            found = self._store.rollout(name)
            if found is None:
                raise UnknownRollout(f"there is no rollout {name!r}")
            row = self._rows[name] = _Row(found.state, found.next_due)
        return row


def _place(delivery: Delivery) -> tuple[str, str]:
    """What has to stay in order: a rollout's effects on one target; all alerts, in one log."""
    effect = delivery.effect
    return ("", ALERTS) if isinstance(effect, Alert) else (delivery.rollout, effect.target)


def _urgency(group: list[Delivery]) -> int:
    """Traffic to the baseline goes first, before anything that can fail (rule 7); then other
    shares; people are told last."""
    effects = [delivery.effect for delivery in group]
    if any(_to_baseline(effect) for effect in effects):
        return 0
    if any(isinstance(effect, SetShare) for effect in effects):
        return 1
    return 3 if isinstance(effects[0], Alert) else 2


def _to_baseline(effect: Effect) -> bool:
    """Whether it gives all work, or the writing of orders, to the baseline."""
    if isinstance(effect, HandOver):
        return effect.phase is Phase.BACK
    return isinstance(effect, SetShare) and effect.share == NONE


def _words(alert: Alert) -> str:
    """An alert as the program's own log says it, so that somebody hears it there too."""
    reasons = "; ".join(alert.reasons)
    return f"{alert.severity.word} alert: {alert.title}" + (f" ({reasons})" if reasons else "")
