"""The measurements that a plan reads, at one moment: one request per metric and version, asked
source by source, then how long each source has been silent, then the comparisons.

A source that fails is an error of its own measurements and of nothing else (rule 2).
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Protocol, runtime_checkable

from msgspec.structs import replace

from controller.core.measurement import (
    BASELINE,
    CANDIDATE,
    DIFFERENCE,
    Measurement,
    reference,
)
from controller.core.plan import MetricPlan, Plan
from controller.core.state import State
from controller.judge.bars import bars_of, start_of_last
from controller.judge.compare import Pairs, difference
from controller.policy.models import BarCount
from controller.sources.base import Request, Source

log = logging.getLogger(__name__)

SILENT = "silent"
KEPT = 50_000
"""Plans whose requests are kept prepared."""

NOT_FROZEN = Measurement(
    status="no_data", detail="the baseline was not measured before it lost its traffic"
)


@runtime_checkable
class Pairing(Protocol):
    """A source that can tell which observations of both versions belong together."""

    def pairs(self, candidate: Request, baseline: Request) -> Pairs | None:
        """Differences of the pairs; None if too few pair up."""
        ...


@dataclass(frozen=True, slots=True)
class _Ask:
    """One measurement wanted, all but its times."""

    key: str
    subject: str
    metric: MetricPlan
    version: str
    other: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a plan wants, by source. `live` is for a step whose baseline is frozen."""

    asks: tuple[tuple[str, tuple[_Ask, ...]], ...]
    live: tuple[tuple[str, tuple[_Ask, ...]], ...]
    baseline: tuple[str, ...]
    silent: tuple[tuple[str, str], ...]
    compared: tuple[MetricPlan, ...]


_layouts: dict[str, _Layout] = {}


def collect(
    plan: Plan,
    state: State,
    sources: Mapping[str, Source],
    now: datetime,
    pool: Executor | None = None,
) -> dict[str, Measurement]:
    """Every reference of `plan` at `now`, by key. `sources` by name. With a `pool` the sources
    are asked at the same time; never call it from a thread of that pool. Does not raise for
    what a source or the calendar does: that is a measurement with status `error`."""
    layout = _layouts.get(plan.digest) or _prepare(plan)
    step = plan.step(state.name)
    frozen = step is not None and step.frozen_baseline
    groups = layout.live if frozen else layout.asks
    found: dict[str, Measurement] = {}
    if pool is None or len(groups) < 2:
        for name, asks in groups:
            found.update(_ask(plan, state, sources, name, asks, now))
    else:
        asked = [pool.submit(_ask, plan, state, sources, name, asks, now) for name, asks in groups]
        for answer in asked:
            found.update(answer.result())
    if frozen:
        for key in layout.baseline:
            found[key] = from_before(state.frozen.get(key))
    for key, name in layout.silent:
        found[key] = _silence(plan, state, sources, name, now)
    for metric in layout.compared:
        found[reference(DIFFERENCE, metric.name)] = _compare(
            plan, state, sources, metric, found, now, frozen=frozen
        )
    return found


def _prepare(plan: Plan) -> _Layout:
    if len(_layouts) >= KEPT:
        _layouts.clear()
    layout = _layouts[plan.digest] = _layout(plan)
    return layout


def _layout(plan: Plan) -> _Layout:
    """Sorted, so that the same plan asks in the same order."""
    wanted = set(plan.references)
    wanted.update(reference(side, name) for name in plan.compared for side in (CANDIDATE, BASELINE))
    versions = {CANDIDATE: plan.candidate.name, BASELINE: plan.baseline.name}
    asks, silent = [], []
    for key in sorted(wanted):
        subject, _, name = key.partition(".")
        if subject in versions:
            other = versions[BASELINE if subject == CANDIDATE else CANDIDATE]
            asks.append(_Ask(key, subject, plan.metrics[name], versions[subject], other))
        elif name == SILENT:
            silent.append((key, subject))
        elif subject != DIFFERENCE:
            asks.append(_Ask(key, subject, plan.metrics[key], "", ""))
    return _Layout(
        asks=_by_source(asks),
        live=_by_source([ask for ask in asks if ask.subject != BASELINE]),
        baseline=tuple(ask.key for ask in asks if ask.subject == BASELINE),
        silent=tuple(silent),
        compared=tuple(plan.metrics[name] for name in plan.compared),
    )


def _by_source(asks: Sequence[_Ask]) -> tuple[tuple[str, tuple[_Ask, ...]], ...]:
    names = sorted({ask.metric.source for ask in asks})
    return tuple((name, tuple(ask for ask in asks if ask.metric.source == name)) for name in names)


def _ask(
    plan: Plan,
    state: State,
    sources: Mapping[str, Source],
    name: str,
    asks: Sequence[_Ask],
    now: datetime,
) -> dict[str, Measurement]:
    """What one source says, by key."""
    keys = [ask.key for ask in asks]
    try:
        requests = [_request(plan, state, ask, now) for ask in asks]
        found = [_finite(each) for each in sources[name].measure(requests)]
        return dict(zip(keys, found, strict=True))
    except Exception as error:
        log.warning("%s: source %s: %s", state.rollout, name, error, exc_info=True)
        return dict.fromkeys(keys, _error(name, error, sources))


def _finite(found: Measurement) -> Measurement:
    """NaN and infinity are no data (rule 1), here already: the journal cannot hold them, and what
    it holds must be what was decided on."""
    if found.value is not None and not isfinite(found.value):
        detail = f"the value is {found.value}"
        return Measurement(
            status="no_data", samples=found.samples, detail=detail, as_of=found.as_of
        )
    moments = (found.mean, found.variance)
    if any(moment is not None and not isfinite(moment) for moment in moments):
        return replace(found, mean=None, variance=None)
    return found


def _request(plan: Plan, state: State, ask: _Ask, now: datetime) -> Request:
    """Raises ValueError where the calendar does not reach."""
    metric = ask.metric
    return Request(
        ask.subject,
        metric.name,
        ask.version,
        metric.expression,
        _since(plan, state, metric, now),
        now,
        metric.capital,
        metric.unit.factor,
        ask.other,
        metric.bar,
        plan.calendar,
    )


def _since(plan: Plan, state: State, metric: MetricPlan, now: datetime) -> datetime:
    """Start of the window. Of a rollout that has not started: now, so that it is empty."""
    window = metric.window
    if isinstance(window, timedelta):
        return now - window
    if isinstance(window, BarCount):
        assert metric.bar is not None, "checked: a window of bars has a bar"
        return start_of_last(bars_of(plan.calendar, metric.bar), window.count, now)
    if window == "session":
        return plan.calendar.session_start(now)
    if window == "stage":
        return state.entered_at or state.started_at or now
    return state.started_at or now


def from_before(found: Measurement | None) -> Measurement:
    """The frozen baseline is old on purpose: its time is not held against it."""
    if found is None:
        return NOT_FROZEN
    at = "" if found.as_of is None else f" of {found.as_of:%Y-%m-%d %H:%M:%S} UTC"
    return replace(found, as_of=None, detail=f"frozen{at}")


def _silence(
    plan: Plan, state: State, sources: Mapping[str, Source], name: str, now: datetime
) -> Measurement:
    """Open seconds since the source last said anything, or since the start if that is later."""
    try:
        last = sources[name].last_received()
        since = max((at for at in (last, state.started_at) if at is not None), default=now)
        seconds = plan.calendar.open_ms(since, now) / 1000
    except Exception as error:
        log.warning("%s: source %s: %s", state.rollout, name, error, exc_info=True)
        return _error(name, error, sources)
    detail = "nothing received yet" if last is None else ""
    return Measurement(value=seconds, samples=1, detail=detail, as_of=last)


def _compare(
    plan: Plan,
    state: State,
    sources: Mapping[str, Source],
    metric: MetricPlan,
    found: Mapping[str, Measurement],
    now: datetime,
    *,
    frozen: bool,
) -> Measurement:
    candidate = found[reference(CANDIDATE, metric.name)]
    baseline = found[reference(BASELINE, metric.name)]
    try:
        pairs: Pairs | None = None
        source: object = None if frozen else sources.get(metric.source)
        if isinstance(source, Pairing) and candidate.status == baseline.status == "ok":
            sides = plan.candidate.name, plan.baseline.name
            mine = _Ask("", CANDIDATE, metric, *sides)
            other = _Ask("", BASELINE, metric, *reversed(sides))
            pairs = source.pairs(
                _request(plan, state, mine, now), _request(plan, state, other, now)
            )
        return difference(candidate, baseline, plan.false_alarm, pairs)
    except Exception as error:
        log.warning("%s: comparison of %s: %s", state.rollout, metric.name, error, exc_info=True)
        return _error(metric.source, error, sources)


def _error(name: str, error: Exception, sources: Mapping[str, Source]) -> Measurement:
    if name not in sources:
        return Measurement(status="error", detail=f"source {name} is not open")
    return Measurement(status="error", detail=f"{name}: {type(error).__name__}: {error}")
