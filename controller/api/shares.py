"""Published shares as they are, and as a stream of server-sent events (WHATWG HTML, section 9.2).

What streams is the content of the rollout's share file: what has been published and read back, not
what is about to be. One look every 10 ms serves every stream of a rollout; a reader that is slower
than the states come gets the newest one, and holds up nobody.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Protocol

import msgspec
from anyio import to_thread
from fastapi import FastAPI, Path
from fastapi.responses import StreamingResponse

from controller.api.intake import Limits, ProblemError
from controller.client.feed import FeedError, FileFeed, Sight
from controller.run.calendars import CalendarError
from controller.run.plans import PolicyBroken
from controller.run.unit import UnknownRollout
from controller.store.base import StoreError
from controller.traffic.published import Published, decode

LOOK_SECONDS = 0.010
ALIVE_SECONDS = 5.0
"""Between two signs that the line is alive; they say nothing of the rollout."""
STREAM = "text/event-stream"


class SharesDesk(Protocol):
    """The controller behind it (`run.service.Service`)."""

    def share_file(self, rollout: str) -> FilePath:
        """Where the share is published."""
        ...


@dataclass(slots=True)
class _Watched:
    """One share file, and those who read it. `number` rises with each thing that is seen."""

    feed: FileFeed
    number: int = 0
    sight: Sight | None = None
    state: Published | None = None
    trouble: FeedError | None = None
    readers: set[asyncio.Event] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Look until nobody reads any more."""
        while self.readers:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """See what is new, and wake the readers."""
        try:
            sight = self.feed.look()
            if sight is None:
                return
            self.state = decode(sight.content)
            self.sight, self.trouble = sight, None
        except FeedError as error:
            if self.trouble is not None and str(self.trouble) == str(error):
                return
            self.trouble = error
        except ValueError as error:
            self.trouble = FeedError("corrupt", str(error))
        self.number += 1
        for reader in self.readers:
            reader.set()

    def event(self, told: Published | None) -> bytes:
        """What there is to tell a reader who has been told of the state `told`."""
        if self.trouble is not None:
            words = {"kind": self.trouble.kind, "words": str(self.trouble)}
            return _event("trouble", words)
        assert self.sight is not None and self.state is not None
        written_at = self.sight.written_at
        sign = {"written_at": written_at, "age_s": max(time.time() - written_at, 0.0)}
        if self.state == told:
            return _event("alive", sign)
        return _event("share", {**sign, "state": self.state})


def _event(name: str, data: Mapping[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


class Shares:
    """The streams of one server. Lives in the server's one loop."""

    def __init__(self, limits: Limits, is_stopping: Callable[[], bool]) -> None:
        self._limits, self._is_stopping = limits, is_stopping
        self._watched: dict[FilePath, _Watched] = {}
        self._count = 0

    @asynccontextmanager
    async def _reading(self, path: FilePath) -> AsyncIterator[tuple[_Watched, asyncio.Event]]:
        watched = self._watched.setdefault(path, _Watched(FileFeed(path)))
        news = asyncio.Event()
        watched.readers.add(news)
        if watched.task is None or watched.task.done():
            watched.look()
            watched.task = asyncio.get_running_loop().create_task(watched.watch())
        try:
            yield watched, news
        finally:
            watched.readers.discard(news)
            if not watched.readers:
                self._watched.pop(path, None)

    def open(self, path: FilePath) -> AsyncIterator[bytes]:
        """The events of one stream. Raises ProblemError when there are too many."""
        if self._count >= self._limits.streams:
            raise ProblemError(
                503, f"{self._count} streams are open, which is all there may be",
                retry_after=self._limits.retry_seconds,
            )  # fmt: skip
        self._count += 1
        return self._events(path)

    async def _events(self, path: FilePath) -> AsyncIterator[bytes]:
        try:
            async with self._reading(path) as (watched, news):
                told: Published | None = None
                number, quiet = 0, 0.0
                while not self._is_stopping():
                    if watched.number != number:
                        number, quiet = watched.number, 0.0
                        news.clear()
                        yield watched.event(told)
                        told = watched.state if watched.trouble is None else None
                        continue
                    try:
                        await asyncio.wait_for(news.wait(), 1.0)
                    except TimeoutError:
                        quiet += 1.0
                    if quiet >= ALIVE_SECONDS:
                        quiet = 0.0
                        yield b":\n\n"
        finally:
            self._count -= 1


def add_shares(
    app: FastAPI, desk: SharesDesk, limits: Limits, is_stopping: Callable[[], bool]
) -> None:
    """The two ways to read a share."""
    shares = Shares(limits, is_stopping)
    problems: dict[int | str, dict[str, object]] = {
        status: {"description": "See `error`"} for status in (404, 503)
    }
    Name = Annotated[str, Path(max_length=64, description="Name of the rollout")]

    @app.get(
        "/v1/rollouts/{rollout}/share",
        summary="The published share",
        description="The content of the share file, as `controller.client` reads it.",
        responses=problems,
    )
    async def share(rollout: Name) -> dict[str, object]:
        path = await to_thread.run_sync(find, desk, rollout)
        try:
            sight = await to_thread.run_sync(FileFeed(path).look)
            assert sight is not None
            return msgspec.to_builtins(decode(sight.content))  # type: ignore[no-any-return]
        except FeedError as error:
            status = 404 if error.kind == "missing" else 503
            raise ProblemError(status, str(error), "nothing has been published yet") from None
        except ValueError as error:
            raise ProblemError(503, f"{path}: {error}") from None

    @app.get(
        "/v1/rollouts/{rollout}/share/stream",
        summary="The published share, and every new one as it comes",
        description="Server-sent events: `share` with the whole state, `alive` when the "
        "controller renewed it, `trouble` when it cannot be read. `age_s` is how old the state's "
        "last sign of life is.",
        response_class=StreamingResponse,
        responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}}, **problems},
    )
    async def stream(rollout: Name) -> StreamingResponse:
        path = await to_thread.run_sync(find, desk, rollout)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(shares.open(path), media_type=STREAM, headers=headers)


def find(desk: SharesDesk, rollout: str) -> FilePath:
    """The share file of a rollout. Raises ProblemError."""
    try:
        return desk.share_file(rollout)
    except UnknownRollout as error:
        raise ProblemError(404, str(error)) from None
    except LookupError as error:
        raise ProblemError(
            404, str(error), "add `publish: {share: {type: file, path: ...}}`"
        ) from None
    except (StoreError, PolicyBroken, CalendarError) as error:
        raise ProblemError(503, str(error)) from error
