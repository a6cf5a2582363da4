"""A rollout whose policy tells people, driven by hand: what each channel was told, and answers."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from controller.core.decision import Decision
from controller.core.effect import News, Notify
from controller.core.event import Acknowledgement, Event
from controller.core.measurement import Measurement
from controller.core.standing import Alerting, Standing
from support.plans import POLICY, T0, Driver, plan_of

CHANNELS = """
  channels:
    desk: {type: webhook, url: "https://desk/in", secret: {file: key}}
    phone: {type: webhook, url: "https://phone/in", secret: {file: key}}
    sms: {type: webhook, url: "https://sms/in", secret: {file: key}}
    boss: {type: webhook, url: "https://boss/in", secret: {file: key}}
"""
ALERTS = f"""
alerts:{CHANNELS.rstrip()}
  routes:
    - severity: critical
      to: [desk, phone]
      else: sms
      repeat: 5m
      escalate: {{after: 5m, to: boss}}
    - {{severity: [high, medium], to: desk, repeat: 1h}}
    - {{to: log}}
"""
LOSS = Measurement(value=0.02, samples=120)
SILENT = Measurement(value=200.0, samples=1)


def with_alerts(alerts: str = ALERTS, policy: str = POLICY) -> str:
    """A policy that tells people."""
    return policy + alerts


class Desk(Driver):
    """Channels in `out` do not answer; the others take what they are told at once."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(plan_of(with_alerts() if text is None else text), T0)
        self.out: set[str] = set()
        self.messages: list[Notify] = []

    def event(self, event: Event) -> Decision:
        """Decide; every message is answered."""
        decision = super().event(event)
        for effect in decision.effects:
            if isinstance(effect, Notify):
                self.messages.append(effect)
                self.answer(effect, ok=effect.target not in self.out)
        return decision

    def answer(self, message: Notify, *, ok: bool) -> None:
        """What a channel says to a message that it has still to take."""
        if message.key in self.alerts.sent:
            self.event(Acknowledgement(message.key, ok, "" if ok else "no answer within 5s"))

    def back(self, channel: str) -> None:
        """A channel answers again, and takes what it had missed."""
        self.out.discard(channel)
        for message in list(self.messages):
            if message.target == channel:
                self.answer(message, ok=True)

    @property
    def alerts(self) -> Alerting:
        """What is remembered of alerts."""
        return self.state.alerts or Alerting()

    def standing(self, name: str) -> Standing:
        """One alert that stands."""
        return self.alerts.standing[name]

    def told(self, channel: str = "", name: str = "") -> list[str]:
        """The statuses told, in order: of one channel, of one alert."""
        return [news.status for _, news in self.news(channel, name)]

    def news(self, channel: str = "", name: str = "") -> Iterator[tuple[Notify, News]]:
        """What was told, in order."""
        for message in sorted(self.messages, key=lambda message: int(message.key.split("/")[1])):
            for news in message.news:
                if channel in ("", message.target) and name in ("", news.name):
                    yield message, news

    def person(
        self, verb: str, alert: str = "", hours: float | None = None, **more: Any
    ) -> Decision:
        """A person acknowledges or silences; `hours` from now."""
        until = None if hours is None else self.now + timedelta(hours=hours)
        return self.command(verb, alert=alert, until=until, **more)

    def pass_time(self, span: timedelta) -> None:
        """Ticks, with measurements of an ordinary day."""
        self.ticks(span)
