"""The client's blends: one published state, and what each instrument's last look left."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from controller.blend.blend import Basis, Blended, State, blend
from controller.blend.legs import Number, Signal, number
from controller.blend.settings import Mode, Settings
from controller.client.known import Held, Known
from controller.core.share import NONE, WHOLE
from controller.traffic.route import Reason, Unroutable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from controller.blend.columns import BlendedMany, Signals, States

MOST = 100_000
"""Instruments remembered; beyond it, the one that came first is forgotten."""
_STATES = msgspec.json.Decoder(dict[str, State])
_NOTHING = State()
_DEFAULTS = Settings()

Doubt = Callable[[Reason, str, int], None]
"""Counts a fallback; raises ClientError for a strict client."""


class Blending:
    """Blends by what is known at the moment. Safe for several threads."""

    def __init__(
        self, known: Known, wall: Callable[[], float], doubt: Doubt, baseline: str
    ) -> None:
        self._known, self._wall, self._doubt, self._baseline = known, wall, doubt, baseline
        self._states: dict[str, State] = {}
        self._lock = threading.Lock()

    def blend(
        self,
        baseline: Signal | Number | None,
        candidate: Signal | Number | None,
        instrument: str,
        attributes: Mapping[str, object] | None,
        at: datetime | None,
        move: Number | None,
        held: Number | None,
    ) -> Blended:
        """See `Client.blend`."""
        instrument = str(instrument or _named(baseline) or _named(candidate))
        settings, basis = self._basis(instrument, attributes)
        now = self._time(at)
        moved, position = self._told("move", move), self._told("held", held)
        with self._lock:
            state = self._states.get(instrument)
            if position is not None:
                fresh = State(epoch=basis.epoch) if state is None else state
                state = replace(fresh, target=position)
            answer = blend(
                settings, basis, state or _NOTHING, baseline, candidate, now,
                instrument=instrument, move=moved,
            )  # fmt: skip
            if instrument not in self._states and len(self._states) >= MOST:
                del self._states[next(iter(self._states))]
            self._states[instrument] = answer.state
        self._count(answer)
        return answer

    def blend_many(
        self,
        baseline: "Signals",
        candidate: "Signals",
        instruments: Sequence[str] | None,
        attributes: Mapping[str, Sequence[object]] | None,
        at: datetime | None,
        states: "States | None",
    ) -> "BlendedMany":
        """See `Client.blend_many`."""
        import numpy as np

        from controller.blend.columns import blend_many, nothing_yet

        count = len(baseline.exposure)
        held, reason, words = self._standing()
        shares = np.zeros(count, np.int64)
        if held is None or reason is not None:
            self._doubt(reason or Reason.NO_STATE, words, count)
        else:
            shares = self._shares(held, count, instruments, attributes)
        return blend_many(
            _settings(held), shares, held.router.published.epoch if held else 0,
            states or nothing_yet(count), baseline, candidate, self._time(at).timestamp(),
        )  # fmt: skip

    def export(self) -> bytes:
        """What every instrument's last look left, as JSON, for a process that takes over."""
        with self._lock:
            return msgspec.json.encode(self._states)

    def restore(self, exported: bytes) -> int:
        """Go on from there; how many instruments. Raises ValueError for what is no export."""
        try:
            found = _STATES.decode(exported)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"not an export of blends: {error}") from None
        if len(found) > MOST:
            raise ValueError(f"not an export of blends: more than {MOST} instruments")
        with self._lock:
            self._states = found
        return len(found)

    def after_fork(self) -> None:
        """Whoever held the lock is not in this process."""
        self._lock = threading.Lock()

    def _basis(
        self, instrument: str, attributes: Mapping[str, object] | None
    ) -> tuple[Settings, Basis]:
        held, reason, words = self._standing()
        if held is not None and reason is None:
            router, settings = held.router, _settings(held)
            published = router.published
            try:
                whole = settings.mode is Mode.SWITCH
                share = router.share_of(instrument, attributes, whole=whole)
            except Unroutable as doubt:
                reason, words = doubt.reason, str(doubt)
            else:
                return settings, Basis(published.candidate, share, published.epoch, published.token)
        reason = reason or Reason.NO_STATE
        self._doubt(reason, words, 1)
        epoch = held.router.published.epoch if held is not None else 0
        return _settings(held), Basis(self._baseline, NONE, epoch, doubt=reason.value)

    def _standing(self) -> tuple[Held | None, Reason | None, str]:
        """The last good state, and why it is not to be gone by."""
        held = self._known.held
        if held is None:
            return None, Reason.NO_STATE, self._known.trouble
        if self._known.is_too_old(held):
            return held, Reason.TOO_OLD, self._known.age_in_words(held)
        if held.router.published.blend is None:
            return held, Reason.NO_BLEND, "the policy has no `transition: {blend: ...}`"
        return held, None, ""

    def _shares(
        self, held: Held, count: int, instruments: Sequence[str] | None,
        attributes: Mapping[str, Sequence[object]] | None,
    ) -> "NDArray[np.int64]":  # fmt: skip
        import numpy as np

        router, whole = held.router, _settings(held).mode is Mode.SWITCH
        named = instruments if instruments is not None else [""] * count
        if whole:
            acts, doubts = router.route_many(named, attributes)
            for reason, times in doubts.items():
                self._doubt(reason, f"{times} of {count} instruments", times)
            return np.where(acts, WHOLE, NONE)
        if not router.has_pins:
            return np.full(count, router.published.share, np.int64)
        shares, columns = np.zeros(count, np.int64), attributes or {}
        for row, instrument in enumerate(named):
            known = {name: column[row] for name, column in columns.items()}
            try:
                shares[row] = router.share_of(instrument, known)
            except Unroutable as doubt:
                self._doubt(doubt.reason, str(doubt), 1)
        return shares

    def _time(self, at: datetime | None) -> datetime:
        if isinstance(at, datetime) and at.tzinfo is not None:
            return at
        if at is not None:
            self._known.count("at")
        return datetime.fromtimestamp(self._wall(), UTC)

    def _told(self, name: str, value: Number | None) -> float | None:
        found = number(value)
        if found is None and value is not None:
            self._known.count(name)
        return found

    def _count(self, answer: Blended) -> None:
        if not answer.baseline.usable:
            self._known.count("no_baseline_signal")
        if not answer.candidate.usable:
            self._known.count("no_candidate_signal")


def _settings(held: Held | None) -> Settings:
    published = held.router.published if held is not None else None
    return published.blend if published is not None and published.blend else _DEFAULTS


def _named(signal: object) -> str:
    return signal.instrument if isinstance(signal, Signal) else ""
