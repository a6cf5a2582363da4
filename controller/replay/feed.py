"""What a scenario's sources answer: its series, or its observations through the real windows."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from controller.core.measurement import BASELINE, Contrast, Measurement
from controller.core.plan import Plan
from controller.judge.growing import Dependence
from controller.policy.aggregation import parse_aggregation
from controller.policy.budgets import SHARED
from controller.replay.scenario import Flow, Scenario
from controller.sources import longest_window
from controller.sources.base import Request, Source, SourceError
from controller.sources.push import PushSource
from controller.store.base import ObservationBatch, Store


@dataclass(slots=True)
class Clock:
    """Scenario time, and the wall clock that the scenario shows: they part when it jumps."""

    start: datetime
    elapsed: timedelta = timedelta(0)
    shift: timedelta = timedelta(0)

    @property
    def now(self) -> datetime:
        """The wall clock."""
        return self.start + self.elapsed + self.shift


class Batches:
    """Observation batches in memory: what a push source needs of a store."""

    def __init__(self) -> None:
        self._kept: dict[str, list[ObservationBatch]] = {}

    def append_observations(
        self, source: str, received: datetime, lines: bytes, keys: Sequence[str] = ()
    ) -> ObservationBatch | None:
        """See `Store.append_observations`; scenarios give no keys."""
        del keys
        kept = self._kept.setdefault(source, [])
        batch = ObservationBatch(source, len(kept) + 1, received, lines, "", "", "")
        kept.append(batch)
        return batch

    def observations(self, source: str, after: int = 0) -> Iterator[ObservationBatch]:
        """See `Store.observations`."""
        return iter(self._kept.get(source, [])[after:])


@dataclass(slots=True)
class Feed:
    """The sources of one scenario. `outages` are until when, in scenario time, by source."""

    scenario: Scenario
    plan: Plan
    clock: Clock
    push: dict[str, PushSource] = field(default_factory=dict)
    outages: dict[str, timedelta] = field(default_factory=dict)
    last_heard: dict[str, datetime] = field(default_factory=dict)
    flowing: tuple[str, ...] = ()
    concurrent: bool = False
    """Whether several writers of a flow write at the same time, in threads (live runs)."""

    @classmethod
    def begin(
        cls,
        scenario: Scenario,
        plan: Plan,
        clock: Clock,
        store: Store | None,
        flowing: tuple[str, ...] = (),
    ) -> "Feed":
        """`store` keeps the observations; None: in memory. `flowing` are push sources besides
        those that the scenario's observations go to."""
        feed = cls(scenario, plan, clock, flowing=flowing)
        feed.open(store if store is not None else cast(Store, Batches()))
        return feed

    def open(self, store: Store) -> None:
        """Open the push sources on a store, as a start of the controller does."""
        flowing = {*self.flowing, *(flow.source for flow in self.scenario.flows)}
        self.push = {
            name: PushSource(
                name,
                store,
                f"{self.plan.rollout}/{name}",
                versions=self.plan.versions,
                reach=longest_window(self.plan, name),
                quality=self.plan.quality.get(name),
            )
            for name in sorted(flowing)
        }

    def sources(self) -> dict[str, Source]:
        """By name, as `collect` takes them."""
        return {name: FeedSource(self, name) for name in self.plan.sources}

    def out(self, source: str) -> bool:
        """Whether a source is out of reach now."""
        return self.clock.elapsed < self.outages.get(source, timedelta(0))

    def observe(self, flow: Flow) -> None:
        """One moment of a flow comes in, from each of its writers."""
        versions = {"candidate": self.plan.candidate.name, "baseline": self.plan.baseline.name}
        versions[SHARED] = SHARED
        base: dict[str, Any] = dict(flow.fields)
        if flow.version:
            base["version"] = versions[flow.version]
        late = not flow.version
        if not late:
            base["ts"] = self.clock.now.isoformat()
        if flow.key:
            base["key"] = f"{flow.key}-{self.clock.elapsed}" if flow.every is not None else flow.key
        source, now = self.push[flow.source], self.clock.now

        def write(number: int) -> None:
            identity = flow.identity
            if flow.every is not None and flow.version:
                told = identity or flow.key
                identity = f"{flow.version}-{self.clock.elapsed}-{number}-{told}"
            found = source.push([base | ({"id": identity} if identity else {})], now)
            if found.refused:
                raise SourceError(f"{self.scenario.name}: {source.last_error}")

        if not self.concurrent:
            for number in range(flow.writers):
                write(number)
            return
        with ThreadPoolExecutor(flow.writers) as pool:
            list(pool.map(write, range(flow.writers)))

    def covered(self, reference: str, expression: str) -> bool:
        """Whether a series answers for a reference, and not the observations: the scenario's own
        series always does, the file's unless observations carry the metric's field."""
        if reference in self.scenario.own_series:
            return True
        if reference not in self.scenario.series:
            return False
        side, _, metric = reference.partition(".")
        if side in self.plan.sources:
            return not any(flow.source == side for flow in self.scenario.flows)
        source = self.plan.metrics[metric].source
        flows = [f for f in self.scenario.flows if f.source == source and f.version == side]
        if not flows:
            return True
        fields = parse_aggregation(expression).fields
        return not any(name in flow.fields for flow in flows for name in fields)

    def baseline_before(self) -> dict[str, Measurement]:
        """What the baseline's series say at the beginning, for a scenario that begins in a step
        that compares with the frozen baseline."""
        return {
            key: series.measurement(timedelta(0), self.clock.now)
            for key, series in sorted(self.scenario.series.items())
            if key.startswith(f"{BASELINE}.")
        }


class FeedSource:
    """One source of the scenario, as the controller knows sources."""

    def __init__(self, feed: Feed, name: str) -> None:
        self._feed, self.name = feed, name

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        if self._feed.out(self.name):
            down = Measurement(status="error", detail=f"{self.name} is out of reach")
            return [down for _ in requests]
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Measurement:
        feed = self._feed
        reference = f"{request.subject}.{request.metric}"
        if feed.covered(reference, request.expression):
            return feed.scenario.series[reference].measurement(feed.clock.elapsed, request.now)
        push = feed.push.get(self.name)
        if push is None:
            return Measurement(status="no_data", detail="the scenario says nothing of it")
        return push.measure([request])[0]

    def contrast(
        self, candidate: Request, baseline: Request, dependence: Dependence
    ) -> Contrast | None:
        """See `Comparing.contrast`. Of series nothing is known but their means and variances."""
        push = self._observed(candidate, baseline)
        return push.contrast(candidate, baseline, dependence) if push is not None else None

    def shift(self, candidate: Request, baseline: Request) -> Measurement:
        """See `Comparing.shift`."""
        push = self._observed(candidate, baseline)
        if push is None:
            return Measurement(status="no_data", detail="ranks need observations of both versions")
        return push.shift(candidate, baseline)

    def split(self, versions: tuple[str, str], since: datetime, now: datetime) -> Measurement:
        """See `Comparing.split`."""
        push = self._feed.push.get(self.name)
        if self._feed.out(self.name):
            return Measurement(status="error", detail=f"{self.name} is out of reach")
        if push is None:
            return Measurement(status="no_data", detail="the scenario has no observations of it")
        return push.split(versions, since, now)

    def _observed(self, *requests: Request) -> PushSource | None:
        """The windows, where observations answer for all of the requests."""
        feed = self._feed
        covered = any(feed.covered(f"{r.subject}.{r.metric}", r.expression) for r in requests)
        return None if covered or feed.out(self.name) else feed.push.get(self.name)

    def last_received(self) -> datetime | None:
        """See `Source.last_received`. A series of `silent` says how long ago it was."""
        feed = self._feed
        series = feed.scenario.series.get(f"{self.name}.silent")
        if feed.out(self.name):
            return feed.last_heard.get(self.name)
        heard = feed.clock.now
        if series is not None:
            value, _ = series.value(feed.clock.elapsed)
            heard -= timedelta(seconds=value or 0.0)
        elif self.name in feed.push:
            return feed.push[self.name].last_received()
        feed.last_heard[self.name] = heard
        return heard

    def check(self) -> str:
        """See `Source.check`."""
        return "a scenario"

    def close(self) -> None:
        """Nothing is open."""
