"""What a policy says of blending, as clients read it."""

from controller.blend.settings import (
    Calibration,
    Conflict,
    Limits,
    Missing,
    Mode,
    Performance,
    Settings,
    WithoutBaseline,
    WithoutCandidate,
)
from controller.policy import transition
from controller.policy.models import Policy


def blending(policy: Policy) -> Settings | None:
    """None where the policy blends nothing."""
    told = policy.transition.blend
    if told is None:
        return None
    missing, limits = told.missing, told.limits
    held = (
        Missing() if missing.hold_for is None else Missing(hold_s=missing.hold_for.total_seconds())
    )
    calibration = told.calibration or transition.Calibration()
    return Settings(
        mode=Mode(told.mode),
        conflict=Conflict(told.conflict),
        deadband=told.deadband,
        band=told.band,
        enter=told.hysteresis.enter if told.hysteresis else 0.0,
        leave=told.hysteresis.leave if told.hysteresis else 0.0,
        min_hold_s=told.min_hold.total_seconds() if told.min_hold else 0.0,
        max_age_s=told.max_age.total_seconds() if told.max_age else 0.0,
        missing=Missing(
            WithoutBaseline(missing.baseline), WithoutCandidate(missing.candidate), held.hold_s
        ),
        limits=Limits(limits.baseline, limits.candidate, limits.account),
        performance=_performance(told.performance or transition.PerformanceBlend()),
        calibration=Calibration(calibration.worst, calibration.samples),
    )


def _performance(told: transition.PerformanceBlend) -> Performance:
    return Performance(
        learning_rate=told.learning_rate,
        sharing=told.sharing / 100,
        scale=told.scale / 100,
        cost=told.cost / 100,
        least=told.least / 100,
        most=told.most / 100,
        step=told.step / 100,
        every_s=told.every.total_seconds(),
    )
