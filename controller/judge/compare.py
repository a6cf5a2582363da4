"""The comparisons of one source: which sets grow, what is fed to them, and what they say."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite

from controller.core.measurement import Contrast, Measurement, Side
from controller.judge.column import moment
from controller.judge.growing import FOREVER, LEAST, Dependence, GrowingSet, of_likes
from controller.judge.window import Observation, Windows

SETS = 100
"""Growing sets of one source; the one begun first makes room."""
KEYS = 100_000
"""Keys of assignments that a split remembers; an older one that is met again counts twice."""

_Versions = tuple[str, str]


@dataclass(slots=True)
class _Split:
    """Who got the work since a moment: each key once, an observation without a key by itself."""

    versions: _Versions
    since: datetime
    counts: list[int] = field(default_factory=lambda: [0, 0])
    newest: datetime | None = None
    _keys: dict[str, None] = field(default_factory=dict)
    _waiting: list[tuple[datetime, int, str | None]] = field(default_factory=list)

    def add(self, at: datetime, side: int, key: str | None) -> None:
        """One observation."""
        self._waiting.append((at, side, key))
        if len(self._waiting) >= KEYS:
            self.settle(FOREVER)

    def settle(self, now: datetime) -> None:
        """Count what was seen by `now`."""
        later = []
        for at, side, key in self._waiting:
            if at > now:
                later.append((at, side, key))
                continue
            if key is not None:
                if key in self._keys:
                    continue
                if len(self._keys) >= KEYS:
                    del self._keys[next(iter(self._keys))]
                self._keys[key] = None
            self.counts[side] += 1
            self.newest = at if self.newest is None else max(at, self.newest)
        self._waiting = later


class Comparisons:
    """What grows beside the windows of one source. Whoever adds to the windows calls `add` first;
    a set begins with what the windows hold when it is first asked for."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._sets: dict[tuple[object, ...], GrowingSet] = {}
        self._splits: dict[_Versions, _Split] = {}

    def add(self, observation: Observation) -> None:
        """Take in an observation, or a further part of one, that the windows do not have yet."""
        if not self._sets and not self._splits:
            return
        first = self._windows.first
        known = first(observation.id) if observation.id is not None else None
        for growing in self._sets.values():
            growing.add(observation, known)
        for split in self._splits.values():
            if (
                known is None
                and observation.version in split.versions
                and observation.at > split.since
            ):
                side = split.versions.index(observation.version)
                split.add(observation.at, side, observation.key)

    def contrast(
        self,
        versions: _Versions,
        expression: str,
        dependence: Dependence,
        since: datetime,
        now: datetime,
        factor: float = 1.0,
    ) -> Contrast:
        """Both versions (candidate, baseline) over (since, now], in the base unit. `since` is the
        same at every look at a set; another one begins it anew. Raises AggregationError."""
        asked = (versions, expression, dependence)
        growing = self._sets.get(asked)
        if growing is None or growing.since != since:
            self._sets.pop(asked, None)
            if len(self._sets) >= SETS:
                del self._sets[next(iter(self._sets))]
            growing = GrowingSet(versions, expression, since, dependence)
            growing.begin(*(self._windows.window(version) for version in versions))
            self._sets[asked] = growing
        return growing.contrast(now, factor)

    def split(self, versions: _Versions, since: datetime, now: datetime) -> Measurement:
        """The candidate's share of what both versions got in (since, now]."""
        found = self._splits.get(versions)
        if found is None or found.since != since:
            found = self._splits[versions] = _Split(versions, since)
            for side, at, key in self._held(versions, since):
                found.add(at, side, key)
        found.settle(now)
        total = sum(found.counts)
        if not total:
            return Measurement(status="no_data", detail="nobody has got any work yet")
        return Measurement(value=found.counts[0] / total, samples=total, as_of=found.newest)

    def _held(
        self, versions: _Versions, since: datetime
    ) -> Iterator[tuple[int, datetime, str | None]]:
        for side, version in enumerate(versions):
            window = self._windows.window(version)
            if window is not None:
                lo, hi = window.all.between(since, FOREVER)
                for index in range(lo, hi):
                    yield side, moment(window.all.places[index]), window.all.keys[index]


def side_of(found: Measurement | None) -> Side | None:
    """A side from what a source says that tells no single observations: they are taken as
    independent. None where mean, variance or observations are too few."""
    if found is None or found.status != "ok":
        return None
    if found.side is not None:
        return found.side
    mean = found.value if found.mean is None else found.mean
    if mean is None or found.variance is None or found.samples < LEAST:
        return None
    variance = found.variance or of_likes(mean, found.samples)
    if not (isfinite(mean) and isfinite(variance)):
        return None
    return Side(mean, found.samples, variance, variance / found.samples)


def compared(
    candidate: Measurement, baseline: Measurement | None, contrast: Contrast
) -> Measurement:
    """The measurement of a comparison: `contrast` where both sides were measured, else the worse of
    both and why. `baseline` is None for a comparison with a number. Its `value` is the candidate's
    mean, less the baseline's where there is one; `samples` the smaller side's, or the pairs'."""
    sides = [("candidate", candidate)] + ([("baseline", baseline)] if baseline is not None else [])
    statuses = {side.status for _, side in sides}
    if statuses != {"ok"}:
        worse = "error" if "error" in statuses else "no_data"
        why = "; ".join(f"{n}: {m.detail or m.status}" for n, m in sides if m.status != "ok")
        samples = min(side.samples for _, side in sides)
        return Measurement(samples=samples, status=worse, detail=why)  # type: ignore[arg-type]
    value, samples = _plain(contrast, alone=baseline is None)
    times = [side.as_of for _, side in sides if side.as_of is not None]
    return Measurement(
        value=_rough(candidate, baseline) if value is None else value,
        samples=min(side.samples for _, side in sides) if value is None else samples,
        detail=contrast.detail,
        as_of=min(times, default=None),
        through=max((side.through for _, side in sides if side.through), default=None),
        contrast=contrast,
    )


def _plain(contrast: Contrast, *, alone: bool) -> tuple[float | None, int]:
    candidate, baseline, pairs = contrast.candidate, contrast.baseline, contrast.pairs
    if alone:
        return (None, 0) if candidate is None else (candidate.mean, candidate.samples)
    if pairs is not None:
        return pairs.candidate - pairs.baseline, pairs.count
    if candidate is None or baseline is None:
        return None, 0
    return candidate.mean - baseline.mean, min(candidate.samples, baseline.samples)


def _rough(candidate: Measurement, baseline: Measurement | None) -> float | None:
    """Where nothing is bounded: what the windows say."""
    mean = candidate.value if candidate.mean is None else candidate.mean
    if baseline is None or mean is None:
        return mean
    other = baseline.value if baseline.mean is None else baseline.mean
    return None if other is None else mean - other
