"""Alerts to PagerDuty: Events API v2, one incident for each alert, under one `dedup_key`."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from controller.core.effect import Effect, News, Notify, Severity, Status
from controller.effects.base import EffectError
from controller.policy.alerting import PagerDutyChannel
from controller.sources.base import SourceError
from controller.sources.web import Ask, Web, place, status_in_words

_ACTION: Mapping[Status, str] = {
    "firing": "trigger",
    "again": "trigger",
    "escalated": "trigger",
    "happened": "trigger",
    "acknowledged": "acknowledge",
    "over": "resolve",
}
_SEVERITY: Mapping[Severity, str] = {
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}
LONGEST_KEY = 255
LONGEST_SUMMARY = 1024


class PagerDuty:
    """A channel; see `ChannelTarget`."""

    def __init__(self, name: str, model: PagerDutyChannel, base_dir: Path, store: str) -> None:
        """Opens nothing yet. `store` tells incidents of two controllers apart."""
        self._model, self._store = model, store
        self._url = model.url.rstrip("/")
        self._web = Web(name, model, base_dir)

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`. An alert after another: where one fails, all come again."""
        if not isinstance(effect, Notify):
            raise EffectError(f"{place(self._url)} takes no {type(effect).__name__}")
        deadline = self._web.deadline()
        for news in effect.news:
            self._send(effect, news, deadline)
        return f"{place(self._url)} has taken {len(effect.news)}"

    def check(self) -> str:
        """See `ChannelTarget.check`."""
        try:
            self._web.secret(self._model.key)
            reply = self._web.ask(Ask(self._url, "*/*"))
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        if reply.status >= 500:
            raise EffectError(f"{place(self._url)}: {status_in_words(reply)}")
        return f"{place(self._url)} answers; whether it knows the key, only a message tells"

    def _send(self, message: Notify, news: News, deadline: float) -> None:
        try:
            key = self._web.secret(self._model.key)
            body = msgspec.json.encode(event(key, self._store, message, news))
            url = f"{self._url}/v2/enqueue"
            reply = self._web.ask_by(Ask(url, "application/json", body), deadline)
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        where = place(self._url)
        if reply.status != 202:
            words = reply.body[:300].decode("utf-8", "replace").replace(key, "***")
            said = f" ({self._web.redacted(words)})" if words else ""
            raise EffectError(f"{where}: {status_in_words(reply)}{said}")
        try:
            status = msgspec.json.decode(reply.body)["status"]
        except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
            raise EffectError(f"{where}: the answer is not PagerDuty's; look at the url") from None
        if status != "success":
            raise EffectError(f"{where}: the event was not taken: {str(status)[:40]}")


def event(key: str, store: str, message: Notify, news: News) -> dict[str, Any]:
    """An event of the API."""
    return {
        "routing_key": key,
        "event_action": _ACTION[news.status],
        "dedup_key": dedup_key(store, message.rollout, news.name),
        "client": "rollout",
        "payload": {
            "summary": news.title[:LONGEST_SUMMARY],
            "source": message.rollout,
            "severity": _SEVERITY[news.severity],
            "timestamp": news.since.isoformat(),
            "component": news.name,
            "group": message.rollout,
            "class": news.kind,
            "custom_details": {
                "status": news.status,
                "reasons": news.reasons,
                "times": news.times,
                "acknowledge": f"rollout ack {message.rollout}",
                **news.labels,
            },
        },
    }


def dedup_key(store: str, rollout: str, name: str) -> str:
    """The same for the same alert; at most 255 characters."""
    key = f"{store}/{rollout}/{name}"
    return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()
