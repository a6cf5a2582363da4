"""The share as a signed CloudEvent to whatever routes the work, read back from what that reports.

The event is structured JSON of CloudEvents 1.0; `data` is what a share file holds. It is signed as
Standard Webhooks has it (HMAC-SHA256 over `id.timestamp.body`), under the effect's own key as id,
so every library for either can receive it. A 2xx answer says that the event came, not that it
holds: acknowledged is the share that `read` shows afterwards.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from controller.core.effect import Effect, SetShare, Verify
from controller.core.share import NONE, WHOLE, Share, percent_text
from controller.effects.base import EffectError
from controller.effects.file import Origin
from controller.effects.signing import signed_headers, signing_key
from controller.policy.publisher import WebhookPublisher
from controller.sources.base import SourceError
from controller.sources.web import Ask, Web, place, status_in_words

EVENT_TYPE = "rollout.share.v1"
GRAIN = 1 / (2 * WHOLE)
"""A share has steps of 0.001%; a number within half of one is that share."""


class Webhook:
    """A publisher to a URL. Guarantee: at least once, every time under the same id; what comes
    late is for the receiver to refuse, by `token`. Acknowledged is what it shows afterwards."""

    def __init__(
        self,
        name: str,
        model: WebhookPublisher,
        base_dir: Path,
        origin: Origin,
        *,
        clock: Callable[[], float] = time.time,
        web: Web | None = None,
    ) -> None:
        """Opens nothing yet. `clock` gives the time of a signature, in seconds since 1970."""
        self._model, self._origin, self._clock = model, origin, clock
        self._web = web or Web(name, model, base_dir)

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        deadline = self._web.deadline()
        try:
            match effect:
                case SetShare():
                    self._send(effect, deadline)
                    mirror = effect.mirror and self._model.read.mirror is not None
                    return self._shown(effect.share, deadline, mirror=mirror)
                case Verify():
                    mirror = effect.mirror and self._model.read.mirror is not None
                    return self._shown(effect.share, deadline, mirror=mirror)
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        raise EffectError(f"{place(self._model.url)} takes no {type(effect).__name__}")

    def check(self) -> str:
        """What is there, in words. Raises EffectError."""
        try:
            self._key()
            document = self._document(self._web.deadline())
            share = self._number(document)
        except SourceError as error:
            raise EffectError(self._web.redacted(str(error))) from None
        return f"{place(self._model.read.url)} shows a share of {share * 100:.6g}%"

    # Sending ------------------------------------------------------------------------------

    def _send(self, effect: SetShare, deadline: float) -> None:
        body = event(self._origin, effect)
        signed = signed_headers(self._key(), effect.key, self._clock(), body)
        kind = "application/cloudevents+json"
        url = self._model.url
        reply = self._web.ask_by(Ask(url, "application/json", body, kind, signed), deadline)
        if reply.status // 100 != 2:
            words = reply.body[:200].decode("utf-8", "replace").strip()
            said = f" ({words})" if words and words.isprintable() else ""
            raise SourceError(f"{place(url)}: {status_in_words(reply)}{said}")

    def _key(self) -> bytes:
        """Raises SourceError."""
        secret = self._web.secret(self._model.secret)
        try:
            return signing_key(secret)
        except ValueError as error:
            raise SourceError(f"{place(self._model.url)}: {error}") from None

    # Reading back -------------------------------------------------------------------------

    def _shown(self, share: Share, deadline: float, *, mirror: bool) -> str:
        """Raises SourceError, and EffectError where it shows another share."""
        document = self._document(deadline)
        found, wanted = self._number(document), share / WHOLE
        split = NONE < share < WHOLE
        within = (self._model.read.within or 0) / 100 if split else 0.0
        words = f"share {found * 100:.6g}%"
        where = place(self._model.read.url)
        near = abs(found - wanted) <= max(within, GRAIN)
        if not near or (split and not 0 < found < 1):
            raise EffectError(f"{where}: {words}, not {percent_text(share)}")
        path = self._model.read.mirror
        if path is not None:
            mirrors = self._found("mirror", path, document)
            if mirrors is not mirror:
                state = "is mirrored" if mirrors is True else "is not mirrored"
                raise EffectError(f"{where}: {words}, and the candidate {state}")
        return f"{words} read back"

    def _document(self, deadline: float) -> Any:
        """Raises SourceError."""
        url = self._model.read.url
        reply = self._web.ask_by(Ask(url, "application/json"), deadline)
        if reply.status // 100 != 2:
            raise SourceError(f"{place(url)}: read back: {status_in_words(reply)}")
        try:
            return msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise SourceError(f"{place(url)}: read back: the answer is not JSON") from None

    def _number(self, document: Any) -> float:
        """The share that is shown, 0 to 1. Raises SourceError."""
        read = self._model.read
        value = self._found("share", read.share, document)
        if isinstance(value, bool) or not isinstance(value, int | float):
            kind = "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
            words = f"`share: {read.share[:80]}` gives {kind}, not a number"
            raise SourceError(f"{place(read.url)}: {words}")
        if not math.isfinite(value) or not 0 <= value <= read.whole:
            words = f"a share of {value:g} is not of 0 to {read.whole:g}"
            raise SourceError(f"{place(read.url)}: {words}")
        return value / read.whole

    def _found(self, what: str, path: str, document: Any) -> Any:
        """Raises SourceError."""
        import jmespath  # not needed until something is read back
        from jmespath.exceptions import JMESPathError

        try:
            return jmespath.search(path, document)
        except (JMESPathError, RecursionError, ArithmeticError, TypeError, ValueError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise SourceError(f"{place(self._model.read.url)}: {what}: {line}") from None


def event(origin: Origin, effect: SetShare) -> bytes:
    """The event of a share: the same bytes each time that it is sent."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": effect.key,
            "source": f"/rollout/{origin.store}",
            "type": EVENT_TYPE,
            "subject": origin.rollout,
            "datacontenttype": "application/json",
            "data": origin.state(effect),
        }
    )
