"""The program's own log: one line per record, as text for people or JSON for machines.

What is decided is in the journal; the log says how the program itself is doing.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

TEXT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
QUIET = ("apscheduler", "alembic", "transitions", "watchfiles", "uvicorn")
"""Libraries that log each of their steps; what matters of it is said again in our own words."""


class OneLine(logging.Formatter):
    """Text, with line breaks of a traceback shown as ` | `."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """UTC, to the millisecond."""
        del datefmt
        return _moment(record)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return super().format(record).replace("\n", " | ")


class JsonLine(logging.Formatter):
    """One JSON object: at, level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line = {
            "at": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(level: str, form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send the log of the whole program to `stream`, by default standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLine() if form == "json" else OneLine())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def _moment(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
