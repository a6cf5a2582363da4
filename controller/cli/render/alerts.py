"""Alerts that stand, for `rollout status` and `rollout explain`."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.text import Text

from controller.cli.render import words
from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.effect import Severity
from controller.core.plan import Plan
from controller.core.standing import Alerting, Standing
from controller.core.state import State
from controller.core.telling import escalates_at, held_until, repeats_at, route_of

_TONES = {
    Severity.LOW: "dim",
    Severity.MEDIUM: "yellow",
    Severity.HIGH: "bold yellow",
    Severity.CRITICAL: "bold red",
}


def alert_lines(plan: Plan, state: State, now: datetime, *, local: bool) -> list[Text]:
    """One alert in two lines, the gravest first; then what is silenced."""
    alerting = state.alerts or Alerting()
    lines: list[Text] = []
    for name, one in sorted(alerting.standing.items(), key=lambda item: -item[1].severity):
        age = span(milliseconds(now - one.since))
        lines.append(
            Text.assemble(
                ("  " + one.severity.word.ljust(9), _TONES[one.severity]),
                (name, "bold"),
                f"  {_stands(one)}, {age} ago: {one.title}",
            )
        )
        lines += [Text(f"{'':11}{said}", style="dim") for said in _people(plan, state, name, now)]
    for silence in alerting.silences:
        until = words.moment(silence.until, local=local)
        what = silence.alert or "every alert"
        why = f": {silence.reason}" if silence.reason else ""
        lines.append(Text(f"  silent until {until}: {what}, by {silence.by}{why}", style="cyan"))
    return lines


def _stands(one: Standing) -> str:
    if one.acknowledged is not None:
        return f"acknowledged by {one.acknowledged.by}"
    return "over, and nobody has acknowledged it" if one.over is not None else "firing"


def _people(plan: Plan, state: State, name: str, now: datetime) -> Iterator[str]:
    """Who was told, and who is next."""
    assert plan.alerts is not None and state.alerts is not None, "something stands"
    one, told = state.alerts.standing[name], plan.alerts
    if one.told_to:
        yield f"told: {', '.join(one.told_to)}"
    route = route_of(told, one)
    held = held_until(told, state.alerts.silences, name, one, now)
    if held is not None:
        yield f"held back for {span(milliseconds(held - now))}"
    if route is None or held is not None:
        return
    for word, at in (("again", repeats_at(one, route)), ("escalates", escalates_at(one, route))):
        if at is not None:
            yield f"{word} in {span(max(0, milliseconds(at - now)))}"


def alerts_as_data(plan: Plan, state: State) -> dict[str, Any]:
    """The same for programs."""
    alerting = state.alerts or Alerting()
    told = plan.alerts
    standing = []
    for name, one in alerting.standing.items():
        route = route_of(told, one) if told is not None else None
        standing.append(
            {
                "alert": name,
                "severity": one.severity.word,
                "title": one.title,
                "reasons": one.reasons,
                "since": one.since,
                "over": one.over,
                "times": one.times,
                "told": one.told_to,
                "told_at": one.last_told,
                "escalations": one.climbed,
                "acknowledged": one.acknowledged,
                "again_at": repeats_at(one, route) if route is not None else None,
                "escalates_at": escalates_at(one, route) if route is not None else None,
            }
        )
    return {
        "standing": standing,
        "silences": alerting.silences,
        "waiting": {key: sent.channel for key, sent in alerting.sent.items()},
    }
