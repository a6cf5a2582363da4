"""Observations that are brought: stored first, then judged in windows of memory.

The store has every accepted observation in the order it came in; the windows are made again from
it when the source is opened, so a restart sees what was seen before.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import RLock
from typing import Any

from msgspec.structs import replace

from controller.core.measurement import Contrast, Measurement
from controller.judge.aggregate import measure
from controller.judge.compare import Comparisons
from controller.judge.growing import Dependence
from controller.judge.quality import Tally
from controller.judge.ranks import shift
from controller.judge.window import FIELDS, LIMIT, Observation, Window, Windows
from controller.policy.source import Quality
from controller.sources.base import ClosedError, Request, TooManyError
from controller.sources.observation import (
    ObservationError,
    Part,
    parse_all,
    parse_lines,
    stored_line,
)
from controller.store.base import ObservationBatch, Store

log = logging.getLogger(__name__)

BATCH = 10_000
"""Observations of one push."""
VERSIONS = 100
"""Versions of one source, where nobody says which there are."""
REASONS = 10
"""Refusals of one push that are told word by word; all are counted."""

NOTE = b'{"note":'
"""How a stored line begins that is no observation, but a note of the source to itself."""
REFUSED = b'{"refused":'
"""How a stored line begins that says how many observations of its batch were refused: of a source
whose quality is judged they count after a restart as well."""

MARKS = (NOTE, REFUSED)


@dataclass(frozen=True, slots=True)
class Found:
    """What one batch has: the parts, or what is wrong with them, and where each of them stands."""

    place: str
    numbers: Sequence[int]
    parts: Sequence[Part | ObservationError]


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one push. `repeated`: the whole batch was known by its keys. `reasons`: of
    the first refusals, each with its place. `contradicted`: fields of a known id that said
    otherwise than before; the first value stays. `ahead`: stamped ahead of our clock by a little,
    and counted as seen now."""

    accepted: int
    refused: int = 0
    repeated: bool = False
    reasons: tuple[str, ...] = ()
    contradicted: int = 0
    ahead: int = 0


class PushSource:
    """The observations of one source of one rollout. Safe for several threads."""

    def __init__(
        self,
        name: str,
        store: Store,
        stored_name: str | None = None,
        *,
        limit: int = LIMIT,
        reach: timedelta | None = None,
        versions: Collection[str] = (),
        quality: Quality | None = None,
    ) -> None:
        """`stored_name` is the name in the store, where names are shared by all rollouts.
        `limit` is how many observations of a version are held one by one, and `reach` how far back
        anybody looks: what is older is folded. `versions`: those that are taken; by default
        whatever comes. `quality`: what good data is, if anybody asks. Raises StoreError."""
        self.name = name
        self.stored_name = stored_name or name
        self.accepted = 0
        self.refused = 0
        """Observations refused, and fields that contradicted what was known, since opened."""
        self.ahead = 0
        """Observations stamped ahead of our clock by a little, since opened."""
        self.last_error = ""
        self._versions = tuple(versions)
        self._closed = False
        self._store = store
        self._windows = Windows(limit, reach)
        self._comparisons = Comparisons(self._windows)
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
        `keys` was seen before is not taken again. Raises TooManyError, ClosedError, and StoreError
        when it cannot be stored: then nothing was taken."""
        if isinstance(observations, bytes):
            found = found_in("line ", observations.split(b"\n"), now)
        else:
            found = Found(
                "observation ", range(1, len(observations) + 1), parse_all(observations, now)
            )
        if len(found.parts) > BATCH:
            size = len(found.parts)
            raise TooManyError(f"{self.name}: {size} observations; send {BATCH} at a time")
        return self._take(found, now, keys)

    def _take(
        self, found: Found, now: datetime, keys: Sequence[str] = (), note: bytes = b""
    ) -> Received:
        """Check, store, then add to the windows. `note` is a line stored along with
        them, that begins with `NOTE`."""
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self.name} is closed")
            ahead = self.ahead
            checked, lines, errors = self._checked(found)
            reasons = tuple(errors[:REASONS])
            if errors and self._tally is not None:
                lines.append(REFUSED + b"%d}" % len(errors))
            if note:
                lines.append(note)
            if not lines:
                self._refuse(errors)
                return Received(0, len(errors), reasons=reasons)
            stored = b"\n".join(lines) + b"\n"
            batch = self._store.append_observations(self.stored_name, now, stored, keys)
            if batch is None:
                return Received(0, 0, repeated=True)
            self._refuse(errors)
            before = self.refused
            if batch.number != self._through + 1:
                self._catch_up()  # somebody else has written as well: take all, in order
            else:
                self._spoil(len(errors), batch)
                self._add(checked, batch)
            return Received(
                len(checked),
                len(errors),
                reasons=reasons,
                contradicted=self.refused - before,
                ahead=self.ahead - ahead,
            )

    def _checked(self, found: Found) -> tuple[list[Observation], list[bytes], list[str]]:
        """The good ones with version and time settled, their lines, and what is wrong with the
        others."""
        checked: list[Observation] = []
        lines: list[bytes] = []
        errors: list[str] = []
        fresh: dict[str, Observation] = {}
        versions = set(self._windows.by_version)
        for number, part in zip(found.numbers, found.parts, strict=True):
            try:
                if isinstance(part, ObservationError):
                    raise part
                observation = self._settled(part, fresh)
                if self._versions and observation.version not in self._versions:
                    raise ObservationError(self._other(observation.version))
                if observation.version not in versions:
                    if len(versions) >= VERSIONS:
                        raise ObservationError(f"more than {VERSIONS} versions")
                    versions.add(observation.version)
            except ObservationError as error:
                errors.append(f"{found.place}{number}: {error}")
                continue
            if observation.id is not None:
                fresh.setdefault(observation.id, observation)
            self.ahead += part.ahead
            checked.append(observation)
            lines.append(stored_line(observation, part, MARKS))
        return checked, lines, errors

    def _other(self, version: str) -> str:
        """A version that no rule speaks of would fill memory, and say of a source that it is
        heard while what matters is silent."""
        known = " nor ".join(self._versions)
        return f"version {version[:40]!r} is neither {known}"

    def _settled(self, part: Part, fresh: Mapping[str, Observation]) -> Observation:
        """A later part has the version, time and key of the first (rule 10), in the store too:
        there it stays right when the first has been pruned. Raises ObservationError."""
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
            lines = []
            for line in batch.lines.split(b"\n")[:-1]:
                if line.startswith(NOTE):
                    self._noted(line)
                elif line.startswith(REFUSED):
                    self._spoil(int(line[len(REFUSED) : -1]), batch)
                else:
                    lines.append(line)
            for part in parse_lines(lines, batch.received):
                try:
                    if isinstance(part, ObservationError):
                        raise part
                    observations.append(self._settled(part, {}))
                except ObservationError as error:
                    self._refuse([f"stored batch {batch.number}: {error}"])
            self._add(observations, batch)

    def _noted(self, line: bytes) -> None:
        """Meets a note among the stored lines. Notes are for the source that writes them: one
        whose policy no longer has a directory passes over those of before."""

    def _add(self, observations: Sequence[Observation], batch: ObservationBatch) -> None:
        for observation in observations:
            self._comparisons.add(observation)
            self._judge(observation, batch.received)
            contradicted = self._windows.add(observation, batch.received)
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
            newest=request.newest,
            bar=request.bar,
            calendar=request.calendar,
            resets=request.resets,
        )

    def contrast(
        self, candidate: Request, baseline: Request, dependence: Dependence
    ) -> Contrast | None:
        """See `Comparing.contrast`."""
        with self._lock:
            return self._comparisons.contrast(
                (candidate.version, baseline.version),
                candidate.expression,
                dependence,
                candidate.since,
                candidate.now,
                candidate.factor,
            )

    def shift(self, candidate: Request, baseline: Request) -> Measurement:
        """See `Comparing.shift`."""
        with self._lock:
            return shift(
                self._windows.window(candidate.version),
                self._windows.window(baseline.version),
                candidate.expression,
                candidate.since,
                candidate.now,
                candidate.factor,
                candidate.newest,
            )

    def split(self, versions: tuple[str, str], since: datetime, now: datetime) -> Measurement:
        """See `Comparing.split`."""
        with self._lock:
            return self._comparisons.split(versions, since, now)

    def last_received(self) -> datetime | None:
        """See `Source.last_received`. Refused observations do not count."""
        return self._last_received

    def check(self) -> str:
        """See `Source.check`."""
        with self._lock:
            held = ", ".join(_held(window) for window in self._windows)
            last = self._last_received
            words = f"observations held: {held}" if held else "nothing received yet"
            if last is not None:
                words += f"; last received {last:%Y-%m-%d %H:%M:%S} UTC"
            late = sum(window.folded.late for window in self._windows)
            if late:
                words += f"; {late} values came after their time had been folded: counted there"
            if self._windows.forgotten:
                words += f"; {self._windows.forgotten} ids forgotten: later parts are not known"
            crowded = sum(window.crowded for window in self._windows)
            if crowded:
                words += f"; {crowded} values left out, more than {FIELDS} fields of a version"
            if self.ahead:
                words += f"; {self.ahead} stamped ahead of the clock here and counted as seen now"
            if self.refused:
                words += f"; {self.refused} refused, the last: {self.last_error}"
            return words

    def close(self) -> None:
        """Take in nothing more: whoever opens it next has all that was taken. The store is not
        this source's to close."""
        with self._lock:
            self._closed = True


def _held(window: Window) -> str:
    """`v3: 100000, and 2400000 folded in 190 slices`."""
    words, folded = f"{window.version}: {len(window)}", window.folded
    slices = len(folded.slices)
    return f"{words}, and {len(folded)} folded in {slices} slices" if slices else words


def found_in(place: str, lines: Iterable[bytes], now: datetime, first: int = 1) -> Found:
    """What lines hold, blank ones aside; they are counted from `first`."""
    numbered = [(number, line) for number, line in enumerate(lines, first) if line.strip()]
    numbers, held = [n for n, _ in numbered], [line for _, line in numbered]
    return Found(place, numbers, parse_lines(held, now))
