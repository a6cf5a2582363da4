"""Alerts of the controller itself: a broken policy file, a clock that jumped, a failing rollout.

They belong to no decision, so no outbox carries them. What cannot be written is said in the log
at once, kept here, and tried again.
"""

import logging
from collections import OrderedDict, deque
from datetime import datetime

from controller.core.effect import Alert, Severity
from controller.effects.base import Target

log = logging.getLogger(__name__)

MOST_WAITING = 1000
"""Alerts kept while the alert log cannot be written; the oldest goes first."""
MOST_TOLD = 10_000
"""Keys remembered, so that one thing is told once."""

_LEVELS = {
    Severity.LOW: logging.INFO,
    Severity.MEDIUM: logging.WARNING,
    Severity.HIGH: logging.ERROR,
    Severity.CRITICAL: logging.CRITICAL,
}


class Alarms:
    """Tells people each thing once, by its key."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._told: OrderedDict[str, None] = OrderedDict()
        self._waiting: deque[Alert] = deque(maxlen=MOST_WAITING)

    def tell(
        self,
        key: str,
        severity: Severity,
        kind: str,
        title: str,
        reasons: tuple[str, ...],
        now: datetime,
    ) -> bool:
        """Alert, unless `key` was told before. Says whether it is news."""
        if key in self._told:
            return False
        self._told[key] = None
        while len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        alert = Alert(key, severity, kind, title, reasons, now)
        log.log(_LEVELS[severity], "%s", " | ".join((title, *reasons)))
        if self._waiting or not self._delivered(alert):
            self._waiting.append(alert)
        return True

    def forget(self, prefix: str) -> None:
        """What begins with `prefix` is over; if it happens again it is news."""
        for key in [key for key in self._told if key.startswith(prefix)]:
            del self._told[key]

    def retry(self) -> None:
        """Write what could not be written, in order."""
        while self._waiting and self._delivered(self._waiting[0]):
            self._waiting.popleft()

    def _delivered(self, alert: Alert) -> bool:
        try:
            self._target.deliver(alert)
        except Exception:
            log.exception("alert not written, kept for another try: %s", alert.title)
            return False
        return True
