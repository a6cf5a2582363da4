"""Observations dropped as files: every `*.jsonl` of a directory is read as it grows.

How far each file was read is stored in the same transaction as what was read, as a note beside
the observations, so a crash neither loses a line nor takes one twice. Every line also has its own
idempotency key, for the case that such a note has been pruned.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from controller.judge.window import LIMIT
from controller.policy.source import Quality
from controller.sources.base import SourceError
from controller.sources.push import PushSource, found_in
from controller.store.base import Store

log = logging.getLogger(__name__)

CHUNK = 1_000
"""Lines of one batch."""
READ = 1 << 20
"""Bytes of one batch, and of the longest line that is skipped."""
FILES = 1_000
"""Files looked at in one directory."""
HEAD = 256
"""First bytes of a file by which it is known again."""


class Cursor(msgspec.Struct, frozen=True):
    """How far a file was read: bytes and lines, and what it began with."""

    note: str
    offset: int = 0
    line: int = 0
    head: str = ""


class DirectorySource(PushSource):
    """A push source that also takes in the files of a directory, when it is polled."""

    def __init__(
        self,
        name: str,
        store: Store,
        directory: Path,
        stored_name: str | None = None,
        *,
        limit: int = LIMIT,
        reach: timedelta | None = None,
        versions: Collection[str] = (),
        quality: Quality | None = None,
    ) -> None:
        """The directory need not be there yet. Raises StoreError."""
        self.directory = directory
        self._cursors: dict[str, Cursor] = {}
        super().__init__(
            name, store, stored_name, limit=limit, reach=reach, versions=versions, quality=quality
        )

    def poll(self, now: datetime) -> int:
        """Take in whole lines that have come since; how many observations were accepted. A file
        that became shorter, or begins otherwise, is read from its start. What cannot be read is
        told in `last_error`. Raises StoreError."""
        with self._lock:
            taken = 0
            for path in self._files():
                try:
                    taken += self._read(path, now)
                except OSError as error:
                    self._refuse([f"{path.name}: {error.strerror}"])
            return taken

    def check(self) -> str:
        """See `Source.check`."""
        if not self.directory.is_dir():
            raise SourceError(f"{self.name}: there is no directory {self.directory}; make it")
        return f"reads *.jsonl in {self.directory}; {super().check()}"

    def _files(self) -> list[Path]:
        files = sorted(self.directory.glob("*.jsonl"))
        if len(files) > FILES:
            self._refuse([f"{len(files)} files in {self.directory}; the first {FILES} are read"])
        return files[:FILES]

    def _read(self, path: Path, now: datetime) -> int:
        taken = 0
        with path.open("rb") as file:
            cursor = self._cursors.get(path.name, Cursor(path.name))
            if not _is_same(file, cursor):
                log.warning("%s: %s was replaced: read from its start", self.name, path.name)
                cursor = Cursor(path.name)
            while True:
                file.seek(cursor.offset)
                block = file.read(READ)
                lines = block.split(b"\n")[:-1][:CHUNK]
                if not lines and len(block) < READ:
                    return taken
                if lines:
                    taken += self._take_lines(file, cursor, lines, now)
                else:
                    self._refuse([f"{path.name}:{cursor.line + 1}: no line ends in {READ} bytes"])
                    self._move(file, cursor, len(block), 0)
                cursor = self._cursors[path.name]

    def _take_lines(self, file: BinaryIO, cursor: Cursor, lines: list[bytes], now: datetime) -> int:
        """One batch. If some of its lines are known by their keys, by halves."""
        size = sum(len(line) + 1 for line in lines)
        after = _after(file, cursor, size, len(lines))
        offset, keys = cursor.offset, []
        for line in lines:
            keys.append(f"{cursor.note}:{offset}:{sha256(line).hexdigest()[:16]}")
            offset += len(line) + 1
        found = found_in(f"{cursor.note}:", lines, now, cursor.line + 1)
        received = self._take(found, now, keys, msgspec.json.encode(after))
        if received.repeated and len(lines) > 1:
            half = len(lines) // 2
            taken = self._take_lines(file, cursor, lines[:half], now)
            middle = self._cursors[cursor.note]
            return taken + self._take_lines(file, middle, lines[half:], now)
        self._cursors[cursor.note] = after
        return received.accepted

    def _move(self, file: BinaryIO, cursor: Cursor, size: int, lines: int) -> None:
        self._cursors[cursor.note] = _after(file, cursor, size, lines)

    def _noted(self, line: bytes) -> None:
        cursor = msgspec.json.decode(line, type=Cursor)
        self._cursors[cursor.note] = cursor


def _is_same(file: BinaryIO, cursor: Cursor) -> bool:
    """Whether a file still begins as it did and has not become shorter."""
    size = file.seek(0, 2)
    return size >= cursor.offset and (not cursor.head or _head(file, cursor.offset) == cursor.head)


def _after(file: BinaryIO, cursor: Cursor, size: int, lines: int) -> Cursor:
    offset = cursor.offset + size
    return Cursor(cursor.note, offset, cursor.line + lines, _head(file, offset))


def _head(file: BinaryIO, offset: int) -> str:
    """Of what has been read only: that part of a file does not change."""
    file.seek(0)
    return sha256(file.read(min(HEAD, offset))).hexdigest()[:32]
