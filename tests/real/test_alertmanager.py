"""A real Alertmanager: it takes what it is told, and tells it on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import urllib3
from support.alertmanager import alertmanager
from support.background import PATIENCE_S
from support.web import Asked, serving

from controller.core.effect import News, Notify, Severity, Status
from controller.effects.alertmanager import Alertmanager
from controller.policy.alerting import AlertmanagerChannel

pytestmark = pytest.mark.real
LATE = timedelta(minutes=30)
"""By its own clock a message may come long after it was due."""


class Around:
    """A server, our channel to it, and what it tells on."""

    def __init__(self, url: str, heard: "Queue[dict[str, Any]]") -> None:
        self.url, self._heard = url, heard
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.channel = Alertmanager("grid", AlertmanagerChannel(url=url), Path("/"))

    def tell(self, status: Status, **more: Any) -> None:
        """One alert, through the channel."""
        news = News(
            name="trigger/loss", status=status, severity=Severity.CRITICAL, kind="trigger",
            title="loss: candidate.drawdown > 1%", since=self.now - timedelta(minutes=5),
            labels={"kind": "trigger", "trigger": "loss"}, **more,
        )  # fmt: skip
        again = self.now + timedelta(hours=1)
        self.channel.deliver(Notify("signal/7/2", "grid", "signal", self.now, (news,), again))

    def standing(self) -> list[dict[str, Any]]:
        """The alerts that the server knows."""
        answer = urllib3.request("GET", f"{self.url}/api/v2/alerts")
        return list(json.loads(answer.data))

    def told_on(self) -> dict[str, Any]:
        """The next of what it tells its receiver."""
        return self._heard.get(timeout=PATIENCE_S)


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Around]:
    heard: Queue[dict[str, Any]] = Queue()

    def hear(asked: Asked) -> None:
        heard.put(json.loads(asked.body))
        asked.answer("{}")

    with serving(hear) as receiver, alertmanager(tmp_path, receiver.url) as url:
        yield Around(url, heard)


def test_an_alert_stands_is_told_on_and_ends(around: Around) -> None:
    around.tell("firing")
    first = around.told_on()
    assert first["status"] == "firing"
    (alert,) = first["alerts"]
    assert alert["labels"]["alertname"] == "trigger/loss"
    assert alert["annotations"]["summary"] == "loss: candidate.drawdown > 1%"
    around.tell("again")
    (standing,) = around.standing()
    assert standing["status"]["state"] == "active", "the same alert, and not another"
    around.tell("over", over=around.now)
    assert around.told_on()["status"] == "resolved"


def test_what_did_not_last_is_told_on_however_late_the_message_comes(around: Around) -> None:
    around.now -= LATE
    around.tell("happened", over=around.now)
    assert around.told_on()["status"] == "firing"


def test_the_doctor_says_which_alertmanager_it_is(around: Around) -> None:
    assert "is Alertmanager 0." in around.channel.check()
