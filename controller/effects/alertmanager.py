"""Alerts to a Prometheus Alertmanager: its API v2, `POST /api/v2/alerts`.

Alertmanager keeps nothing of an alert beyond `endsAt`, and groups, silences and tells by rules of
its own. An alert that lasts is given an end a while after it is told again. What did not last has
none: Alertmanager then shows it for its own `resolve_timeout`, however late the message comes. With
an end that is past, it would tell nobody.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from controller.core.effect import Effect, News, Notify
from controller.effects.base import EffectError
from controller.policy.alerting import AlertmanagerChannel
from controller.sources.base import SourceError
from controller.sources.web import Ask, Reply, Web, place, status_in_words

GRACE = timedelta(minutes=10)
"""How long an alert outlasts the moment at which it should have been told again."""
UNTOLD = timedelta(days=7)
"""How long one lasts that is not told again."""


class Alertmanager:
    """A channel; see `ChannelTarget`."""

    def __init__(self, name: str, model: AlertmanagerChannel, base_dir: Path) -> None:
        """Opens nothing yet."""
        self._model = model
        self._url = model.url.rstrip("/")
        self._web = Web(name, model, base_dir)

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        if not isinstance(effect, Notify):
            raise EffectError(f"{place(self._url)} takes no {type(effect).__name__}")
        body = msgspec.json.encode([alert(effect, news) for news in effect.news])
        self._asked(Ask(f"{self._url}/api/v2/alerts", "application/json", body))
        return f"{place(self._url)} has taken {len(effect.news)}"

    def check(self) -> str:
        """See `ChannelTarget.check`."""
        reply = self._asked(Ask(f"{self._url}/api/v2/status", "application/json"))
        try:
            version = msgspec.json.decode(reply.body)["versionInfo"]["version"]
        except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
            words = "what answers is no Alertmanager; look at the url"
            raise EffectError(f"{place(self._url)}: {words}") from None
        return f"{place(self._url)} is Alertmanager {str(version)[:40]}"

    def _asked(self, ask: Ask) -> Reply:
        """Raises EffectError for all but a 200."""
        try:
            reply = self._web.ask(ask)
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        if reply.status != 200:
            words = self._web.redacted(reply.body[:200].decode("utf-8", "replace"))
            said = f" ({words})" if words else ""
            raise EffectError(f"{place(self._url)}: {status_in_words(reply)}{said}")
        return reply


def alert(message: Notify, news: News) -> dict[str, Any]:
    """A `postableAlert` of the API. Its labels say which alert it is, so they stay the same for
    as long as it lasts."""
    labels = {
        "alertname": news.name,
        "rollout": message.rollout,
        "severity": news.severity.word,
        **news.labels,
    }
    again = message.again or message.at + UNTOLD
    ends = {} if news.status == "happened" else {"endsAt": _time(news.over or again + GRACE)}
    reasons = {"description": "\n".join(news.reasons)} if news.reasons else {}
    return {
        "labels": labels,
        "annotations": {"summary": news.title, **reasons},
        "startsAt": _time(news.since),
        **ends,
    }


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
