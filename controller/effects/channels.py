"""How people are reached: the channels of a policy, opened, and an alert in words for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from controller.core.effect import News, Notify, Status
from controller.effects.base import Target
from controller.policy.alerting import (
    AlertmanagerChannel,
    AppriseChannel,
    Channel,
    PagerDutyChannel,
    WebhookChannel,
)
from controller.policy.models import Policy

_STATUS: Mapping[Status, str] = {
    "firing": "",
    "again": "still",
    "escalated": "nobody has acknowledged",
    "acknowledged": "acknowledged",
    "over": "over",
    "happened": "",
}


class ChannelTarget(Target, Protocol):
    """A channel. Guarantee: at least once; the same message may come twice."""

    def check(self) -> str:
        """What is there, in words, for `rollout doctor`; tells nobody anything. Raises
        EffectError."""
        ...


def open_channels(policy: Policy, base_dir: Path, store: str) -> Mapping[str, ChannelTarget]:
    """The channels of a policy by name; opens nothing yet. Relative paths start at `base_dir`.
    `store`: the name of the store whose alerts these are."""
    told = policy.alerts
    if told is None:
        return {}
    return {name: _open(name, model, base_dir, store) for name, model in told.channels.items()}


def _open(name: str, model: Channel, base_dir: Path, store: str) -> ChannelTarget:
    # What talks over a network is loaded where a policy has it.
    match model:
        case AppriseChannel():
            from controller.effects.services import Services

            return Services(name, model, base_dir)
        case AlertmanagerChannel():
            from controller.effects.alertmanager import Alertmanager

            return Alertmanager(name, model, base_dir)
        case PagerDutyChannel():
            from controller.effects.pagerduty import PagerDuty

            return PagerDuty(name, model, base_dir, store)
        case WebhookChannel():
            from controller.effects.alert_webhook import AlertWebhook

            return AlertWebhook(name, model, base_dir, store)


def headline(message: Notify) -> str:
    """One line: the gravest of what is told, and how much more there is."""
    gravest = max(message.news, key=lambda news: news.severity)
    more = f" (and {len(message.news) - 1} more)" if len(message.news) > 1 else ""
    return f"[{_word(gravest)}] {gravest.title}{more}"


def text(message: Notify) -> str:
    """All of it, in lines; and what to do."""
    lines: list[str] = []
    for news in message.news:
        lines.append(f"[{_word(news)}] {news.title}")
        lines += [f"  {reason}" for reason in news.reasons]
        times = f", {news.times} times" if news.times > 1 else ""
        lines.append(f"  {news.name} since {news.since:%Y-%m-%d %H:%M:%S} UTC{times}")
        if news.over is not None and news.over != news.since:
            lines.append(f"  over since {news.over:%Y-%m-%d %H:%M:%S} UTC")
    if any(news.status in ("firing", "again", "escalated") for news in message.news):
        lines.append(f"rollout ack {message.rollout}    takes it on")
        lines.append(f"rollout explain {message.rollout}    says why")
    return "\n".join(lines)


def _word(news: News) -> str:
    status = _STATUS[news.status]
    by = f" by {news.people}" if news.status == "acknowledged" else ""
    return ", ".join(part for part in (news.severity.word, status + by) if part)
