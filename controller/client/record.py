"""What was seen, told to the controller: lines of JSON in the directory that its source watches.

    {"version": "v3", "ts": "2026-03-02T14:30:00+00:00", "id": "a17", "pnl": -150.0}

One file for each recorder's name. A line is one `write` to a file opened for appending, so several
processes may share it. It is not flushed to disk: the last lines may be lost with the machine.
"""

import os
import re
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RecordError(Exception):
    """An observation that was not written; the message says why."""


class Recorder:
    """Writes observations into one file of `directory`. Safe for several threads."""

    def __init__(self, directory: Path, name: str = "client") -> None:
        """`name`: of the file, without `.jsonl`. Raises ValueError if it cannot be one."""
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a file: letters, digits, point, _ and -")
        self.path = directory / f"{name}.jsonl"
        self._file: int | None = None
        self._lock = threading.Lock()

    def write(
        self, version: str | None, at: datetime | None, id: str | None, key: str | None,
        fields: dict[str, object],
    ) -> None:  # fmt: skip
        """One observation, or a later part of one. Raises RecordError."""
        taken = fields.keys() & {"version", "ts"}
        if taken:
            raise RecordError(f"{min(taken)} is no field of an observation")
        line: dict[str, Any] = {}
        if version is not None:
            line["version"] = version
        if at is not None:
            if at.tzinfo is None:
                raise RecordError("`at` is a time with its zone")
            line["ts"] = at.isoformat()
        if id is not None:
            line["id"] = id
        if key is not None:
            line["key"] = key
        line.update((name, _plain(name, value)) for name, value in fields.items())
        try:
            self._append(msgspec.json.encode(line) + b"\n")
        except (msgspec.MsgspecError, UnicodeEncodeError, TypeError) as error:
            raise RecordError(f"cannot be written as JSON: {error}") from None
        except OSError as error:
            self.close()
            raise RecordError(f"{self.path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Let go of the file; the next write opens it again."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def after_fork(self) -> None:
        """Whoever held the lock is not in this process."""
        self._lock = threading.Lock()

    def _append(self, line: bytes) -> None:
        with self._lock:
            if self._file is None:
                self._file = self._open()
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(28, "only a part of the line could be written")

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")  # a line torn by a crash spoils no other
        return file


def _plain(name: str, value: object) -> bool | int | float | str | None:
    """As JSON has it: a number of whatever library is a number."""
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) in (int, float):
        return value  # type: ignore[return-value]
    if hasattr(value, "item"):  # of numpy
        return _plain(name, value.item())
    if hasattr(value, "__float__"):
        return float(value)
    raise RecordError(f"{name} is a number, true, false, text or None, not {type(value).__name__}")
