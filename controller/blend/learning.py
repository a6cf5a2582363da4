"""What the past teaches: which leg earned more (Hedge), and whether a confidence means what it says
(Brier). Both look at exposures that were wanted before the move they are judged by.
"""

from datetime import datetime
from math import exp

from msgspec import Struct
from msgspec.structs import replace

from controller.blend.settings import Calibration, Performance, Settings


class Record(Struct, frozen=True, omit_defaults=True):
    """One leg's past. `exposure`, `confidence`: as of the last look, None if it was not usable
    then; `turned`: how far the exposure had moved; `gained`: net return that the weights have not
    learned of yet; `brier`: mean squared error of its confidence over about the last `outcomes`."""

    exposure: float | None = None
    confidence: float | None = None
    turned: float = 0.0
    gained: float = 0.0
    brier: float = 0.0
    outcomes: int = 0


class Learned(Struct, frozen=True, omit_defaults=True):
    """Both pasts, and the candidate's weight that they teach; None before anything was learned."""

    baseline: Record = Record()
    candidate: Record = Record()
    weight: float | None = None
    since: datetime | None = None


def hedge(settings: Performance, weight: float, gains: tuple[float, float]) -> float:
    """The candidate's weight after the legs' net returns `gains` (baseline, candidate).

    Hedge with fixed share (Freund and Schapire, 1997; Herbster and Warmuth, 1998): losses
    l = clip((1 - r / scale) / 2, 0, 1), v_i = w_i exp(-rate (l_i - min l)),
    w = (1 - sharing) v / sum v + sharing / 2; then kept within [least, most], and no further than
    `step` from what it was."""
    losses = [min(max((1 - gain / settings.scale) / 2, 0.0), 1.0) for gain in gains]
    least = min(losses)
    old, new = (exp(-settings.learning_rate * (loss - least)) for loss in losses)
    old, new = (1 - weight) * old, weight * new
    wanted = (1 - settings.sharing) * new / (old + new) + settings.sharing / 2
    wanted = min(max(wanted, settings.least), settings.most)
    return weight + min(max(wanted - weight, -settings.step), settings.step)


def starting_weight(settings: Performance) -> float:
    """Neither leg is better before anything was learned."""
    return min(max(0.5, settings.least), settings.most)


def learn(settings: Settings, known: Learned, move: float, now: datetime) -> Learned:
    """After the instrument moved by `move` (0.01: up 1%) since the last look. Returns are compared
    only where both legs had a target on the same bar."""
    baseline, candidate = (
        _judged(record, move, settings.deadband, settings.calibration)
        for record in (known.baseline, known.candidate)
    )
    nets = [_net(record, move, settings.performance.cost) for record in (baseline, candidate)]
    if nets[0] is None or nets[1] is None:
        return replace(known, baseline=baseline, candidate=candidate)
    gains = (baseline.gained + nets[0], candidate.gained + nets[1])
    weight, since = known.weight, known.since
    if since is None or since > now:
        since = now
    if (now - since).total_seconds() >= settings.performance.every_s:
        before = starting_weight(settings.performance) if weight is None else weight
        weight, since = hedge(settings.performance, before, gains), now
        gains = (0.0, 0.0)
    return Learned(
        replace(baseline, gained=gains[0]), replace(candidate, gained=gains[1]), weight, since
    )


def notice(record: Record, exposure: float | None, confidence: float | None) -> Record:
    """What is to be remembered of this look's leg."""
    before = record.exposure
    turned = abs(exposure - before) if exposure is not None and before is not None else 0.0
    return Record(exposure, confidence, turned, record.gained, record.brier, record.outcomes)


def is_miscalibrated(record: Record, settings: Calibration) -> bool:
    """Whether enough outcomes prove a confidence wrong."""
    return record.outcomes >= settings.samples and record.brier > settings.worst


def is_calibrated(record: Record, settings: Calibration) -> bool:
    """Whether enough outcomes bear a confidence out."""
    return record.outcomes >= settings.samples and record.brier <= settings.worst


def _net(record: Record, move: float, cost: float) -> float | None:
    if record.exposure is None:
        return None
    return record.exposure * move - cost * record.turned


def _judged(record: Record, move: float, deadband: float, settings: Calibration) -> Record:
    """Brier (1950): the mean of (confidence - outcome)^2; an outcome is 1 if the move went the way
    of the exposure. No direction and no move say nothing."""
    exposure, confidence = record.exposure, record.confidence
    if exposure is None or confidence is None or abs(exposure) <= deadband or not move:
        return record
    error = (confidence - ((exposure > 0) == (move > 0))) ** 2
    outcomes = min(record.outcomes + 1, settings.samples)
    brier = record.brier + (error - record.brier) / outcomes
    return replace(record, brier=brier, outcomes=outcomes)
