"""The blend in plain words: what it is, and what it comes to at a share."""

from datetime import timedelta

from controller.blend.settings import Conflict, Mode, Settings, WithoutBaseline, WithoutCandidate
from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.share import NONE, WHOLE, Share, percent_text

_MODES = {
    Mode.WEIGHTED: "each by its share",
    Mode.CONFIDENCE: "each by its share and its confidence",
    Mode.PERFORMANCE: "by what both earned, the candidate's never above its share",
    Mode.SWITCH: "each instrument by one version alone, as many by the candidate's as its share",
}
_CONFLICTS = {
    Conflict.NET: "their weighted sum",
    Conflict.PREFER_OLD: "the baseline's",
    Conflict.PREFER_NEW: "the candidate's, at its weight",
    Conflict.FLAT: "nothing",
    Conflict.MIN_ABS: "nothing; where they agree, no more than the smaller",
    Conflict.MAX_CONFIDENCE: "that of the surer one",
}
_WITHOUT_CANDIDATE = {
    WithoutCandidate.BASELINE_FULL: "the baseline's in its place",
    WithoutCandidate.BASELINE_SCALED: "the baseline's at its weight",
    WithoutCandidate.HOLD: "what was held, for {}; then the baseline's",
    WithoutCandidate.FLAT: "nothing",
}
_WITHOUT_BASELINE = {
    WithoutBaseline.HOLD: "what was held, for {}; then nothing",
    WithoutBaseline.FLAT: "nothing",
    WithoutBaseline.CANDIDATE_SCALED: "the candidate's at its weight",
}


def blend_lines(settings: Settings | None) -> list[str]:
    """What a policy's blend is, for `rollout plan`; empty without one."""
    if settings is None:
        return []
    lines = ["", "Signals", f"  both targets become one, {_MODES[settings.mode]}"]
    if settings.mode is not Mode.SWITCH:
        lines.append(f"  opposite targets: {_CONFLICTS[settings.conflict]}")
    missing, hold = settings.missing, _seconds(settings.missing.hold_s)
    lines.append(f"  without the candidate's: {_WITHOUT_CANDIDATE[missing.candidate].format(hold)}")
    lines.append(f"  without the baseline's: {_WITHOUT_BASELINE[missing.baseline].format(hold)}")
    if settings.band:
        lines.append(f"  a change of up to {settings.band:g} is not traded")
    return lines


def blend_now(settings: Settings | None, share: Share) -> str:
    """What the blend comes to at a share, in a line; empty without one."""
    if settings is None:
        return ""
    if share == NONE:
        return "blend: the baseline's target is held"
    if share == WHOLE:
        return "blend: the candidate's target is held"
    new, old = percent_text(share), percent_text(Share(WHOLE - share))
    match settings.mode:
        case Mode.WEIGHTED:
            return f"blend: {new} of the candidate's target, {old} of the baseline's"
        case Mode.CONFIDENCE:
            return (
                f"blend: {new} of the candidate's target, {old} of the baseline's, each times its "
                "confidence"
            )
        case Mode.PERFORMANCE:
            return f"blend: up to {new} of the candidate's target, by what both earned"
        case Mode.SWITCH:
            return f"blend: the candidate's target for {new} of the instruments"


def _seconds(seconds: float) -> str:
    return span(milliseconds(timedelta(seconds=seconds)))
