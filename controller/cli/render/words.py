"""Numbers, times and outcomes as people read them."""

from datetime import datetime
from decimal import Decimal

from controller.core.assess import span
from controller.core.decision import Progress, RuleResult, Term
from controller.core.measurement import Outcome
from controller.policy.units import UNITS

OUTCOME_STYLE = {
    Outcome.PASS: "green",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_DATA: "yellow",
    Outcome.ERROR: "magenta",
    Outcome.FAIL: "red",
}
BAR_WIDTH = 20
LONG = {name: round(UNITS[name].factor * 1000) for name in ("m", "h", "d", "w")}
"""Units of time that people split into smaller ones, in milliseconds."""


def number(value: float | None, unit: str = "") -> str:
    """`88%`, `2,001 ms`, `1h 30m`, `0.013`; a dash for none. Written out down to a millionth."""
    if value is None:
        return "-"
    if unit in LONG:
        written = span(round(abs(value) * LONG[unit]))
        return f"-{written}" if value < 0 else written
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if "e" in text and abs(value) >= 1e-6:
        text = f"{Decimal(text):f}"
    if unit in ("", "ratio"):
        return text
    return f"{text}{unit}" if unit == "%" else f"{text} {unit}"


def moment(at: datetime | None, *, local: bool) -> str:
    """A time with its zone: local on a terminal, else UTC."""
    if at is None:
        return "-"
    shown = at.astimezone() if local else at
    return f"{shown:%Y-%m-%d %H:%M:%S %Z}"


def bar(fraction: float, width: int = BAR_WIDTH) -> str:
    """A bar of full and empty blocks; `fraction` is clipped to 0..1."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "█" * full + "░" * (width - full)


def clock(progress: Progress) -> str:
    """`dwell      █████░░░░░ 31m 30s of 1h 00m`."""
    if not progress.required_ms:
        return f"{progress.name:10} {span(progress.elapsed_ms)} {progress.note}".rstrip()
    fraction = progress.elapsed_ms / progress.required_ms
    words = f"{span(progress.elapsed_ms)} of {span(progress.required_ms)}"
    return f"{progress.name:10} {bar(fraction)} {words} {progress.note}".rstrip()


def outcome(result: RuleResult, *, trigger: bool) -> str:
    """A check passes or fails; a trigger is quiet, pending or firing; the unknown keeps its
    name. What is on a dry run says so."""
    said = _outcome(result, trigger=trigger)
    return f"dry run: {said}" if result.dry_run else said


def _outcome(result: RuleResult, *, trigger: bool) -> str:
    if trigger and result.firing:
        return "firing"
    if not trigger or result.outcome not in (Outcome.PASS, Outcome.FAIL):
        return result.outcome.value.replace("_", " ")
    return "pending" if result.outcome is Outcome.FAIL else "quiet"


def style(result: RuleResult, *, trigger: bool) -> str:
    """Colour of an outcome."""
    if result.dry_run:
        return "cyan" if result.firing else "dim"
    if trigger and result.outcome is Outcome.PASS and not result.firing:
        return "dim"
    return "bold red" if result.firing else OUTCOME_STYLE[result.outcome]


def distance(term: Term) -> str:
    """How far from the limit, signed: positive is the safe side."""
    return "" if term.distance is None else ("+" if term.distance >= 0 else "") + number(
        term.distance, term.unit
    )  # fmt: skip


def samples(term: Term) -> str:
    """`120 of 100`, or the count alone where none is asked for."""
    return f"{term.samples} of {term.min_samples}" if term.min_samples else str(term.samples or "")
