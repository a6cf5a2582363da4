"""Observations that are brought: stored first, then judged in windows of memory.

The store has every accepted observation in the order it came in; the windows are made again from
it when the source is opened, so a restart sees what was seen before.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import RLock
from typing import Any

from msgspec.structs import replace

from controller.core.measurement import Measurement
from controller.judge.aggregate import measure
from controller.judge.compare import Pairs, pair_up
from controller.judge.quality import Tally
from controller.judge.window import FIELDS, LIMIT, Observation, Windows
from controller.policy.models import Quality
from controller.sources.base import Request, SourceError
from controller.sources.observation import ObservationError, Part, encode, parse, parse_line
from controller.store.base import ObservationBatch, Store

log = logging.getLogger(__name__)

BATCH = 10_000
"""Observations of one push."""
VERSIONS = 100
"""Versions of one source."""

NOTE = b'{"note":'
"""How a stored line begins that is no observation, but a note of the source to itself."""

REFUSED = b'{"refused":'
"""How a stored line begins that says how many observations of its batch were refused: of a source
whose quality is judged they count after a restart as well."""

Parse = Callable[[], Part]
"""Reads one observation, or raises ObservationError."""


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one push. `repeated`: the whole batch was known by its keys."""

    accepted: int
    refused: int = 0
    repeated: bool = False


class PushSource:
    """The observations of one source of one rollout. Safe for several threads."""

    def __init__(
        self,
        name: str,
        store: Store,
        stored_name: str | None = None,
        *,
        limit: int = LIMIT,
        quality: Quality | None = None,
    ) -> None:
        """`stored_name` is the name in the store, where names are shared by all rollouts.
        `limit` is how many observations of a version are kept in memory; `quality` what good
        data is, if anybody asks. Raises StoreError."""
        self.name = name
        self.stored_name = stored_name or name
        self.accepted = 0
        self.refused = 0
        """Observations refused, and fields that contradicted what was known, since opened."""
        self.last_error = ""
        self._store = store
        self._windows = Windows(limit)
        self._tally = Tally(quality) if quality is not None else None
        self._lock = RLock()
        self._through = 0
        self._last_received: datetime | None = None
        with self._lock:
            self._catch_up()

    # In -----------------------------------------------------------------------------------

    def push(
        self,
        observations: Sequence[Mapping[str, Any]] | bytes,
        now: datetime,
        keys: Sequence[str] = (),
    ) -> Received:
        """Take in observations: mappings, or JSON Lines. Durable on return. A bad one is left
        out, counted, and told in `last_error`; the others are taken. A batch of which any of
        `keys` was seen before is not taken again. Raises SourceError for a batch that is too
        large, StoreError when it cannot be stored: then nothing was taken."""
        if isinstance(observations, bytes):
            lines = enumerate(observations.split(b"\n"), 1)
            found = [(f"line {n}", _line(line, now)) for n, line in lines if line.strip()]
        else:
            found = [
                (f"observation {n}", _mapping(raw, now)) for n, raw in enumerate(observations, 1)
            ]
        if len(found) > BATCH:
            raise SourceError(f"{self.name}: {len(found)} observations; send {BATCH} at a time")
        return self._take(found, now, keys)

    def _take(
        self,
        found: Iterable[tuple[str, Parse]],
        now: datetime,
        keys: Sequence[str] = (),
        note: bytes = b"",
    ) -> Received:
        """Check, store, then add to the windows. `note` is a line stored along with
        them, that begins with `NOTE`."""
        with self._lock:
            checked, errors = self._checked(found)
            lines = [encode(observation) for observation in checked]
            if errors and self._tally is not None:
                lines.append(REFUSED + b"%d}" % len(errors))
            if note:
                lines.append(note)
            if not lines:
                self._refuse(errors)
                return Received(0, len(errors))
            stored = b"\n".join(lines) + b"\n"
            batch = self._store.append_observations(self.stored_name, now, stored, keys)
            if batch is None:
                return Received(0, 0, repeated=True)
            self._refuse(errors)
            if batch.number != self._through + 1:
                self._catch_up()  # somebody else has written as well: take all, in order
            else:
                self._spoil(len(errors), batch)
                self._add(checked, batch)
            return Received(len(checked), len(errors))

    def _checked(self, found: Iterable[tuple[str, Parse]]) -> tuple[list[Observation], list[str]]:
        """The good ones with version and time settled, and what is wrong with the others."""
        checked: list[Observation] = []
        errors: list[str] = []
        fresh: dict[str, Observation] = {}
        versions = set(self._windows.by_version)
        for place, read in found:
            try:
                observation = self._settled(read(), fresh)
                if observation.version not in versions:
                    if len(versions) >= VERSIONS:
                        raise ObservationError(f"more than {VERSIONS} versions")
                    versions.add(observation.version)
            except ObservationError as error:
                errors.append(f"{place}: {error}")
                continue
            if observation.id is not None:
                fresh.setdefault(observation.id, observation)
            checked.append(observation)
        return checked, errors

    def _settled(self, part: Part, fresh: Mapping[str, Observation]) -> Observation:
        """A later part has the version, time and key of the first (rule 10), in the store too:
        there it stays right when the first has been pruned."""
        if part.id is not None:
            first = fresh.get(part.id) or self._windows.first(part.id)
            if first is not None:
                return Observation(first.version, first.at, part.fields, part.id, first.key)
        if part.version is None:
            unknown = "" if part.id is None else f", and id {part.id} is not known"
            raise ObservationError(f"no version{unknown}")
        return Observation(part.version, part.at, part.fields, part.id, part.key)

    def _catch_up(self) -> None:
        """Add what the store has after the last batch taken in."""
        for batch in self._store.observations(self.stored_name, self._through):
            observations = []
            for line in batch.lines.splitlines():
                if line.startswith(NOTE):
                    self._noted(line)
                    continue
                if line.startswith(REFUSED):
                    self._spoil(int(line[len(REFUSED) : -1]), batch)
                    continue
                try:
                    observations.append(self._settled(parse_line(line, batch.received), {}))
                except ObservationError as error:
                    self._refuse([f"stored batch {batch.number}: {error}"])
            self._add(observations, batch)

    def _noted(self, line: bytes) -> None:
        """Meets a note among the stored lines. Notes are for the source that writes them: one
        whose policy no longer has a directory passes over those of before."""

    def _add(self, observations: Sequence[Observation], batch: ObservationBatch) -> None:
        for observation in observations:
            self._judge(observation, batch.received)
            contradicted = self._windows.add(observation)
            if contradicted:
                self._spoil(1, batch)
                names = ", ".join(contradicted)
                self._refuse([f"id {observation.id}: {names} was given before, otherwise"])
        self.accepted += len(observations)
        self._through = batch.number
        if observations and (self._last_received is None or batch.received > self._last_received):
            self._last_received = batch.received

    def _judge(self, observation: Observation, received: datetime) -> None:
        """How good it is, before it is part of what is known."""
        if self._tally is not None:
            first = self._windows.first(observation.id) if observation.id is not None else None
            self._tally.take(observation, None if first is None else first.fields, received)

    def _spoil(self, count: int, batch: ObservationBatch) -> None:
        if self._tally is not None:
            self._tally.refuse(count, batch.received)

    def _refuse(self, errors: Sequence[str]) -> None:
        if errors:
            self.refused += len(errors)
            self.last_error = f"{self.name}: {errors[-1]}"
            log.warning("%d observations refused; the last: %s", len(errors), self.last_error)

    # Out ----------------------------------------------------------------------------------

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        with self._lock:
            return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Measurement:
        through = self._through or None
        if request.subject == self.name:
            if self._tally is None:
                return Measurement(status="error", detail=f"{self.name} declares no `quality`")
            return replace(self._tally.measure(request.expression, request.now), through=through)
        window = self._windows.window
        return measure(
            window(request.version),
            request.expression,
            request.since,
            request.now,
            capital=request.capital,
            factor=request.factor,
            through=through,
            other=window(request.other) if request.other is not None else None,
            bar=request.bar,
            calendar=request.calendar,
        )

    def pairs(self, candidate: Request, baseline: Request) -> Pairs | None:
        """Differences of observations that share a key; None if too few of them do."""
        with self._lock:
            return pair_up(
                self._windows.window(candidate.version),
                self._windows.window(baseline.version),
                candidate.expression,
                candidate.since,
                candidate.now,
                candidate.factor,
            )

    def last_received(self) -> datetime | None:
        """See `Source.last_received`. Refused observations do not count."""
        return self._last_received

    def check(self) -> str:
        """See `Source.check`."""
        with self._lock:
            held = ", ".join(f"{w.version}: {len(w)}" for w in self._windows)
            last = self._last_received
            words = f"observations held: {held}" if held else "nothing received yet"
            if last is not None:
                words += f"; last received {last:%Y-%m-%d %H:%M:%S} UTC"
            crowded = sum(window.crowded for window in self._windows)
            if crowded:
                words += f"; {crowded} values left out, more than {FIELDS} fields of a version"
            if self.refused:
                words += f"; {self.refused} refused, the last: {self.last_error}"
            return words

    def close(self) -> None:
        """The store is not this source's to close."""


def _line(line: bytes, now: datetime) -> Parse:
    return lambda: parse_line(line, now)


def _mapping(raw: Mapping[str, Any], now: datetime) -> Parse:
    return lambda: parse(raw, now)
