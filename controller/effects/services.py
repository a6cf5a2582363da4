"""Alerts to any service that Apprise knows. Its URLs hold secrets, so nothing of one is told."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from controller.core.effect import Effect, Notify, Severity
from controller.effects.base import EffectError
from controller.effects.channels import headline, text
from controller.policy.alerting import AppriseChannel
from controller.sources.base import SourceError
from controller.sources.web import read_secret

if TYPE_CHECKING:
    from apprise import Apprise

NOT_INSTALLED = "Apprise is not installed: pip install 'rollout-controller[alerts]'"


class Services:
    """A channel; see `ChannelTarget`."""

    def __init__(self, name: str, model: AppriseChannel, base_dir: Path) -> None:
        """Opens nothing yet."""
        self._name, self._model, self._base = name, model, base_dir

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        if not isinstance(effect, Notify):
            raise EffectError(f"{self._name} takes no {type(effect).__name__}")
        service = self._service()
        gravest = max(news.severity for news in effect.news)
        ends = all(news.status in ("over", "acknowledged") for news in effect.news)
        kinds = {
            Severity.LOW: "info",
            Severity.MEDIUM: "warning",
            Severity.HIGH: "failure",
            Severity.CRITICAL: "failure",
        }
        kind = "success" if ends else kinds[gravest]
        if not service.notify(title=headline(effect), body=text(effect), notify_type=kind):
            raise EffectError(f"{self._name}: the service did not take it")
        return f"{self._name} has taken {len(effect.news)}"

    def check(self) -> str:
        """See `ChannelTarget.check`."""
        names = ", ".join(str(each.service_name) for each in self._service())
        return f"{names}: the url can be read; whether it is heard, only a message tells"

    def _service(self) -> "Apprise":
        """Raises EffectError."""
        try:
            import apprise
        except ImportError:
            raise EffectError(f"{self._name}: {NOT_INSTALLED}") from None
        try:
            url = read_secret(self._name, self._model.url, self._base, os.environ)
        except SourceError as error:
            raise EffectError(str(error)) from None
        service = apprise.Apprise()
        if not service.add(url):
            raise EffectError(f"{self._name}: the url is none that Apprise knows")
        return service
