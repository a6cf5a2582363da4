"""The blend of one instrument at one look.

Rules on top:
- With none of the work (after every rollback, too) the answer is the baseline's exposure, with all
  of it the candidate's, each within its own limit and the account's; nothing else is done to it.
- In between, each leg counts by its weight; frictions hold only there, and not across an epoch.
- A leg that is missing, stale, warming or no number is no leg. Without the candidate's, its part
  falls to the baseline unless the policy says else; without the baseline's, the candidate never
  gets more than its part: what was held is held for a while, then nothing is.
- What is remembered from look to look is one value, `State`: handed in, handed out.
"""

from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from controller.blend.friction import Friction, rub
from controller.blend.learning import (
    Learned,
    is_calibrated,
    is_miscalibrated,
    learn,
    notice,
    starting_weight,
)
from controller.blend.legs import Leg, Number, Signal, Status, read, within
from controller.blend.mixing import baseline_alone, direction, mix, weights
from controller.blend.settings import Mode, Settings, WithoutBaseline, WithoutCandidate
from controller.core.share import NONE, WHOLE, Share


class Why(StrEnum):
    """How the answer came about, before frictions."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    BLENDED = "blended"
    CONFLICT = "conflict"
    NO_CANDIDATE = "no_candidate"
    NO_BASELINE = "no_baseline"
    HELD = "held"
    LAPSED = "lapsed"
    NOTHING_KNOWN = "nothing_known"


class Basis(Struct, frozen=True):
    """The published state that a blend rests on. `version`: the candidate's name, or the
    baseline's where nothing is known of a candidate; `share`: of the key that was asked about;
    `doubt`: why the baseline acts for want of something better, empty otherwise."""

    version: str
    share: Share
    epoch: int = 0
    token: int = 0
    doubt: str = ""


class State(Struct, frozen=True, omit_defaults=True):
    """What one look leaves to the next. `target`: what was asked for last (None: nothing yet), and
    when it last changed; `baseline`: the baseline's last exposure; `held_since`: since when a leg
    has been missing that the answer needs."""

    target: float | None = None
    moved_at: datetime | None = None
    baseline: float | None = None
    held_since: datetime | None = None
    epoch: int = 0
    learned: Learned = Learned()


class Blended(Struct, frozen=True):
    """What to hold from now on, and why. `trade`: whether that is another target than before (not
    so where nothing is known yet: leave the position as it is). `wanted`: before frictions.
    `conflict` and `agreed`: None where a leg, or its direction, is missing."""

    target: float
    trade: bool
    turnover: float
    wanted: float
    why: Why
    friction: Friction | None
    limited: bool
    conflict: bool | None
    agreed: bool | None
    baseline: Leg
    candidate: Leg
    basis: Basis
    state: State

    def __str__(self) -> str:
        """The version that an observation of it is about."""
        return self.basis.version

    def fields(self) -> dict[str, Any]:
        """For `Client.record`: what metrics may be made of. What is not known is left out."""
        old, new = self.baseline.exposure, self.candidate.exposure
        record = self.state.learned.candidate
        known: dict[str, float | bool | None] = {
            "target": self.target,
            "turnover": self.turnover,
            "weight": self.candidate.weight,
            "fallback": self.why not in _AS_MEANT,
            "conflict": self.conflict,
            "agreed": self.agreed,
            "gap": None if old is None or new is None else abs(new - old),
            "brier": record.brier if record.outcomes else None,
        }
        return {name: value for name, value in known.items() if value is not None}


_AS_MEANT = (Why.BASELINE, Why.CANDIDATE, Why.BLENDED, Why.CONFLICT)


class _Answer(Struct, frozen=True):
    """What the legs come to: the exposure (None: nothing is known) and what each leg was
    multiplied by. `rubs`: whether frictions may keep the target from it."""

    exposure: float | None
    why: Why
    baseline: float = 0.0
    candidate: float = 0.0
    rubs: bool = False


def blend(
    settings: Settings,
    basis: Basis,
    state: State,
    baseline: Signal | Number | None,
    candidate: Signal | Number | None,
    now: datetime,
    *,
    instrument: str = "",
    move: float | None = None,
) -> Blended:
    """What to hold of `instrument`. `now` is aware; `move`: how far its price moved since the last
    look, as a fraction, once for each bar (None: not known, nothing is learned)."""
    limits = settings.limits
    old = read(baseline, settings, limits.baseline, instrument, now)
    new = read(candidate, settings, limits.candidate, instrument, now)
    learned = state.learned
    if move is not None and isfinite(move):
        learned = learn(settings, learned, move, now)
    learned = replace(
        learned,
        baseline=notice(learned.baseline, old.exposure, old.confidence),
        candidate=notice(learned.candidate, new.exposure, new.confidence),
    )
    new = _trusted(settings, basis.share, new, learned)
    held_since = _holding(state, now) if _lacks(basis.share, old, new) else None
    waited = (now - held_since).total_seconds() if held_since is not None else 0.0
    answer = _answer(settings, basis.share, state, old, new, learned, waited)
    return _settled(settings, basis, state, old, new, learned, held_since, answer, now)


def _trusted(settings: Settings, share: Share, leg: Leg, learned: Learned) -> Leg:
    """The candidate's leg, where its weight comes from a confidence: none without one, nor with
    one that was proven wrong."""
    if settings.mode is not Mode.CONFIDENCE or not NONE < share < WHOLE or not leg.usable:
        return leg
    if leg.confidence is None:
        return replace(leg, status=Status.NO_CONFIDENCE)
    if is_miscalibrated(learned.candidate, settings.calibration):
        return replace(leg, status=Status.UNCALIBRATED)
    return leg


def _lacks(share: Share, old: Leg, new: Leg) -> bool:
    """Whether a leg is missing that the answer needs."""
    return not ((old.usable or share == WHOLE) and (new.usable or share == NONE))


def _holding(state: State, now: datetime) -> datetime:
    """Since when; a clock that was set back begins anew."""
    return min(state.held_since, now) if state.held_since is not None else now


# What the legs come to ---------------------------------------------------------------------


def _answer(
    settings: Settings, share: Share, state: State, old: Leg, new: Leg, learned: Learned,
    waited: float,
) -> _Answer:  # fmt: skip
    if share == NONE and old.usable:
        return _Answer(old.exposure, Why.BASELINE, 1.0)
    if share == WHOLE and new.usable:
        return _Answer(new.exposure, Why.CANDIDATE, 0.0, 1.0)
    part = share / WHOLE
    weight = learned.weight
    if weight is None:
        weight = starting_weight(settings.performance)
    parts = weights(settings, part, old, new, weight)
    if not old.usable:
        return _without_baseline(settings, share, state, new, parts, waited)
    if not new.usable:
        whole = 1.0 if share == WHOLE else baseline_alone(settings, old)
        return _without_candidate(settings, state, old, whole, parts[0], waited)
    proven = is_calibrated(learned.candidate, settings.calibration)
    mixture = mix(settings, old, new, parts, proven=proven)
    why = Why.CONFLICT if _conflicting(settings, old, new) else Why.BLENDED
    return _Answer(mixture.exposure, why, mixture.baseline, mixture.candidate, rubs=True)


def _without_candidate(
    settings: Settings, state: State, old: Leg, whole: float, part: float, waited: float
) -> _Answer:
    """`whole` and `part`: what the baseline is multiplied by alone, and beside a candidate."""
    missing, exposure = settings.missing, old.exposure or 0.0
    if missing.candidate is WithoutCandidate.FLAT:
        return _Answer(0.0, Why.NO_CANDIDATE)
    if missing.candidate is WithoutCandidate.BASELINE_SCALED:
        return _Answer(part * exposure, Why.NO_CANDIDATE, part)
    holds = missing.candidate is WithoutCandidate.HOLD and waited < missing.hold_s
    if holds and state.target is not None:
        return _Answer(state.target, Why.HELD)
    return _Answer(whole * exposure, Why.NO_CANDIDATE, whole)


def _without_baseline(
    settings: Settings, share: Share, state: State, new: Leg, parts: tuple[float, float],
    waited: float,
) -> _Answer:  # fmt: skip
    """Where the candidate has no share, what is held is what the baseline last wanted."""
    rule = settings.missing.baseline
    if rule is WithoutBaseline.CANDIDATE_SCALED and new.usable:
        return _Answer(parts[1] * (new.exposure or 0.0), Why.NO_BASELINE, 0.0, parts[1])
    if rule is WithoutBaseline.FLAT:
        return _Answer(0.0, Why.NO_BASELINE)
    if waited >= settings.missing.hold_s:
        return _Answer(0.0, Why.LAPSED)
    last = state.baseline if share == NONE else state.target
    return _Answer(last, Why.HELD if last is not None else Why.NOTHING_KNOWN)


# What is held -------------------------------------------------------------------------------


def _settled(
    settings: Settings, basis: Basis, state: State, old: Leg, new: Leg, learned: Learned,
    held_since: datetime | None, answer: _Answer, now: datetime,
) -> Blended:  # fmt: skip
    before, account = state.target, settings.limits.account
    asked = before or 0.0 if answer.exposure is None else answer.exposure
    wanted = within(asked, account) + 0.0  # no -0.0
    target, friction = wanted, None
    if answer.rubs:
        # What an earlier epoch left, and what a limit forbids by now, is held by nothing.
        good = state.epoch == basis.epoch and before is not None
        kept = before if good and within(before or 0.0, account) == before else None
        target, friction = rub(settings, kept, state.moved_at, wanted, now)
    unknown = answer.exposure is None and before is None
    trade = not unknown and target != before
    return Blended(
        target=target,
        trade=trade,
        turnover=abs(target - (before or 0.0)),
        wanted=wanted,
        why=answer.why,
        friction=friction,
        limited=wanted != asked or old.limited or new.limited,
        conflict=_conflicting(settings, old, new),
        agreed=_agreeing(settings, old, new),
        baseline=replace(old, weight=answer.baseline),
        candidate=replace(new, weight=answer.candidate),
        basis=basis,
        state=State(
            target=None if unknown else target,
            moved_at=now if trade else state.moved_at,
            baseline=old.exposure if old.usable else state.baseline,
            held_since=held_since,
            epoch=basis.epoch,
            learned=learned,
        ),
    )


def _sides(settings: Settings, old: Leg, new: Leg) -> tuple[int, int] | None:
    if old.exposure is None or new.exposure is None:
        return None
    return direction(old.exposure, settings.deadband), direction(new.exposure, settings.deadband)


def _conflicting(settings: Settings, old: Leg, new: Leg) -> bool | None:
    """Whether both have a direction and they are opposite; None without both legs."""
    sides = _sides(settings, old, new)
    return None if sides is None else sides[0] * sides[1] < 0


def _agreeing(settings: Settings, old: Leg, new: Leg) -> bool | None:
    """Whether both have the same direction; None where one has none: that is no agreement."""
    sides = _sides(settings, old, new)
    return sides[0] == sides[1] if sides is not None and sides[0] and sides[1] else None
