"""The controller's own log of alerts: one line of JSON each, durable, and never twice."""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from controller.core.effect import Alert, Effect
from controller.effects.base import EffectError
from controller.effects.files import locked

TAIL = 256 * 1024
"""Bytes at the end of the log that are searched for an alert told before."""


class Line(msgspec.Struct, frozen=True):
    """One alert as it stands in the log."""

    key: str
    at: datetime | None
    severity: str
    kind: str
    title: str
    reasons: tuple[str, ...] = ()


class AlertLog:
    """A target for alerts. Guarantee: at least once; a repeat within the last 256 KiB of the log
    is not written again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        if not isinstance(effect, Alert):
            raise EffectError(f"{self.path}: an alert log takes no {type(effect).__name__}")
        line = Line(
            effect.key, effect.at, effect.severity.word, effect.kind, effect.title, effect.reasons
        )
        with locked(self.path), self.path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            tail = file.read()
            if _has(tail, effect.key):
                return "told before"
            torn = b"" if not tail or tail.endswith(b"\n") else b"\n"
            file.write(torn + msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return "told"


def _has(tail: bytes, key: str) -> bool:
    beginning = b'{"key":' + msgspec.json.encode(key) + b","
    return tail.startswith(beginning) or b"\n" + beginning in tail
