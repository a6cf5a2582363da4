"""Sources of others: a package that is installed beside this one offers them by entry point.

    [project.entry-points."rollout.sources"]
    books = "desk_books:open_source"

The entry point is a function of (name, options, directory of the policy) that gives an object with
the four methods of `controller.sources.base.Source`. It may raise `SourceError` to say what is
missing. Whatever it does is kept apart: what it raises, and what it leaves out, is an error of its
own measurements; a look that takes too long is given up, and until it ends no other one begins.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from controller.core.measurement import Measurement
from controller.policy.plugins import GROUP, how_to_get
from controller.policy.source import PluginSource as Model
from controller.sources.base import Request, Source, SourceError

log = logging.getLogger(__name__)

T = TypeVar("T")


class PluginSource:
    """See `Source`. The package is imported when the source is first asked."""

    def __init__(self, name: str, model: Model, base_dir: Path) -> None:
        self.name = name
        self._model = model
        self._base = base_dir
        self._opened: Source | None = None
        self._last: datetime | None = None
        self._asking = threading.Lock()

    def measure(self, requests: Sequence[Request]) -> list[Measurement]:
        """See `Source.measure`."""
        try:
            found = self._in_time(lambda: self._measured(requests))
            wrong = _wrong(found, len(requests))
        except SourceError as error:
            found, wrong = [], str(error)
        if wrong:
            return [Measurement(status="error", detail=wrong) for _ in requests]
        return list(found)

    def last_received(self) -> datetime | None:
        """See `Source.last_received`: what the plugin said at the last look."""
        return self._last

    def check(self) -> str:
        """See `Source.check`."""
        said = self._in_time(lambda: self._source().check())
        return f"plugin {self._model.name} of {self._offered().value}: {said}"

    def close(self) -> None:
        """See `Source.close`."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _measured(self, requests: Sequence[Request]) -> list[Measurement]:
        source = self._source()
        found = source.measure(requests)
        last: object = source.last_received()
        if last is not None and (not isinstance(last, datetime) or last.tzinfo is None):
            raise SourceError(f"plugin {self._model.name}: last_received() gave no time and zone")
        self._last = last
        return found

    def _source(self) -> Source:
        """Raises SourceError."""
        if self._opened is None:
            opened = self._offered().load()(self.name, dict(self._model.options), self._base)
            missing = [name for name in _METHODS if not callable(getattr(opened, name, None))]
            if missing:
                raise SourceError(
                    f"plugin {self._model.name} gave a {type(opened).__name__} without "
                    f"{', '.join(missing)}()"
                )
            self._opened = opened
        return self._opened

    def _offered(self) -> EntryPoint:
        found = list(entry_points(group=GROUP, name=self._model.name))
        if not found:
            raise SourceError(
                f"no plugin {self._model.name!r} is installed; {how_to_get(self._model.name)}"
            )
        return found[0]

    def _in_time(self, ask: Callable[[], T]) -> T:
        """What `ask` gives, in a thread of its own that is left behind when it is late. Raises
        SourceError, also for whatever else it raises."""
        if not self._asking.acquire(blocking=False):
            raise SourceError(f"plugin {self._model.name} still hangs on an earlier question")
        answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            answer: tuple[T | None, BaseException | None]
            try:
                answer = ask(), None
            except BaseException as error:  # a plugin that calls sys.exit as well
                log.debug("plugin %s", self._model.name, exc_info=True)
                answer = None, error
            self._asking.release()  # before the answer: who has it may ask again at once
            answers.put(answer)

        threading.Thread(target=run, name=f"plugin {self.name}", daemon=True).start()
        seconds = self._model.timeout.total_seconds()
        try:
            found, error = answers.get(timeout=seconds)
        except Empty:
            raise SourceError(f"plugin {self._model.name}: no answer within {seconds:g}s") from None
        if isinstance(error, SourceError):
            raise error
        if error is not None:
            words = f"{type(error).__name__}: {error}"[:300]
            raise SourceError(f"plugin {self._model.name}: {words}") from error
        return found  # type: ignore[return-value]


_METHODS = ("measure", "last_received", "check", "close")


def _wrong(found: object, wanted: int) -> str:
    if not isinstance(found, list | tuple) or not all(isinstance(m, Measurement) for m in found):
        return "the plugin gave something else than measurements"
    return "" if len(found) == wanted else f"the plugin gave {len(found)} answers to {wanted}"
