"""The same scenario through the real thing: APScheduler stepped in frozen time, the controller,
the store on disk, files as targets. Only the sources are told instead of asked."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

from freezegun import freeze_time

from controller.core.clocks import next_due
from controller.core.effect import Alert, Effect, Notify, SetShare
from controller.core.plan import Plan
from controller.core.state import State
from controller.effects import open_alert_log, origin_of
from controller.effects.base import EffectError, Target
from controller.effects.file import Origin, ShareFile
from controller.policy.load import LoadedPolicy, load_text
from controller.policy.publisher import ConfigPublisher
from controller.replay.attended import attended
from controller.replay.expect import as_claimed
from controller.replay.feed import Clock, Feed
from controller.replay.runner import MARGIN, as_command, initial_state, plan_of, resolution, things
from controller.replay.scenario import Flow, Happening, Scenario
from controller.replay.stepped import MovableClock, SteppedScheduler
from controller.replay.timeline import Happened, Timeline
from controller.run.alarms import Alarms
from controller.run.commands import submit_command
from controller.run.connections import Opened
from controller.run.controller import Controller
from controller.run.plans import Plans
from controller.run.scheduler import TickScheduler
from controller.sources.base import Source
from controller.store import open_store
from controller.store.base import Commit, Store

INSTANT = timedelta(microseconds=1)
OWNER = "scenario"
MEMORY = Path("/dev/shm")
"""Where there is a file system in memory, a run's store is there: it has nothing to outlive."""


class _Crash(BaseException):
    """The process dies here."""


class _Witness:
    """The store, and a note of every decision that it took."""

    def __init__(self, store: Store, run: "_LiveRun") -> None:
        self._store, self._run = store, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, commits: Sequence[Commit]) -> list[bool]:
        """See `Store.commit`."""
        accepted = self._store.commit(commits)
        at = self._run.clock.elapsed
        for commit, took in zip(commits, accepted, strict=True):
            if took:
                one = Happened(at, commit.event, commit.before, commit.decision)
                self._run.timeline.happened.append(one)
        return accepted


class _Heard:
    """A channel of a scenario, which disturbs nobody."""

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        del effect
        return "told"


class _Connections(Opened):
    """The scenario's sources, and the policy's own targets unless they are out of reach."""

    def __init__(self, run: "_LiveRun", store: Store, plans: Plans) -> None:
        super().__init__(store, plans, run.folder / "state")
        self._run = run

    def sources(self, state: State, now: datetime) -> Mapping[str, Source]:
        """See `Opened.sources`."""
        del state, now
        return self._run.feed.sources()

    def slow(self, state: State, now: datetime) -> bool:
        """See `Opened.slow`."""
        del state, now
        return False

    def _opened_targets(self, state: State, now: datetime) -> dict[str, Target]:
        """A scenario touches no balancer: files stand in for what is live."""
        targets = super()._opened_targets(state, now)
        policy = self._run.loaded.policy
        assert policy is not None
        origin = origin_of(policy, self._store.identity)
        for name in self._run.plan.live_targets:
            if not isinstance(targets[name], ShareFile):
                targets[name] = self._stand_in(name, origin)
        return targets

    def _stand_in(self, name: str, origin: Origin) -> ShareFile:
        """A file that holds what the scenario begins with."""
        target = ShareFile(self._run.folder / "live" / name, origin)
        begin = self._run.timeline.initial
        step = self._run.plan.step(begin.name)
        if step is not None and target.read() is None:
            target.deliver(SetShare("", name, begin.share, step.mirror, begin.epoch, begin.seq))
        return target

    def target(self, state: State, effect: Effect, now: datetime) -> Target:
        """See `Opened.target`."""
        run = self._run
        if run.crash_at is not None and run.clock.elapsed >= run.crash_at:
            raise _Crash
        if not isinstance(effect, Alert):
            until = run.targets_out.get(effect.target, timedelta(0))
            if run.clock.elapsed < until:
                raise EffectError(f"{effect.target} is out of reach")
        if isinstance(effect, Notify):
            return _Heard()
        return attended(super().target(state, effect, now), _plain_now)


class _LiveRun:
    """One live run in `folder`."""

    def __init__(self, scenario: Scenario, loaded: LoadedPolicy, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.loaded = _settled(scenario, loaded, folder / "policy")
        self.plan: Plan = plan_of(scenario, self.loaded)
        self.clock = Clock(scenario.start)
        self.crash_at: timedelta | None = None
        self.down_for = timedelta(0)
        self.down_until: timedelta | None = None
        self.targets_out: dict[str, timedelta] = {}
        self._random = Random(0)
        self._open_store()
        self.feed = Feed.begin(scenario, self.plan, self.clock, self.store)
        self.feed.concurrent = True
        initial = initial_state(scenario, self.plan, self.feed)
        self.timeline = Timeline(initial)
        plans = Plans(self.store, {})
        plans.save(self.loaded, scenario.start)
        due = next_due(self.plan, initial, scenario.start)
        self.store.create(initial, str(self.loaded.path), due)
        self._begin()

    def _open_store(self) -> None:
        self._database = open_store(str(self.folder / "state" / "rollout.db"))
        self.store = cast(Store, _Witness(self._database, self))

    def _begin(self) -> None:
        """A start of the controller."""
        self.plans = Plans(self.store, {})
        connections = _Connections(self, self.store, self.plans)
        alarms = Alarms(open_alert_log(self.folder / "state"))
        self.controller = Controller(
            self.store, self.plans, connections, alarms, OWNER, random=self._random
        )
        self.stepped = SteppedScheduler()
        self.ticks = TickScheduler(
            self.round, resolution(self.scenario, self.plan), scheduler=self.stepped,
            on_overlap=_never, on_error=self._failed, on_clock_step=_never_stepped,
        )  # fmt: skip
        self.errors: list[BaseException] = []
        self.ticks.start(watch=False)

    def _failed(self, error: BaseException) -> None:
        self.errors.append(error)

    def round(self) -> None:
        """One round of the controller at the frozen time."""
        now = _plain_now()
        self.clock.elapsed = now - self.clock.start - self.clock.shift
        self.controller.tick(now)

    def advance(self, frozen: MovableClock, to: timedelta) -> None:
        """Run every round until the scenario time `to`, that moment included."""
        while True:
            if self.down_until is not None:
                if self.down_until > to:
                    frozen.move_to(self._wall(to))
                    return
                self._restart(frozen)
            self._run_rounds(frozen, to)
            if self.down_until is None:
                return

    def _run_rounds(self, frozen: MovableClock, to: timedelta) -> None:
        target = self._wall(to)
        while (due := self.stepped.next_wakeup()) is not None and due <= target:
            self.stepped.advance_to(frozen, max(due, _plain_now()))
            crashed = [error for error in self.errors if isinstance(error, _Crash)]
            if crashed:
                self._die(self.down_for)
                self.crash_at = None
                return
            if self.errors:
                raise self.errors[0]
        if target > _plain_now():
            frozen.move_to(target)

    def _wall(self, at: timedelta) -> datetime:
        return self.clock.start + self.clock.shift + at

    def _die(self, down: timedelta) -> None:
        """Nothing is finished or written; what the disk has is all there is."""
        self.down_until = self.clock.elapsed + down
        self.stepped.shutdown()
        self._database.close()

    def _restart(self, frozen: MovableClock) -> None:
        assert self.down_until is not None
        self.clock.elapsed, self.down_until = self.down_until, None
        frozen.move_to(self._wall(self.clock.elapsed))
        self._open_store()
        self.feed.open(self.store)
        self._begin()
        self.ticks.wake()

    def take(self, frozen: MovableClock, at: timedelta, thing: Happening | Flow) -> None:
        """Something from outside happens at `at`."""
        self.advance(frozen, at - INSTANT)
        self.clock.elapsed = at
        frozen.move_to(self._wall(at))
        now = _plain_now()
        if isinstance(thing, Flow):
            if self.down_until is None:
                self.feed.observe(thing)
                self.controller.observed(self.plan.rollout, thing.source, now)
            return
        match thing.what:
            case "crash" if thing.before_delivery:
                self.crash_at, self.down_for = at, thing.span
            case "crash":
                self._die(thing.span)
            case "clock":
                self.clock.shift += thing.span
                frozen.move_to(self._wall(at))
                self.controller.clock_stepped(thing.span, _plain_now())
                self.ticks.wake()
            case "source":
                self.feed.outages[thing.name] = at + thing.span
            case "target":
                self.targets_out[thing.name] = at + thing.span
            case _:
                command = as_command(thing, now)
                dispatcher = self.controller.dispatcher
                submit_command(self.store, self.plans, dispatcher, self.plan.rollout, command, now)

    def finish(self) -> Timeline:
        """What came of it."""
        if self.down_until is None:
            self.controller.close()
            self.stepped.shutdown()
            self._database.close()
        policy = self.loaded.policy
        assert policy is not None
        for name, target in policy.publish.items():
            if not isinstance(target, ConfigPublisher):
                continue
            path = self.loaded.path.parent / target.path
            if path.exists():
                self.timeline.files[name] = path.read_bytes()
        return self.timeline


def run_live(scenario: Scenario, loaded: LoadedPolicy | None = None) -> Timeline:
    """Run `scenario` to its end under frozen time. Raises what a round raises."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
        freeze_time(scenario.start) as frozen,
    ):
        run = _LiveRun(scenario, loaded or scenario.load(), Path(folder))
        end = scenario.until + MARGIN * run.plan.tick
        for at, _, thing in things(scenario):
            if at > end:
                break
            run.take(frozen, at, thing)
        run.advance(frozen, end)
        return run.finish()


def _settled(scenario: Scenario, loaded: LoadedPolicy, folder: Path) -> LoadedPolicy:
    """The policy and its configuration files in a folder of their own: what it publishes to
    relative paths stays there."""
    folder.mkdir(parents=True)
    policy = loaded.policy
    assert policy is not None
    for version in (policy.baseline, policy.candidate):
        if version.config is not None:
            target = folder / version.config
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(scenario.policy_path.parent / version.config, target)
    path = folder / scenario.policy_path.name
    path.write_text(scenario.policy_text, encoding="utf-8")
    return load_text(scenario.policy_text, path, {})


def _plain_now() -> datetime:
    """The frozen time as a plain datetime, which is what the store and the core are used to."""
    now = datetime.now(UTC)
    return datetime.fromisoformat(now.isoformat())


def _never() -> None:
    """Nothing overlaps where every round is waited for."""


def _never_stepped(step: timedelta) -> None:
    """The scenario itself tells the controller of a clock that jumps."""
    del step


def first_difference(pure: Timeline, live: Timeline) -> tuple[timedelta, str] | None:
    """Where two runs of a scenario part; None where they decide the same."""
    for one, other in zip(pure.happened, live.happened, strict=False):
        a, b = _gist(one), _gist(other)
        if a != b:
            return one.at, f"alone the core decides {a}, through scheduler and store {b}"
    if len(pure.happened) != len(live.happened):
        counts = f"{len(pure.happened)} decisions alone, {len(live.happened)} live"
        last = min(pure.happened, live.happened, key=len)
        return (last[-1].at if last else timedelta(0)), counts
    return None


def _gist(one: Happened) -> tuple[Any, ...]:
    """What must be the same: all but keys, and the words that a target answered."""
    decision = one.decision
    words = () if decision.move == "acknowledge" else decision.reasons
    state = decision.state
    return (
        one.at, type(one.event).__name__, state.name, state.share, state.epoch, state.seq,
        state.dwell_ms, state.waited_ms, state.counters, state.firing, decision.move, words,
        decision.refused, tuple(as_claimed(effect) for effect in decision.effects),
    )  # fmt: skip
