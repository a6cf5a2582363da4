"""The parameters as they are now, the newest whole vector; and the word of who runs with it.

The file is replaced as a whole, so what is read is one vector and never parts of two.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.client.feed import FeedError, FileFeed
from controller.client.files import replace_whole
from controller.traffic.running import NAME, Running, encode

log = logging.getLogger(__name__)


class ParametersError(Exception):
    """Parameters that cannot be read, or an acknowledgement that cannot be written."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """One vector: the whole configuration. `values` are for reading; `sha256` is of the file's
    bytes, hexadecimal."""

    values: Mapping[Any, Any]
    sha256: str


class ParameterFile:
    """A file of parameters (a publisher of `type: config`), and where its reader says with which
    it runs. Keeps the last good vector."""

    def __init__(self, path: Path, acknowledgements: Path | None = None, name: str = "") -> None:
        """`acknowledgements`: the directory of the policy's `acknowledge`, `name`: of this process
        in its `by`. Raises ValueError for a name that cannot be one."""
        if acknowledgements is not None and not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a process: letters, digits, point, _ and -")
        self.path = path
        self._feed = FileFeed(path)
        self._acknowledgements, self._name = acknowledgements, name
        self._last: Parameters | None = None

    def newest(self) -> Parameters | None:
        """The newest vector that could be read; the same object for as long as the file is the
        same, None before the first. Raises ParametersError for what is there now and cannot be
        read; the next call finds the last good one."""
        from controller.configuration import Unreadable, form_of, read

        try:
            sight = self._feed.look()
            if sight is not None:
                found = read(sight.content, form_of(self.path))
                if self._last is None or self._last.sha256 != found.sha256:
                    self._last = Parameters(found.values, found.sha256)
        except FeedError as error:
            raise ParametersError(str(error)) from None
        except Unreadable as error:
            raise ParametersError(f"{self.path}: {error}") from None
        return self._last

    @property
    def last(self) -> Parameters | None:
        """The last good vector, without a look."""
        return self._last

    def acknowledge(self, parameters: Parameters) -> None:
        """Say that this process runs with `parameters` from now on: replaced as a whole, durable.
        Raises ParametersError."""
        if self._acknowledgements is None:
            raise ParametersError("no place to acknowledge in; name the directory of the policy")
        path = self._acknowledgements / f"{self._name}.json"
        try:
            replace_whole(path, encode(Running(self._name, parameters.sha256)))
        except OSError as error:
            raise ParametersError(f"{path}: {error.strerror or error}") from None
