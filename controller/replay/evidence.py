"""What was observed, as evidence for what the next rollout can show: how much work there is, how
much it varies, and what observations have in common. Measured with the judge's own sums."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from math import sqrt
from pathlib import Path
from typing import TypeVar

from controller.core.assess import span
from controller.core.calendar import EPOCH, Calendar
from controller.core.measurement import Contrast, Side
from controller.judge.growing import GrowingSet
from controller.judge.window import Observation
from controller.policy.aggregation import (
    COMPARABLE,
    RANKED,
    AggregationError,
    parse_aggregation,
)
from controller.policy.evidence import Evidence, Spread
from controller.policy.models import Metric, Policy
from controller.policy.source import PushSource
from controller.policy.units import metric_unit
from controller.replay.history import Observed, observed_rows
from controller.sources import stored_name
from controller.sources.observation import ObservationError, Part, parse, parse_line
from controller.sources.push import NOTE
from controller.store.base import Store

MEMORY = 100_000
"""Ids and keys that are remembered of a source; an older one that comes again counts twice."""
BATCHES = 10_000
"""Batches of a store that are looked at, the newest."""
MOST = 500_000
"""Observations of a store that are looked at."""
_Held = TypeVar("_Held")
CalendarAt = Callable[[datetime], Calendar]
"""The policy's calendar, with room around a moment."""


class NothingMeasured(Exception):
    """There is nothing to measure by; the message says why."""


def of_history(
    policy: Policy,
    path: Path,
    calendar: CalendarAt,
    progress: Callable[[int], None] = lambda _: None,
) -> Evidence:
    """From a file of observations, as `rollout replay` reads it; `progress` is told how many were
    taken. Raises HistoryError, NothingMeasured."""
    gauge = _Gauge.begin(policy)
    sources = [n for n, m in policy.sources.items() if isinstance(m, PushSource)]
    for count, row in enumerate(observed_rows(path, sources), 1):
        gauge.take(row.source, _part_of(row))
        if count % 1000 == 0:
            progress(count)
    return gauge.evidence(calendar, path.name)


def of_store(policy: Policy, store: Store, calendar: CalendarAt) -> Evidence:
    """From what a store has of the rollout's own sources. Raises StoreError, NothingMeasured."""
    gauge = _Gauge.begin(policy)
    for name, source in policy.sources.items():
        if isinstance(source, PushSource):
            for part in islice(_stored(store, stored_name(policy.rollout, name)), MOST):
                gauge.take(name, part)
    return gauge.evidence(calendar, "the store")


def _part_of(row: Observed) -> Part | None:
    try:
        return parse(row.fields, row.at)
    except ObservationError:
        return None


def _stored(store: Store, name: str) -> Iterator[Part | None]:
    """The newest, as far as they are looked at."""
    newest, _ = store.observation_head(name)
    for batch in store.observations(name, max(0, newest - BATCHES)):
        for line in batch.lines.splitlines():
            if line.startswith(NOTE):
                continue
            try:
                yield parse_line(line, batch.received)
            except ObservationError:
                yield None


# One pass -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Source:
    """What one source said: how many observations, of how many pieces of work, from when to
    when. An observation with the key of another is of the same piece."""

    first: datetime | None = None
    last: datetime | None = None
    observations: int = 0
    work: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    known: dict[str, Observation] = field(default_factory=dict)
    keys: dict[str, None] = field(default_factory=dict)

    def settled(self, part: Part) -> tuple[Observation, Observation | None] | None:
        """The part as an observation of the version that its first part named, and that first
        part; None where nobody knows the version."""
        known = self.known.get(part.id) if part.id is not None else None
        if known is not None:
            whole = Observation(known.version, known.at, part.fields, part.id, known.key)
            fields = {**part.fields, **known.fields}
            self.known[known.id or ""] = Observation(
                known.version, known.at, fields, known.id, known.key
            )
            return whole, known
        if part.version is None:
            return None
        whole = Observation(part.version, part.at, part.fields, part.id, part.key)
        if part.id is not None:
            _remember(self.known, part.id, whole)
        return whole, None

    def count(self, seen: Observation, known: Observation | None) -> None:
        """How much there is of what."""
        if known is None:
            self.observations += 1
            self.first = seen.at if self.first is None else min(self.first, seen.at)
            self.last = seen.at if self.last is None else max(self.last, seen.at)
            if seen.key is None or seen.key not in self.keys:
                self.work += 1
            if seen.key is not None:
                _remember(self.keys, seen.key, None)
        for name, value in seen.fields.items():
            if value is not None and (known is None or known.fields.get(name) is None):
                self.fields[name] = self.fields.get(name, 0) + 1

    def rate(self, open_seconds: float) -> float | None:
        """Pieces of work a second; None where they are too few to tell."""
        return (self.work - 1) / open_seconds if self.work > 1 and open_seconds > 0 else None


def _remember(held: dict[str, _Held], name: str, value: _Held) -> None:
    if len(held) >= MEMORY and name not in held:
        del held[next(iter(held))]
    held[name] = value


@dataclass(slots=True)
class _Compared:
    """One metric, summed up with its dependence; and `plain`, each observation by itself, which is
    another set only where the dependence is a bar."""

    metric: Metric
    dependent: GrowingSet
    plain: GrowingSet

    def add(self, seen: Observation, known: Observation | None) -> None:
        """One observation, or a further part of `known`."""
        self.dependent.add(seen, known)
        if self.plain is not self.dependent:
            self.plain.add(seen, known)

    def spread(self, now: datetime) -> Spread | None:
        """Of the candidate, or of the baseline where it has not been seen."""
        factor = metric_unit(self.metric).factor
        plain = self.plain.contrast(now, factor)
        candidate, baseline = plain.candidate or plain.baseline, plain.baseline
        if candidate is None or not candidate.variance > 0:
            return None
        dependent = self.dependent.contrast(now, factor)
        if isinstance(self.metric.dependence, timedelta):
            worth = _worth_of_bars(plain, dependent)
        else:
            side = dependent.candidate or dependent.baseline
            worth = _worth(side) if side is not None else 1.0
        correlation, pair_worth = _of_pairs(dependent)
        return Spread(
            sqrt(candidate.variance),
            "measured",
            baseline_sd=sqrt(baseline.variance) if baseline is not None else None,
            mean=baseline.mean if baseline is not None else candidate.mean,
            correlation=correlation,
            worth=worth,
            pair_worth=pair_worth,
        )


def _worth(side: Side) -> float:
    return min(1.0, side.variance / (side.error * side.samples)) if side.error > 0 else 1.0


def _worth_of_bars(plain: Contrast, bars: Contrast) -> float:
    """The error of means of independent observations over that by bar: above 1 where what both
    versions share drops out."""
    if bars.pairs is not None and plain.candidate is not None and plain.baseline is not None:
        first, second, together = bars.pairs.error
        return (plain.candidate.error + plain.baseline.error) / (first + second - 2 * together)
    for one, other in ((plain.candidate, bars.candidate), (plain.baseline, bars.baseline)):
        if one is not None and other is not None and other.error > 0:
            return one.error / other.error
    return 1.0


def _of_pairs(contrast: Contrast) -> tuple[float | None, float]:
    pairs = contrast.pairs
    if pairs is None or pairs.unit != "pairs":
        return None, 1.0
    first, second, together = pairs.variance
    variance = first + second - 2 * together
    error = pairs.error[0] + pairs.error[1] - 2 * pairs.error[2]
    correlation = together / sqrt(first * second) if first > 0 and second > 0 else 0.0
    return correlation, min(1.0, variance / (error * pairs.count)) if error > 0 else 1.0


@dataclass(slots=True)
class _Gauge:
    """Takes in observations, and says what they are evidence of."""

    policy: Policy
    sources: dict[str, _Source]
    compared: dict[str, _Compared]

    @classmethod
    def begin(cls, policy: Policy) -> "_Gauge":
        """Nothing measured yet."""
        names = [n for n, m in policy.sources.items() if isinstance(m, PushSource)]
        if not names:
            raise NothingMeasured("the policy has no push source, and others keep no observations")
        compared = {
            name: _begun(metric, policy, expression)
            for name, metric in policy.metrics.items()
            if metric.source in names and (expression := _spreading(metric)) is not None
        }
        return cls(policy, {name: _Source() for name in names}, compared)

    def take(self, source: str, part: Part | None) -> None:
        """One observation, or a further part of one; None for one that cannot be read."""
        found = self.sources.get(source)
        settled = found.settled(part) if found is not None and part is not None else None
        if found is None or settled is None:
            return
        seen, known = settled
        if seen.version not in (self.policy.candidate.version, self.policy.baseline.version):
            return
        found.count(seen, known)
        for compared in self.compared.values():
            if compared.metric.source == source:
                compared.add(seen, known)

    def evidence(self, calendar: CalendarAt, told: str) -> Evidence:
        """All of it. Raises NothingMeasured."""
        rates: dict[str, float] = {}
        words: list[str] = []
        last: datetime | None = None
        for name, source in self.sources.items():
            if source.first is None or source.last is None:
                continue
            seconds = _open_seconds(calendar, source.first, source.last)
            rate = source.rate(seconds)
            last = source.last if last is None else max(last, source.last)
            if rate is None:
                continue
            rates[f"source:{name}"] = rate
            words.append(_told(name, source, seconds))
            for metric_name, metric in self.policy.metrics.items():
                if metric.source == name:
                    part = _part_with_field(source, metric)
                    rates[f"metric:{metric_name}"] = rate * part
        if last is None or not rates:
            versions = f"{self.policy.candidate.version} or {self.policy.baseline.version}"
            raise NothingMeasured(f"{told} has no two observations of {versions}")
        spreads = {
            name: spread
            for name, compared in self.compared.items()
            if (spread := compared.spread(last)) is not None
        }
        traffic = max(rate for key, rate in rates.items() if key.startswith("source:"))
        return Evidence(traffic, None, spreads, rates, f"{told}: {'; '.join(words)}")


def _begun(metric: Metric, policy: Policy, expression: str) -> _Compared:
    versions = (policy.candidate.version, policy.baseline.version)
    dependent = GrowingSet(versions, expression, EPOCH, metric.dependence or "hac")
    plain = dependent
    if isinstance(metric.dependence, timedelta):
        plain = GrowingSet(versions, expression, EPOCH, "independent")
    return _Compared(metric, dependent, plain)


def _spreading(metric: Metric) -> str | None:
    """The aggregation whose observations tell how much they vary; None where none does."""
    try:
        found = parse_aggregation(metric.value or "")
    except AggregationError:
        return None
    if found.name in COMPARABLE:
        return metric.value
    return f"mean({found.field})" if found.name in RANKED else None


def _part_with_field(source: _Source, metric: Metric) -> float:
    """The share of observations that have the metric's field: 0 to 1."""
    try:
        name = parse_aggregation(metric.value or "").field
    except AggregationError:
        return 1.0
    return 1.0 if name is None else source.fields.get(name, 0) / source.observations


def _open_seconds(calendar: CalendarAt, first: datetime, last: datetime) -> float:
    """Open time from the first to the last observation."""
    calendar(first)
    try:
        return calendar(last).open_ms(first, last) / 1000
    except ValueError as error:
        raise NothingMeasured(str(error)) from None


def _told(name: str, source: _Source, seconds: float) -> str:
    """`signals 4,012/h, 12,036 observations in 3h`."""
    rate = 3600 * (source.rate(seconds) or 0.0)
    words = f"{name} {rate:,.6g}/h, {source.observations:,} observations"
    if source.work < source.observations:
        words += f" of {source.work:,} keys"
    return f"{words} in {span(round(seconds) * 1000)} of open time"
