"""The pure runner: a scenario on the core alone, with a virtual clock.

At one moment first what happens, then what is observed, then the tick. An effect is acknowledged
at once, unless its target is out of reach; then it is tried again at the ticks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from heapq import merge
from random import Random
from typing import cast

import msgspec

from controller.core import handover
from controller.core.back import is_settled
from controller.core.calendar import EPOCH
from controller.core.clocks import next_due
from controller.core.compiler import compile_plan
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.effect import Activate, Alert, Effect, HandOver, Notify, Phase, SetShare
from controller.core.event import Acknowledgement, Command, CommandName, Drift, Event, Tick
from controller.core.measurement import Outcome
from controller.core.parameters import standing
from controller.core.plan import Plan
from controller.core.share import NONE
from controller.core.state import State
from controller.policy.load import LoadedPolicy
from controller.replay.feed import Clock, Feed
from controller.replay.scenario import COMMANDS, Flow, Happening, Scenario
from controller.replay.timeline import Happened, Timeline
from controller.run.calendars import Calendars
from controller.run.collect import collect
from controller.run.controller import hard_limits
from controller.run.dispatch import REPLACES, wait_after
from controller.run.unit import due_after

MARGIN = 1
"""Ticks run beyond the last moment that a scenario speaks of."""
BEFORE = 10_000
"""Ticks ago that a rollout which begins in the middle was started."""

_calendars = Calendars()


@dataclass(slots=True)
class _Waiting:
    """An effect that its target has not taken."""

    effect: Effect
    attempts: int
    not_before: datetime


@dataclass(slots=True)
class Run:
    """One pure run."""

    scenario: Scenario
    plan: Plan
    clock: Clock
    feed: Feed
    state: State
    timeline: Timeline
    random: Random = field(default_factory=lambda: Random(0))
    due: datetime | None = None
    waiting: list[_Waiting] = field(default_factory=list)
    failing: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """By target: the key of what it did not take, and when that is tried again."""
    targets_out: dict[str, timedelta] = field(default_factory=dict)
    crash_at: timedelta | None = None
    down_until: timedelta = timedelta(0)

    @classmethod
    def begin(cls, scenario: Scenario, plan: Plan, clock: Clock, feed: Feed) -> "Run":
        """At the scenario's start."""
        state = initial_state(scenario, plan, feed)
        run = cls(scenario, plan, clock, feed, state, Timeline(state))
        run.due = next_due(plan, state, clock.now)
        return run


def plan_of(scenario: Scenario, loaded: LoadedPolicy) -> Plan:
    """The plan of a scenario's policy, which must be clean, with its calendar."""
    policy = loaded.policy
    assert policy is not None, "a scenario's policy is checked when it is loaded"
    calendar = _calendars.span(policy.schedule.calendar, scenario.start).calendar
    return compile_plan(policy, loaded.gates, loaded.guards, loaded.digest, calendar)


def resolution(scenario: Scenario, plan: Plan) -> timedelta:
    """How often a round of the controller looks for what is due: the longest interval whose
    multiples since 1970 meet the start and every tick after it."""
    interval = plan.tick
    rest = (scenario.start - EPOCH) % interval
    while rest:
        interval, rest = rest, interval % rest
    return interval


def initial_state(scenario: Scenario, plan: Plan, feed: Feed) -> State:
    """Not started, or standing in the step that the scenario begins in, share acknowledged."""
    fresh = State(rollout=plan.rollout, policy=plan.digest)
    step = plan.step(scenario.begin) if scenario.begin else None
    if step is None:
        return fresh
    start = scenario.start
    return State(
        rollout=plan.rollout,
        policy=plan.digest,
        name=step.name,
        epoch=1,
        share=step.share,
        at=start,
        started_at=start - BEFORE * plan.tick,
        entered_at=start,
        step_since=start,
        parameters=standing(plan, step),
        handover=handover.standing(plan, step),
        frozen=feed.baseline_before() if step.frozen_baseline else {},
    )


def things(scenario: Scenario) -> Iterator[tuple[timedelta, int, Happening | Flow]]:
    """Everything that comes from outside, in order of time: happenings before observations."""
    happenings = [(event.at, 0, event) for event in scenario.events]
    if not scenario.begin and not any(event.what == "start" for event in scenario.events):
        happenings.insert(0, (timedelta(0), 0, Happening(timedelta(0), "start")))
    streams: list[Iterator[tuple[timedelta, int, Happening | Flow]]] = [
        _moments(flow) for flow in scenario.flows
    ]
    return merge(iter(happenings), *streams, key=lambda thing: thing[:2])


def _moments(flow: Flow) -> Iterator[tuple[timedelta, int, Happening | Flow]]:
    at = flow.first
    while at <= flow.last:
        yield at, 1, flow
        if flow.every is None:
            return
        at += flow.every


def run_pure(scenario: Scenario, loaded: LoadedPolicy | None = None) -> Timeline:
    """Run `scenario` to its end. Raises ValueError for a state its policy does not have."""
    plan = plan_of(scenario, loaded or scenario.load())
    clock = Clock(scenario.start)
    feed = Feed.begin(scenario, plan, clock, None)
    run = Run.begin(scenario, plan, clock, feed)
    end = scenario.until + MARGIN * plan.tick
    for at, _, thing in things(scenario):
        if at > end:
            break
        tick_until(run, at, inclusive=False)
        clock.elapsed = max(clock.elapsed, at)
        take(run, thing)
    tick_until(run, end, inclusive=True)
    run.timeline.activated.update(_activated(run.timeline))
    return run.timeline


def _activated(timeline: Timeline) -> dict[str, str]:
    """By configuration target, the version last made effective."""
    return {
        effect.target: effect.version
        for one in timeline.happened
        for effect in one.decision.effects
        if isinstance(effect, Activate)
    }


def tick_until(run: Run, until: timedelta, *, inclusive: bool) -> None:
    """Every tick that is due before `until` (or at it)."""
    while (at := _next_round(run)) is not None and (at < until or (inclusive and at == until)):
        run.clock.elapsed = at
        now = run.clock.now
        crashes = run.crash_at is not None and at >= run.crash_at
        if not crashes:
            _deliver_waiting(run)
            if _next_round(run) is None:
                return
        found = collect(run.plan, run.state, run.feed.sources(), now)
        looked = settle(run, Tick(found), deliver=False).state
        if not crashes:
            _deliver_waiting(run)
            _read_back(run, looked)
        if crashes:
            run.crash_at = None
            _restart(run)
            continue
        _deliver_waiting(run)


def _read_back(run: Run, looked: State) -> None:
    """Live targets are looked at after a tick; one that is out of reach shows no share."""
    if not is_settled(run.plan, looked):
        return
    for target in run.plan.live_targets:
        if run.clock.elapsed < run.targets_out.get(target, timedelta(0)):
            settle(run, Drift(target, looked.share, looked.epoch, f"{target} is out of reach"))


def _next_round(run: Run) -> timedelta | None:
    """When the next round that finds it due begins; None when nothing is due any more."""
    if run.due is None:
        return None
    grid = resolution(run.scenario, run.plan)
    round_at = EPOCH + -((EPOCH - run.due) // grid) * grid
    at = max(round_at - run.clock.start - run.clock.shift, run.clock.elapsed)
    return max(at, run.down_until)


def take(run: Run, thing: Happening | Flow) -> None:
    """Something from outside happens now."""
    if isinstance(thing, Flow):
        if run.clock.elapsed >= run.down_until:
            run.feed.observe(thing)
            _look_between(run, thing.source)
        return
    match thing.what:
        case "crash" if thing.before_delivery:
            run.crash_at = thing.at
            run.down_until = thing.at
            run.targets_out["*"] = thing.span
        case "crash":
            run.down_until = thing.at + thing.span
            _restart(run)
        case "clock":
            run.clock.shift += thing.span
            if thing.span < timedelta(0) and run.due is not None:
                run.due = run.clock.now
        case "source":
            run.feed.outages[thing.name] = thing.at + thing.span
        case "target":
            run.targets_out[thing.name] = thing.at + thing.span
        case _:
            assert thing.what in COMMANDS, thing.what
            settle(run, as_command(thing, run.clock.now))


def as_command(thing: Happening, now: datetime) -> Command:
    """A person's act, as a scenario has it."""
    name = cast(CommandName, thing.what)
    until = now + thing.span if thing.span else None
    return Command(name, thing.by, thing.reason, alert=thing.name, until=until)


def _restart(run: Run) -> None:
    """Nothing survives but what was durable: the state as the store has it, the observations,
    and the effects that were not delivered."""
    run.state = msgspec.json.decode(msgspec.json.encode(run.state), type=State)
    down = run.targets_out.pop("*", None)
    if down is not None:
        run.down_until = run.clock.elapsed + down


def _look_between(run: Run, source: str) -> None:
    """An observation that breaks a hard limit decides at once (rule 9)."""
    step = run.plan.step(run.state.name)
    if step is None:
        return
    guards = [
        guard for guard in hard_limits(run.plan, step, source) if guard.name not in run.state.firing
    ]
    if not guards:
        return
    now = run.clock.now
    found = collect(run.plan, run.state, run.feed.sources(), now)
    if any(guard.evaluate(found, now)[0] is Outcome.PASS for guard in guards):
        settle(run, Tick(found, scheduled=False))


def settle(run: Run, event: Event, *, deliver: bool = True) -> Decision:
    """Decide now on `event`; what it asks of the world is delivered and acknowledged."""
    now = run.clock.now
    before = run.state
    decision = decide(run.plan, before, event, now)
    run.timeline.happened.append(Happened(run.clock.elapsed, event, before, decision))
    run.state = decision.state
    run.due = due_after(run.plan, before, run.due, event, decision)
    for effect in decision.effects:
        if isinstance(effect, Alert):
            continue
        if isinstance(effect, SetShare):
            run.waiting = [w for w in run.waiting if not _superseded(w.effect, effect)]
        run.waiting.append(_Waiting(effect, 0, now))
    if deliver:
        _deliver_waiting(run)
    return decision


def _superseded(older: Effect, newer: SetShare) -> bool:
    return isinstance(older, SetShare) and older.target == newer.target


def _urgency(run: Run, waiting: _Waiting) -> tuple[int, bool]:
    """Messages come last, and of those the channels that have failed."""
    effect = waiting.effect
    reads = not isinstance(effect, REPLACES)
    if isinstance(effect, SetShare):
        return (0 if effect.share == NONE else 1), reads
    if isinstance(effect, HandOver) and effect.phase is Phase.BACK:
        return 0, reads
    if not isinstance(effect, Notify):
        return 2, reads
    failing = any(w.attempts and _target(w.effect) == effect.target for w in run.waiting)
    return (4 if failing else 3), reads


def _target(effect: Effect) -> str:
    return effect.target if isinstance(effect, Notify) else ""


def _deliver_waiting(run: Run) -> None:
    """Each effect that may be tried now, in the order of `run.dispatch`: the way to the baseline
    first, what is written to a target before what is read back from it."""
    now = run.clock.now
    for waiting in sorted(run.waiting, key=partial(_urgency, run)):
        if waiting not in run.waiting or (waiting.attempts and waiting.not_before > now):
            continue
        assert not isinstance(waiting.effect, Alert)
        key, target = waiting.effect.key, waiting.effect.target
        trouble = _trouble(run, waiting, target) if run.state.awaits(key) else ""
        if trouble:
            waiting.attempts += 1
            if waiting.attempts == 1:
                settle(run, Acknowledgement(key, ok=False, detail=trouble), deliver=False)
            continue
        run.waiting.remove(waiting)
        if not isinstance(waiting.effect, Notify):
            run.failing.pop(target, None)
        if run.state.awaits(key):
            settle(run, Acknowledgement(key, ok=True, detail="read back"))


def _trouble(run: Run, waiting: _Waiting, target: str) -> str:
    """Why the target does not take it now, and so when it is tried again; empty if it does."""
    now, effect = run.clock.now, waiting.effect
    alone = isinstance(effect, Notify)  # a message waits for no other
    failing, until = run.failing.get(target, ("", now)) if not alone else ("", now)
    if until > now and failing != effect.key and not isinstance(effect, REPLACES):
        waiting.not_before = until
        return f"waits for {failing}"
    if run.clock.elapsed < run.targets_out.get(target, timedelta(0)):
        waiting.not_before = now + wait_after(waiting.attempts, run.random)
        if not alone:
            run.failing[target] = (effect.key, waiting.not_before)
        return f"{target} is out of reach"
    return ""
