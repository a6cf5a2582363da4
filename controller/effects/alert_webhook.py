"""Alerts as a signed CloudEvent, by POST: `data` is what is told, as the journal has it."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from controller.core.effect import Effect, Notify
from controller.effects.base import EffectError
from controller.effects.signing import signed_headers, signing_key
from controller.policy.alerting import WebhookChannel
from controller.sources.base import SourceError
from controller.sources.web import Ask, Web, place, status_in_words

EVENT_TYPE = "rollout.alert.v1"


class AlertWebhook:
    """A channel; see `ChannelTarget`. What comes twice has the same id."""

    def __init__(
        self,
        name: str,
        model: WebhookChannel,
        base_dir: Path,
        store: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Opens nothing yet. `clock` gives the time of a signature, in seconds since 1970."""
        self._model, self._store, self._clock = model, store, clock
        self._web = Web(name, model, base_dir)

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        url = self._model.url
        if not isinstance(effect, Notify):
            raise EffectError(f"{place(url)} takes no {type(effect).__name__}")
        body = event(self._store, effect)
        try:
            signed = signed_headers(self._key(), effect.key, self._clock(), body)
            kind = "application/cloudevents+json"
            reply = self._web.ask(Ask(url, "application/json", body, kind, signed))
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        if reply.status // 100 != 2:
            raise EffectError(f"{place(url)}: {status_in_words(reply)}")
        return f"{place(url)} has taken {len(effect.news)}"

    def check(self) -> str:
        """See `ChannelTarget.check`."""
        url = self._model.url
        try:
            self._key()
            reply = self._web.ask(Ask(url, "*/*"))
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        if reply.status >= 500:
            raise EffectError(f"{place(url)}: {status_in_words(reply)}")
        return f"{place(url)} answers"

    def _key(self) -> bytes:
        """Raises SourceError."""
        try:
            return signing_key(self._web.secret(self._model.secret))
        except ValueError as error:
            raise SourceError(f"{place(self._model.url)}: {error}") from None


def event(store: str, message: Notify) -> bytes:
    """The event of a message: the same bytes each time that it is sent."""
    news = [
        msgspec.to_builtins(each) | {"severity": each.severity.word, "title": each.title}
        for each in message.news
    ]
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": message.key,
            "source": f"/rollout/{store}",
            "type": EVENT_TYPE,
            "subject": message.rollout,
            "time": message.at,
            "datacontenttype": "application/json",
            "data": {"rollout": message.rollout, "alerts": news},
        }
    )
