"""What keeps a blend from being traded at every look: minimum hold, hysteresis, no-trade band."""

from datetime import datetime
from enum import StrEnum

from controller.blend.settings import Settings


class Friction(StrEnum):
    """What kept the target from following the blend."""

    MIN_HOLD = "min_hold"
    HYSTERESIS = "hysteresis"
    BAND = "band"


def rub(
    settings: Settings, held: float | None, moved_at: datetime | None, wanted: float, now: datetime
) -> tuple[float, Friction | None]:
    """The target instead of `wanted`, and what changed it. `held`: the target so far, None if
    there is none; `moved_at`: when it last changed. What asks for nothing at all is followed past
    the band, so that no rest stays behind."""
    position = held or 0.0
    if held is not None and _is_fresh(settings, moved_at, now) and wanted != position:
        return position, Friction.MIN_HOLD
    target = _past_thresholds(settings, position, wanted)
    if held is not None and target and 0 < abs(target - position) <= settings.band:
        return position, Friction.BAND
    return target, Friction.HYSTERESIS if target != wanted else None


def _is_fresh(settings: Settings, moved_at: datetime | None, now: datetime) -> bool:
    """A clock that was set back holds nothing."""
    if moved_at is None or not settings.min_hold_s:
        return False
    return 0 <= (now - moved_at).total_seconds() < settings.min_hold_s


def _past_thresholds(settings: Settings, position: float, wanted: float) -> float:
    """Into the market at `enter`, out of it below `leave`, through it at `enter` again."""
    size = abs(wanted)
    same_side = position * wanted > 0
    return wanted if size >= (settings.leave if same_side else settings.enter) else 0.0
