"""What people say of alerts: that they have taken them on, or want to hear nothing for a time."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from controller.core.clocks import advance_clocks
from controller.core.decision import Decision
from controller.core.enter import Effects
from controller.core.event import Command
from controller.core.explain import told
from controller.core.plan import Plan
from controller.core.standing import Acknowledged, Alerting, Silence
from controller.core.state import State
from controller.core.telling import matches

LONGEST_SILENCE = timedelta(days=30)


def on_word(plan: Plan, before: State, event: Command, now: datetime) -> Decision:
    """A person acknowledges alerts, or silences them for a time."""
    state, notes = advance_clocks(plan, before, now, acknowledged=not before.unacknowledged)
    effects = Effects(state.rollout, state.seq, now)
    alerting = state.alerts or Alerting()
    refused = _refusal(plan, alerting, event, now)
    what = event.alert or "all alerts"
    until = f" until {event.until:%Y-%m-%d %H:%M:%S} UTC" if event.until else ""
    reasons = (
        f"{event.name} {what}{until} by {event.by}" + (f": {event.reason}" if event.reason else ""),
    )
    if refused:
        return told(plan, state, now, effects, "", reasons, refused, notes)
    if event.name == "ack":
        word = Acknowledged(event.by, now, event.until, event.reason)
        standing = {
            name: replace(one, acknowledged=word) if name in _open(alerting, event.alert) else one
            for name, one in alerting.standing.items()
        }
        alerting = replace(alerting, standing=standing)
    else:
        assert event.until is not None, "a silence without an end is refused"
        kept = tuple(one for one in alerting.silences if one.alert != event.alert)
        if event.until > now:
            kept = (*kept, Silence(event.alert, event.by, event.until, event.reason))
        alerting = replace(alerting, silences=kept)
    return told(plan, replace(state, alerts=alerting), now, effects, "", reasons, notes=notes)


def _open(alerting: Alerting, wanted: str) -> list[str]:
    """Alerts that nobody has acknowledged yet."""
    return [
        name
        for name, one in alerting.standing.items()
        if one.acknowledged is None and matches(wanted, name)
    ]


def _refusal(plan: Plan, alerting: Alerting, event: Command, now: datetime) -> str:
    """Why it cannot be done, with what can be; empty: it can."""
    if plan.alerts is None:
        return "the policy has no `alerts`, so nobody waits for a word; the log has every alert"
    if event.name == "silence":
        if event.until is None or event.until > now + LONGEST_SILENCE:
            return f"a silence has an end, at most {LONGEST_SILENCE.days} days from now"
        if event.until <= now and all(one.alert != event.alert for one in alerting.silences):
            silent = ", ".join(one.alert or "all" for one in alerting.silences) or "nothing"
            return f"{event.alert or 'all'} is not silenced; silenced: {silent}"
        return ""
    if event.until is not None and event.until <= now:
        return "that time is over"
    if not _open(alerting, event.alert):
        there = ", ".join(_open(alerting, "")) or "none"
        return f"no alert {event.alert or 'at all'} waits for a person; waiting: {there}"
    return ""
