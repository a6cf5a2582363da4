"""Weights by mode, and what is done where the legs point in opposite directions.

`share` here is the candidate's part of the work, 0 to 1. In every mode the candidate's weight is at
most its share, rises with it, and is 0 at 0 and 1 at 1.
"""

from typing import assert_never

from msgspec import Struct

from controller.blend.legs import Leg
from controller.blend.settings import Conflict, Mode, Settings


class Mixture(Struct, frozen=True):
    """The exposure of both legs together, and what each was multiplied by."""

    exposure: float
    baseline: float
    candidate: float


def weights(
    settings: Settings, share: float, baseline: Leg, candidate: Leg, learned: float
) -> tuple[float, float]:
    """What each leg is multiplied by. `learned`: the candidate's weight by its performance."""
    match settings.mode:
        case Mode.WEIGHTED:
            return 1 - share, share
        case Mode.CONFIDENCE:
            # Not normalised: who is unsure asks for less. A baseline without one is sure.
            return (1 - share) * sureness(baseline), share * sureness(candidate)
        case Mode.PERFORMANCE:
            part = min(share, learned, settings.performance.most)
            return 1 - part, part
        case Mode.SWITCH:
            # Whoever routes makes it 0 or 1 for each key.
            return (0.0, 1.0) if share >= 1 else (1.0, 0.0)
        case _:
            assert_never(settings.mode)


def sureness(leg: Leg) -> float:
    """Its confidence; 1 without one."""
    return 1.0 if leg.confidence is None else leg.confidence


def baseline_alone(settings: Settings, baseline: Leg) -> float:
    """What the baseline is multiplied by where the candidate's part falls to it."""
    return sureness(baseline) if settings.mode is Mode.CONFIDENCE else 1.0


def direction(exposure: float, deadband: float) -> int:
    """1 long, -1 short, 0 neither: no further from flat than `deadband`."""
    return (exposure > deadband) - (exposure < -deadband)


def mix(
    settings: Settings, baseline: Leg, candidate: Leg, parts: tuple[float, float],
    *, proven: bool,
) -> Mixture:  # fmt: skip
    """Both legs, which are usable, by their weights and the rule for conflicts. `proven`: the
    candidate's confidence is borne out by what came of it."""
    old, new = baseline.exposure or 0.0, candidate.exposure or 0.0
    sides = direction(old, settings.deadband), direction(new, settings.deadband)
    if sides[0] * sides[1] < 0:
        return _conflict(settings, baseline, candidate, parts, proven=proven)
    exposure = parts[0] * old + parts[1] * new
    if settings.conflict is Conflict.MIN_ABS:
        exposure = _smaller(exposure, old, new)
    return Mixture(exposure, *parts)


def _conflict(
    settings: Settings, baseline: Leg, candidate: Leg, parts: tuple[float, float],
    *, proven: bool,
) -> Mixture:  # fmt: skip
    """The candidate never has more than its weight; the baseline may have the whole."""
    old, new = baseline.exposure or 0.0, candidate.exposure or 0.0
    alone = baseline_alone(settings, baseline)
    only_old, only_new = Mixture(alone * old, alone, 0.0), Mixture(parts[1] * new, 0.0, parts[1])
    match settings.conflict:
        case Conflict.NET:
            return Mixture(parts[0] * old + parts[1] * new, *parts)
        case Conflict.PREFER_OLD:
            return only_old
        case Conflict.PREFER_NEW:
            return only_new
        case Conflict.FLAT | Conflict.MIN_ABS:
            return Mixture(0.0, 0.0, 0.0)
        case Conflict.MAX_CONFIDENCE:
            surer = (candidate.confidence or 0.0) > (baseline.confidence or 0.0)
            return only_new if surer and proven else only_old
        case _:
            assert_never(settings.conflict)


def _smaller(exposure: float, old: float, new: float) -> float:
    """0 unless both point the same way; else no further than the nearer of both."""
    if old > 0 and new > 0:
        return min(exposure, old, new)
    if old < 0 and new < 0:
        return max(exposure, old, new)
    return 0.0
