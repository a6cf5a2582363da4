"""The measurements that a plan reads, at one moment: one request per metric and version, asked
source by source, then how long each source has been silent, then the comparisons.

A source that fails is an error of its own measurements and of nothing else (rule 2).
"""

import logging
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from dataclasses import replace as replace_in
from datetime import datetime
from itertools import chain, islice

from msgspec.structs import replace

from controller.core.measurement import BASELINE, CANDIDATE, COMPARISONS, Measurement
from controller.core.plan import MetricPlan, Plan
from controller.core.state import AT_REST, State
from controller.run.asking import answer, request, source_error, window_start
from controller.run.comparing import Moment, comparisons_of, source_of
from controller.run.sharing import also_asked, with_shared
from controller.sources.base import Source

log = logging.getLogger(__name__)

SILENT = "silent"
KEPT = 50_000
"""Plans whose requests are kept prepared."""

NOT_FROZEN = Measurement(
    status="no_data", detail="the baseline was not measured before it lost its traffic"
)


@dataclass(frozen=True, slots=True)
class _Ask:
    """One measurement wanted, all but its times."""

    key: str
    subject: str
    metric: MetricPlan


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a plan wants, by source. `live` is for a step whose baseline is frozen."""

    asks: tuple[tuple[str, tuple[_Ask, ...]], ...]
    live: tuple[tuple[str, tuple[_Ask, ...]], ...]
    baseline: tuple[str, ...]
    silent: tuple[tuple[str, str], ...]
    comparisons: tuple[str, ...]


_layouts: dict[str, _Layout] = {}


def collect(
    plan: Plan,
    state: State,
    sources: Mapping[str, Source],
    now: datetime,
    pool: Executor | None = None,
    *,
    among: Container[str] | None = None,
) -> dict[str, Measurement]:
    """Every reference of `plan` at `now`, by key. `sources` by name. With a `pool` the sources
    are asked at the same time; never call it from a thread of that pool. With `among` only those
    sources are asked, and of the others nothing is said. Does not raise for what a source or the
    calendar does: that is a measurement with status `error`."""
    if state.name in AT_REST:
        return {}  # nobody is guarded
    layout = _layouts.get(plan.digest) or _prepare(plan)
    if among is not None:
        layout = _only(plan, layout, among)
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
    moment = Moment(plan, state, sources, found, now)
    for key in layout.comparisons:
        found.update(moment.compare(key))
    return found


def _prepare(plan: Plan) -> _Layout:
    if len(_layouts) >= KEPT:
        _layouts.clear()
    layout = _layouts[plan.digest] = _layout(plan)
    return layout


def _only(plan: Plan, layout: _Layout, among: Container[str]) -> _Layout:
    return replace_in(
        layout,
        asks=tuple((name, asks) for name, asks in layout.asks if name in among),
        live=tuple((name, asks) for name, asks in layout.live if name in among),
        silent=tuple((key, name) for key, name in layout.silent if name in among),
        comparisons=tuple(key for key in layout.comparisons if source_of(plan, key) in among),
    )


def _layout(plan: Plan) -> _Layout:
    """In the order of the references, which are sorted: the same plan asks in the same order."""
    asks, silent = [], []
    for key in plan.references:
        subject, _, name = key.partition(".")
        if subject in (CANDIDATE, BASELINE):
            asks.append(_Ask(key, subject, plan.metrics[name]))
        elif name == SILENT:
            silent.append((key, subject))
        elif subject not in COMPARISONS:
            asks.append(_Ask(key, subject, plan.metrics[key]))
    return _Layout(
        asks=_by_source(asks),
        live=_by_source([ask for ask in asks if ask.subject != BASELINE]),
        baseline=tuple(ask.key for ask in asks if ask.subject == BASELINE),
        silent=tuple(silent),
        comparisons=comparisons_of(plan),
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
        requests = [
            request(plan, ask.metric, ask.subject, window_start(plan, state, ask.metric, now), now)
            for ask in asks
        ]
        beside = [also_asked(plan, a.metric, own) for a, own in zip(asks, requests, strict=True)]
        wanted = [*requests, *chain.from_iterable(beside)]
        found = [each for each, _ in zip(sources[name].measure(wanted), wanted, strict=True)]
        more = iter(found[len(asks) :])
        return {
            ask.key: with_shared(
                ask.metric, ask.subject, answer(own, ask.metric), list(islice(more, len(asked)))
            )
            for ask, own, asked in zip(asks, found[: len(asks)], beside, strict=True)
        }
    except Exception as error:
        log.warning("%s: source %s: %s", state.rollout, name, error, exc_info=True)
        return dict.fromkeys(keys, source_error(name, error, sources))


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
        return source_error(name, error, sources)
    detail = "nothing received yet" if last is None else ""
    return Measurement(value=seconds, samples=1, detail=detail, as_of=last)
