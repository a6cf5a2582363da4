"""The round: what is due is looked at, decided on, made durable in one transaction, carried out.

A rollout's looks are due at start + k ticks, whatever happened before, so they never drift.
- A look is *late* when its round began more than `late_after` past its due time.
- A look is *missed* when the next one was due before its round began. One look stands for all
  that were missed; the core notes the gap and counts one tick of it as watched.
- A round that is still running when the next should begin *overlaps*: the next is skipped, and
  what was due in it is due in the one after. The scheduler counts them.

Nothing here knows the time: it is an argument of every call.
"""

import gc
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from threading import Lock
from typing import Protocol

from controller.core.assess import span
from controller.core.calendar import Lapsed, milliseconds
from controller.core.clocks import next_due
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.effect import Effect, Severity
from controller.core.event import Tick
from controller.core.measurement import Measurement, Outcome
from controller.core.plan import Plan, Step, TriggerPlan
from controller.core.state import AT_REST, State
from controller.effects.base import Target
from controller.run.ahead import Ahead, Answer
from controller.run.alarms import Alarms
from controller.run.collect import collect
from controller.run.dispatch import Dispatcher
from controller.run.plans import Plans
from controller.run.presence import Doing, Refusals, controllers, note
from controller.run.readback import ReadBack
from controller.run.unit import handle
from controller.sources.base import Source
from controller.sources.push import PushSource
from controller.store.base import Commit, Rollout, Store, StoreError

log = logging.getLogger(__name__)

RETRY_BROKEN = timedelta(seconds=15)
"""A rollout that could not be decided on is tried again after this long."""
BEAT_EVERY = timedelta(seconds=5)
"""While nothing is due, heartbeats are written at most this often."""

Look = tuple[Rollout, Answer | None]
"""A rollout that is due, and its measurements where they were asked for ahead."""


class Connections(Protocol):
    """Sources and targets of rollouts, opened when first asked for."""

    def sources(self, state: State, now: datetime) -> Mapping[str, Source]:
        """The sources of the policy that `state` is under."""
        ...

    def slow(self, state: State, now: datetime) -> bool:
        """Whether asking them may take long (a database, a network)."""
        ...

    def target(self, state: State, effect: Effect, now: datetime) -> Target:
        """Where an effect goes."""
        ...

    def renew(self, state: State, now: datetime) -> None:
        """A sign of life to those who read the rollout's share."""
        ...

    def poll(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Let sources take in what waits for them: (rollout, source) of those that had
        something."""
        ...

    def refusals(self) -> Mapping[str, Refusals]:
        """By source, how many observations it refused and why the last, where it did."""
        ...

    def release(self, rollout: str) -> None:
        """Nobody looks at this rollout any more."""
        ...


@dataclass(slots=True)
class Totals:
    """What this controller has done since it began; written with every heartbeat."""

    rounds: int = 0
    decided: int = 0
    late: int = 0
    missed: int = 0
    overlapped: int = 0
    failed: int = 0
    errors: int = 0
    clock_steps: int = 0


@dataclass(slots=True)
class TickReport:
    """One round. `missed` counts looks, the others rollouts. `refused`: somebody else was faster,
    looked at again in the next round. `waiting`: their sources have not answered yet. `failed`
    says why, by rollout."""

    at: datetime
    due: int = 0
    decided: int = 0
    moved: list[str] = field(default_factory=list)
    refused: int = 0
    late: int = 0
    missed: int = 0
    waiting: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    delivered: int = 0
    undelivered: int = 0


class Controller:
    """Ticks the rollouts of one store as `owner`."""

    def __init__(
        self,
        store: Store,
        plans: Plans,
        connections: Connections,
        alarms: Alarms,
        owner: str,
        *,
        random: Random,
        lease: timedelta = timedelta(seconds=15),
        late_after: timedelta = timedelta(seconds=2),
        workers: int = 1,
        patience: timedelta = timedelta(seconds=1),
    ) -> None:
        """`workers`: how many slow sources are asked, and targets written to, at the same time;
        with 1 everything happens in the caller's thread, in order. `patience`: how long a round
        waits for slow sources; a later answer is decided on in the round after it."""
        self.totals = Totals()
        self.owner = owner
        self.dispatcher = Dispatcher(
            store, plans.plan, connections.target, owner,
            random=random, lease=lease, workers=workers,
        )  # fmt: skip
        self._read_back = ReadBack(connections.target, workers)
        self._store = store
        self._plans = plans
        self._connections = connections
        self._alarms = alarms
        self._lease = lease
        self._late_after = late_after
        self._ahead = Ahead(workers, patience) if workers > 1 else None
        self._one_round = Lock()
        self._retry_at: dict[str, datetime] = {}
        self._last_beat: datetime | None = None

    # The round ----------------------------------------------------------------------------

    def begin(self, now: datetime) -> None:
        """Before the first round: if somebody wrote here at a later time, the clock went back
        while nobody was watching. Others who are at work here are named."""
        newest = max((at for _, at, _ in self._store.heartbeats()), default=now)
        seen = controllers(self._store)
        others = [other.owner for other in seen if other.is_at_work(now, self._lease)]
        if others:
            log.info("%s on this store as well: each look is taken by one of us", ", ".join(others))
        if newest - now > self._late_after:
            self.clock_stepped(now - newest, now)

    def tick(self, now: datetime) -> TickReport:
        """One round at `now`. A rollout that cannot be decided on is reported and does not keep
        the others. Raises StoreError when the store cannot be used: nothing is lost, the next
        round finds everything due again."""
        with self._one_round, no_garbage_collection():
            self._alarms.retry()
            report = TickReport(now)
            self._tell_drift(now)
            # What a crash left behind goes out before slow sources are asked (rule 7), and a step
            # that is acknowledged now is not overdue.
            self._carry_out(now, report)
            heard = self._connections.poll(now)
            rows = self._due(now, report)
            looked_at: set[str] = set()
            for looks in self._looks(rows, now):
                self._decide_all(looks, now, report)
                self._carry_out(now, report)
                looked_at.update(row.state.rollout for row, _ in looks)
            if self._tell_drift(now):
                self._carry_out(now, report)
            report.waiting = len(rows) - len(looked_at)
            for rollout, source in heard:
                if rollout in looked_at:
                    continue
                decision = self.observed(rollout, source, now)
                if decision is not None and decision.move:
                    report.moved.append(rollout)
            self._count(report)
            return report

    def clock_stepped(self, step: timedelta, now: datetime) -> None:
        """The wall clock moved by `step` on its own. Back: what was planned by the old clock is
        due at once. Raises StoreError."""
        self.totals.clock_steps += 1
        words = f"{'back' if step < timedelta(0) else 'forward'} by {span(milliseconds(abs(step)))}"
        moved = 0
        if step < timedelta(0):
            moved = self._store.reschedule(now)
            self._retry_at.clear()
        self._alarms.tell(
            f"controller/{self.owner}/clock/{now.isoformat()}",
            Severity.HIGH,
            "clock",
            f"the clock went {words}",
            (f"looked at at once: {moved}",) if moved else (),
            now,
        )

    def say_goodbye(self, now: datetime) -> None:
        """The last heartbeat: stopped, and on purpose. Raises StoreError."""
        self._beat("stopped", now)

    def close(self) -> None:
        """Wait for what is under way."""
        self.dispatcher.close()
        self._read_back.close()
        if self._ahead is not None:
            self._ahead.close()

    def _due(self, now: datetime, report: TickReport) -> list[Rollout]:
        rows = self._store.claim_due(now, self.owner, self._lease)
        if self._retry_at:
            rows = [row for row in rows if not self._rests(row.state.rollout, now)]
        report.due = len(rows)
        return rows

    def _rests(self, rollout: str, now: datetime) -> bool:
        """Whether a broken rollout is left alone for the moment."""
        return now < self._retry_at.get(rollout, now)

    def _looks(self, rows: Iterable[Rollout], now: datetime) -> Iterator[list[Look]]:
        """Rollouts with quick sources first; those with slow ones are asked meanwhile, so that
        nobody's hard limit waits for another's database."""
        quick: list[Look] = []
        slow: list[Rollout] = []
        for row in rows:
            if self._ahead is not None and self._is_slow(row.state, now):
                self._ahead.ask(row.state, partial(self._plan_and_measure, row.state, now))
                slow.append(row)
            else:
                quick.append((row, None))
        yield quick
        if self._ahead is not None and slow:
            answers = self._ahead.answers(row.state for row in slow)
            yield [
                (row, answers[row.state.rollout]) for row in slow if row.state.rollout in answers
            ]

    def _is_slow(self, state: State, now: datetime) -> bool:
        if state.name in AT_REST:
            return False
        try:
            return self._connections.slow(state, now)
        except Exception:
            log.debug("%s: sources unknown, its look will say why", state.rollout, exc_info=True)
            return False

    def _measure(
        self, plan: Plan, state: State, now: datetime, needed: Sequence[TriggerPlan] | None = None
    ) -> dict[str, Measurement]:
        """What the plan reads; with `needed`, what these read and what is at hand. Sources that
        cannot even be opened are errors of the source, not of the rollout: it is decided on all
        the same. At rest nothing is read: only people are told."""
        if state.name in AT_REST:
            return {}
        try:
            sources = self._connections.sources(state, now)
        except Exception as error:
            log.warning("%s: sources not opened: %s", state.rollout, error, exc_info=True)
            broken = Measurement(status="error", detail=f"{type(error).__name__}: {error}")
            return dict.fromkeys(plan.references, broken)
        if needed is not None:
            return collect(plan, state, sources, now, among=at_hand(plan, sources, needed))
        return collect(plan, state, sources, now)

    def _plan_and_measure(self, state: State, now: datetime) -> dict[str, Measurement]:
        return self._measure(self._plans.plan(state.policy, now), state, now)

    def _decide_all(self, looks: Iterable[Look], now: datetime, report: TickReport) -> None:
        """Decide on each, then one transaction for all."""
        commits: list[Commit] = []
        renewed: set[str] = set()
        live: dict[str, Plan] = {}
        plan_of = self._plans.plan
        for row, asked in looks:
            state = row.state
            try:
                plan = plan_of(state.policy, now)
                found = self._measure(plan, state, now) if asked is None else asked.result()
                event = Tick(found)
                decision = decide(plan, state, event, now)
                due = next_due(plan, decision.state, now)
            except Exception as error:
                log.debug("%s", state.rollout, exc_info=True)
                report.failed[state.rollout] = self._broken(state, error, now)
                continue
            if isinstance(plan.calendar, Lapsed):
                self._tell_lapsed(state.rollout, plan.calendar, now)
            self._note_lateness(plan, row, now, report)
            if plan.renewed:
                renewed.add(state.rollout)
            if plan.live_targets:
                live[state.rollout] = plan
            commits.append(Commit(state, event, decision, due))
        for commit, accepted in zip(commits, self._commit(commits, now, report), strict=True):
            name = commit.before.rollout
            if not accepted:
                report.refused += name not in report.failed
                continue
            report.decided += 1
            if commit.decision.move:
                report.moved.append(name)
            if name in live:
                self._read_back.ask(live[name], commit.decision.state, now)
            if name in renewed:
                self._connections.renew(commit.decision.state, now)
            if commit.next_due is None:
                self._connections.release(name)
            if self._retry_at:
                self._retry_at.pop(name, None)

    def _commit(self, commits: list[Commit], now: datetime, report: TickReport) -> list[bool]:
        """All at once; if one of them cannot be written, each by itself."""
        try:
            return self._store.commit(commits)
        except ValueError:
            log.warning("one of %d decisions cannot be written: each by itself", len(commits))
        accepted = []
        for commit in commits:
            try:
                accepted += self._store.commit([commit])
            except ValueError as error:
                name = commit.before.rollout
                report.failed[name] = self._broken(commit.before, error, now)
                accepted.append(False)
        return accepted

    def _note_lateness(self, plan: Plan, row: Rollout, now: datetime, report: TickReport) -> None:
        if row.next_due is None:
            return
        behind = now - row.next_due
        if behind > self._late_after:
            report.late += 1
            report.missed += behind // plan.tick

    def _tell_drift(self, now: datetime) -> bool:
        """Targets that no longer serve what they had acknowledged: whether there are any. A
        rollout that cannot be told is looked at again. Raises StoreError."""
        found = self._read_back.found()
        for rollout, drift in found:
            log.warning("%s: %s: %s", rollout, drift.target, drift.detail)
            try:
                handle(self._store, self._plans.plan, rollout, drift, now)
            except StoreError:
                raise
            except Exception:
                log.exception("%s: what was read back cannot be decided on", rollout)
        return bool(found)

    def _carry_out(self, now: datetime, report: TickReport) -> None:
        done = self.dispatcher.dispatch(now)
        report.delivered += done.delivered
        report.undelivered += done.failed

    # Between ticks ------------------------------------------------------------------------

    def observed(self, rollout: str, source: str, now: datetime) -> Decision | None:
        """A source has taken something in. If that breaks a hard limit of the rollout, it is
        decided on at once (rule 9); otherwise nothing is written, the next look sees it. Raises
        StoreError; what else goes wrong is the rollout's trouble, not the caller's."""
        row = self._store.rollout(rollout)
        if row is None or self._rests(rollout, now):
            return None
        try:
            return self._observe(row.state, source, now)
        except StoreError:
            raise
        except Exception as error:
            log.debug("%s", rollout, exc_info=True)
            self._broken(row.state, error, now)
            return None

    def _observe(self, state: State, source: str, now: datetime) -> Decision | None:
        plan = self._plans.plan(state.policy, now)
        step = plan.step(state.name)
        if step is None:
            return None
        guards = [
            guard for guard in hard_limits(plan, step, source) if guard.name not in state.firing
        ]
        if not guards:
            return None
        measurements = self._measure(plan, state, now, guards)
        if all(guard.evaluate(measurements, now)[0] is not Outcome.PASS for guard in guards):
            return None
        event = Tick(measurements, scheduled=False)
        decision = handle(self._store, self._plans.plan, state.rollout, event, now)
        self.dispatcher.dispatch(now, state.rollout)
        return decision

    # What goes wrong ----------------------------------------------------------------------

    def _broken(self, state: State, error: Exception, now: datetime) -> str:
        """Nobody can decide on this rollout, so nobody guards it: people must know. Returns what
        is wrong, in words."""
        rollout, words = state.rollout, f"{type(error).__name__}: {error}"
        self._retry_at[rollout] = now + RETRY_BROKEN
        key = f"rollout/{rollout}/{state.seq}/undecided"
        title = f"{rollout} cannot be decided on and is not guarded"
        if self._alarms.tell(key, Severity.CRITICAL, "undecided", title, (words,), now):
            log.error("%s: %s", rollout, words, exc_info=error)
        return words

    def _tell_lapsed(self, rollout: str, calendar: Lapsed, now: datetime) -> None:
        """Once a day."""
        key = f"rollout/{rollout}/calendar/{now:%Y-%m-%d}"
        title = f"{rollout} does not advance and all time counts: its calendar is not known"
        self._alarms.tell(key, Severity.HIGH, "calendar", title, (calendar.why,), now)

    # What it says of itself ---------------------------------------------------------------

    def _count(self, report: TickReport) -> None:
        totals = self.totals
        totals.rounds += 1
        totals.decided += report.decided
        totals.late += report.late
        totals.missed += report.missed
        totals.failed += len(report.failed)
        if report.missed:
            log.warning("rollouts late: %d, looks missed: %d", report.late, report.missed)
        last, now = self._last_beat, report.at
        if report.due or last is None or not last <= now < last + BEAT_EVERY:
            self._beat("running", now)

    def _beat(self, state: Doing, now: datetime) -> None:
        words = note(state, asdict(self.totals), self._connections.refusals())
        self._store.beat(self.owner, now, words)
        self._last_beat = now


def hard_limits(plan: Plan, step: Step, source: str) -> list[TriggerPlan]:
    """Those guarding `step` that something new from `source` can break."""
    return [
        trigger
        for trigger in plan.guarding[step.name]
        if trigger.hard and source in _asked_by(plan, trigger)
    ]


def _asked_by(plan: Plan, trigger: TriggerPlan) -> set[str]:
    """The sources of what a trigger reads, but for silence, which nothing new can break."""
    read = [plan.metric(key) for key in trigger.references]
    return {metric.source for metric in read if metric is not None}


def at_hand(
    plan: Plan, sources: Mapping[str, Source], needed: Sequence[TriggerPlan]
) -> frozenset[str]:
    """Sources to ask between ticks: those that say at once, and those that the limits read. No
    hard limit waits for another's network."""
    names = {name for trigger in needed for name in _asked_by(plan, trigger)}
    names.update(name for name, source in sources.items() if isinstance(source, PushSource))
    return frozenset(names)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A round over many rollouts makes millions of objects, none of them in a cycle: looking for
    cycles among them takes a fifth of its time. What there is is found between rounds."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
