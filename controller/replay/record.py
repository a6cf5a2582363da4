"""From a live journal to a scenario file: what was measured, what people did, where it went.

The scenario decides again on the recorded measurements, so it can be run against an edited policy
to see what would have been different. Errors of sources are recorded as gaps.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite, sqrt
from pathlib import Path

from controller.core.event import Command, Tick
from controller.core.measurement import COMPARISONS, Measurement
from controller.core.plan import Plan
from controller.replay.scenario import COMMANDS
from controller.store.base import Entry, Store

_MS = timedelta(milliseconds=1)


class NothingRecorded(Exception):
    """The journal has nothing that a scenario could tell."""


@dataclass(slots=True)
class _Recorder:
    plan: Plan
    start: datetime
    pieces: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    moves: dict[timedelta, str] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """One journal entry."""
        at = entry.at - self.start
        match entry.event:
            case Tick():
                at = _on_grid(at, self.plan.tick)
                for reference, found in sorted(entry.event.measurements.items()):
                    if reference.partition(".")[0] not in COMPARISONS:
                        self._measured(reference, found, at)
            case Command() if entry.event.name in COMMANDS:
                by, reason = entry.event.by, entry.event.reason
                words = f"by: {json.dumps(by)}" + (f", reason: {json.dumps(reason)}" * bool(reason))
                self.events.append(f"{{at: {_text(at)}, {entry.event.name}: {{{words}}}}}")
            case _:
                at = _on_grid(at, self.plan.tick)
        if entry.move and entry.state is not None:
            self.moves[at] = entry.state.name

    def _measured(self, reference: str, found: Measurement, at: timedelta) -> None:
        shape = _shape(found, ratio=self._is_ratio(reference))
        if self.last.get(reference) == shape:
            return
        self.last[reference] = shape
        self.pieces.setdefault(reference, []).append(f"{{at: {_text(at)}, {shape}}}")

    def _is_ratio(self, reference: str) -> bool:
        metric = self.plan.metric(reference)
        return metric is not None and metric.expression.startswith("ratio(")

    def lines(self, name: str, policy: str) -> Iterator[str]:
        """The scenario file."""
        yield f"# Recorded from the journal of {name}: the same measurements, people and moves."
        yield f"policy: {policy}"
        yield f"start: {self.start:%Y-%m-%dT%H:%M:%S}Z"
        yield "scenarios:"
        yield f"  - name: {name} as it went from {self.start:%Y-%m-%d %H:%M} UTC"
        yield "    series:"
        for reference, pieces in sorted(self.pieces.items()):
            yield f"      {reference}:"
            yield from (f"        - {piece}" for piece in pieces)
        if self.events:
            yield "    events:"
            yield from (f"      - {event}" for event in self.events)
        if self.moves:
            yield "    expect:"
            span = _text(2 * self.plan.tick)
            for at, state in self.moves.items():
                after = max(at - self.plan.tick, timedelta(0))
                yield f"      - {{within: {span}, after: {_text(after)}, state: {state}}}"


def record_scenario(store: Store, plan_of: Callable[[str, datetime], Plan], rollout: str) -> str:
    """The text of a scenario file, to be put beside the policy. Begins at the last start. Raises
    NothingRecorded, StoreError."""
    row = store.rollout(rollout)
    start = row.state.started_at if row is not None else None
    if row is None or start is None:
        raise NothingRecorded(f"{rollout} was never started")
    recorder = _Recorder(plan_of(row.state.policy, start), start)
    for entry in store.journal(rollout):
        if entry.at >= start:
            recorder.take(entry)
    return "\n".join(recorder.lines(rollout, Path(row.policy_path).name)) + "\n"


def _shape(found: Measurement, *, ratio: bool) -> str:
    if found.status != "ok" or found.value is None or not isfinite(found.value):
        return "gap: always"
    parts = [f"constant: {found.value!r}", f"samples: {found.samples}"]
    if found.variance is not None and not ratio:
        parts.append(f"sd: {sqrt(found.variance)!r}")
    return ", ".join(parts)


def _on_grid(at: timedelta, tick: timedelta) -> timedelta:
    """A look is a moment late by the time that its round takes; a scenario's is not."""
    return round(at / tick) * tick


def _text(at: timedelta) -> str:
    return f"{max(0, at // _MS)}ms"
