"""The same blend for many instruments at once, as arrays; a test holds that each row is what
`blend.blend` says of it. Nothing is learned here: what was learned is handed in.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.blend.legs import LARGEST
from controller.blend.settings import (
    Conflict,
    Mode,
    Settings,
    WithoutBaseline,
    WithoutCandidate,
)
from controller.core.share import NONE, WHOLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Signals:
    """One version's signals, a row for each instrument; NaN is none. `at`: when each was made, in
    seconds since 1970; `ready`: false while it warms up. `learned` (in mode `performance`) and
    `proven` (for `max_confidence`) are read of the candidate's."""

    exposure: "NDArray[Any]"
    confidence: "NDArray[Any] | None" = None
    at: "NDArray[Any] | None" = None
    ready: "NDArray[Any] | None" = None
    learned: "NDArray[Any] | None" = None
    proven: "NDArray[Any] | None" = None


@dataclass(frozen=True, slots=True)
class States:
    """What one look leaves to the next, as in `blend.State`; NaN where there is none. Times are in
    seconds since 1970."""

    target: "Floats"
    moved_at: "Floats"
    baseline: "Floats"
    held_since: "Floats"
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class BlendedMany:
    """A row for each instrument, as in `blend.Blended`. `compared`: both legs had a direction, so
    that `conflict` says something; `fallback`: a leg was missing that the answer needed."""

    target: "Floats"
    trade: "Flags"
    turnover: "Floats"
    wanted: "Floats"
    conflict: "Flags"
    compared: "Flags"
    fallback: "Flags"
    baseline_weight: "Floats"
    candidate_weight: "Floats"
    states: States

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, slots=True)
class _Legs:
    """Exposures within limits (0 where there is none), their confidence, and which may be used."""

    exposure: "Floats"
    confidence: "Floats"
    usable: "Flags"
    known: "Flags"


def nothing_yet(count: int) -> States:
    """Before the first look."""
    import numpy as np

    nothing = np.full(count, np.nan)
    return States(nothing, nothing, nothing, nothing)


def blend_many(
    settings: Settings, shares: "NDArray[np.int64]", epoch: int, states: States,
    baseline: Signals, candidate: Signals, now_s: float,
) -> BlendedMany:  # fmt: skip
    """`shares`: of each instrument, in 1/100,000. Raises ValueError if columns differ in length."""
    import numpy as np

    count = len(shares)
    for column in _columns(states, baseline, candidate):
        if len(column) != count:
            raise ValueError(f"a column has {len(column)} rows, not {count}")
    old = _read(settings, baseline, settings.limits.baseline, now_s)
    new = _read(settings, candidate, settings.limits.candidate, now_s)
    none, whole = shares == NONE, shares == WHOLE
    if settings.mode is Mode.CONFIDENCE:
        unsure = np.isnan(new.confidence) & ~none & ~whole
        new = _Legs(new.exposure, new.confidence, new.usable & ~unsure, new.known)
    lacks = ~((old.usable | whole) & (new.usable | none))
    since = np.where(lacks, np.fmin(states.held_since, now_s), np.nan)
    holds = lacks & (now_s - since < settings.missing.hold_s)
    parts = _weights(settings, shares / WHOLE, old, new, candidate.learned)
    wanted, weights, direction = _mixed(settings, old, new, parts, candidate.proven)
    wanted, weights, unknown = _fallen_back(
        settings, (none, whole), states, old, new, parts, holds, wanted, weights
    )
    before = np.nan_to_num(states.target)
    wanted = _within(np.where(unknown, before, wanted), settings.limits.account)
    blended = old.usable & new.usable & ~none & ~whole
    target = np.where(blended, _rubbed(settings, states, epoch, wanted, now_s), wanted)
    silent = unknown & np.isnan(states.target)
    trade = ~silent & (target != states.target)
    opposite = direction[0] * direction[1] < 0
    return BlendedMany(
        target, trade, np.abs(target - before), wanted,
        conflict=opposite & old.known & new.known,
        compared=(direction[0] != 0) & (direction[1] != 0) & old.known & new.known,
        fallback=lacks, baseline_weight=weights[0], candidate_weight=weights[1],
        states=States(
            np.where(silent, np.nan, target),
            np.where(trade, now_s, states.moved_at),
            np.where(old.usable, old.exposure, states.baseline),
            since, epoch,
        ),
    )  # fmt: skip


def _columns(states: States, *sides: Signals) -> "list[NDArray[Any]]":
    found: list[Any] = [states.target, states.moved_at, states.baseline, states.held_since]
    for side in sides:
        found += [
            side.exposure, side.confidence, side.at, side.ready, side.learned, side.proven,
        ]  # fmt: skip
    return [column for column in found if column is not None]


def _read(settings: Settings, signals: Signals, limit: float | None, now_s: float) -> _Legs:
    import numpy as np

    raw = np.asarray(signals.exposure, np.float64)
    usable = np.abs(raw) <= LARGEST
    if signals.ready is not None:
        usable &= np.asarray(signals.ready, np.bool_)
    if settings.max_age_s:
        if signals.at is None:
            usable = np.zeros_like(usable)
        else:
            age = np.abs(now_s - np.asarray(signals.at, np.float64))
            usable &= age <= settings.max_age_s
    exposure = _within(np.where(usable, raw, 0.0), limit)
    confidence = np.full(len(raw), np.nan)
    if signals.confidence is not None:
        told = np.asarray(signals.confidence, np.float64)
        confidence = np.where((told >= 0) & (told <= 1) & usable, told, np.nan)
    return _Legs(exposure, confidence, usable, usable)


def _within(exposure: "Floats", limit: float | None) -> "Floats":
    import numpy as np

    return exposure if limit is None else np.clip(exposure, -limit, limit)


def _sureness(legs: _Legs) -> "Floats":
    import numpy as np

    return np.where(np.isnan(legs.confidence), 1.0, legs.confidence)


def _weights(
    settings: Settings, share: "Floats", old: _Legs, new: _Legs, learned: "NDArray[Any] | None"
) -> "tuple[Floats, Floats]":
    """Where nothing was learned, the baseline has it all."""
    import numpy as np

    match settings.mode:
        case Mode.CONFIDENCE:
            return (1 - share) * _sureness(old), share * _sureness(new)
        case Mode.PERFORMANCE:
            taught = np.zeros(len(share)) if learned is None else np.nan_to_num(learned)
            part = np.minimum(share, np.clip(taught, 0.0, settings.performance.most))
            return 1 - part, part
        case Mode.SWITCH:
            part = np.where(share >= 1, 1.0, 0.0)
            return 1 - part, part
        case _:
            return 1 - share, share


def _mixed(
    settings: Settings, old: _Legs, new: _Legs, parts: "tuple[Floats, Floats]",
    proven: "NDArray[Any] | None",
) -> "tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]":  # fmt: skip
    """The exposure, what the legs were multiplied by, and their directions."""
    import numpy as np

    def direction(exposure: "Floats") -> "Floats":
        return np.where(np.abs(exposure) > settings.deadband, np.sign(exposure), 0.0)

    sides = direction(old.exposure), direction(new.exposure)
    conflict = sides[0] * sides[1] < 0
    wanted = parts[0] * old.exposure + parts[1] * new.exposure
    alone = _sureness(old) if settings.mode is Mode.CONFIDENCE else np.ones(len(wanted))
    if settings.conflict is Conflict.NET:
        return wanted, parts, sides
    if settings.conflict is Conflict.MIN_ABS:
        up = (old.exposure > 0) & (new.exposure > 0)
        down = (old.exposure < 0) & (new.exposure < 0)
        least = np.minimum(wanted, np.minimum(old.exposure, new.exposure))
        most = np.maximum(wanted, np.maximum(old.exposure, new.exposure))
        wanted = np.where(up, least, np.where(down, most, 0.0))
    first, second = np.zeros(len(wanted)), np.zeros(len(wanted))
    match settings.conflict:
        case Conflict.PREFER_OLD:
            first = alone
        case Conflict.PREFER_NEW:
            second = parts[1]
        case Conflict.MAX_CONFIDENCE:
            surer = np.nan_to_num(new.confidence) > np.nan_to_num(old.confidence)
            surer &= False if proven is None else np.asarray(proven, np.bool_)
            first, second = np.where(surer, 0.0, alone), np.where(surer, parts[1], 0.0)
        case _:
            pass
    weights = np.where(conflict, first, parts[0]), np.where(conflict, second, parts[1])
    settled = first * old.exposure + second * new.exposure
    return np.where(conflict, settled, wanted), weights, sides


def _fallen_back(
    settings: Settings, ends: "tuple[Flags, Flags]", states: States, old: _Legs, new: _Legs,
    parts: "tuple[Floats, Floats]", holds: "Flags", wanted: "Floats",
    weights: "tuple[Floats, Floats]",
) -> "tuple[Floats, tuple[Floats, Floats], Flags]":  # fmt: skip
    """The ends, and what is done without a leg; and where nothing is known."""
    import numpy as np

    none, whole = ends
    exposure, first, second = wanted, *weights
    zeros, ones = np.zeros(len(wanted)), np.ones(len(wanted))
    unknown = np.zeros(len(wanted), np.bool_)

    def put(where: "Flags", value: "Floats", old_part: "Floats", new_part: "Floats") -> None:
        nonlocal exposure, first, second
        exposure = np.where(where, value, exposure)
        first, second = np.where(where, old_part, first), np.where(where, new_part, second)

    lone = old.usable & ~new.usable & ~none
    alone = _sureness(old) if settings.mode is Mode.CONFIDENCE else ones
    alone = np.where(whole, 1.0, alone)
    put(lone, alone * old.exposure, alone, zeros)
    match settings.missing.candidate:
        case WithoutCandidate.FLAT:
            put(lone, zeros, zeros, zeros)
        case WithoutCandidate.BASELINE_SCALED:
            put(lone, parts[0] * old.exposure, parts[0], zeros)
        case WithoutCandidate.HOLD:
            put(lone & holds & ~np.isnan(states.target), states.target, zeros, zeros)
        case _:
            pass
    lost = ~old.usable & ~(whole & new.usable)
    put(lost, zeros, zeros, zeros)
    scaled = lost & new.usable & (settings.missing.baseline is WithoutBaseline.CANDIDATE_SCALED)
    if settings.missing.baseline is not WithoutBaseline.FLAT:
        last = np.where(none, states.baseline, states.target)
        held = lost & holds & ~scaled
        put(held, np.nan_to_num(last), zeros, zeros)
        unknown = held & np.isnan(last)
    put(scaled, parts[1] * new.exposure, zeros, parts[1])
    put(none & old.usable, old.exposure, ones, zeros)
    put(whole & new.usable, new.exposure, zeros, ones)
    return exposure, (first, second), unknown


def _rubbed(
    settings: Settings, states: States, epoch: int, wanted: "Floats", now_s: float
) -> "Floats":
    """As `friction.rub`."""
    import numpy as np

    good = ~np.isnan(states.target) & (states.epoch == epoch)
    if settings.limits.account is not None:
        good &= np.abs(np.nan_to_num(states.target)) <= settings.limits.account
    position = np.where(good, states.target, 0.0)
    threshold = np.where(position * wanted > 0, settings.leave, settings.enter)
    target = np.where(np.abs(wanted) >= threshold, wanted, 0.0)
    near = (target != 0) & (np.abs(target - position) <= settings.band)
    target = np.where(good & near, position, target)
    waited = now_s - states.moved_at
    fresh = good & (waited >= 0) & (waited < settings.min_hold_s)
    return np.where(fresh, position, target)
