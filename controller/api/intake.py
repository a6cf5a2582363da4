"""Bodies on their way in: bounded in size, in time, in number, and all together in memory.

A body is counted as it comes, whatever its head says of its length, and one that is too large is
read on for a moment without being kept, so that its sender gets to read the answer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one controller takes in at the same time. Sizes in bytes, times in seconds."""

    body: int = 8 * MIB
    """Of one request."""
    held: int = 64 * MIB
    """Of all requests together."""
    requests: int = 64
    """Pushes under way; more are asked to come again."""
    connections: int = 640
    streams: int = 512
    """Of them, those that may be streams."""
    head_seconds: float = 10.0
    """For the head of a request, or for the first one of a connection to begin."""
    body_seconds: float = 30.0
    """For the whole body."""
    linger_seconds: float = 2.0
    """How long what is too large is read on before it is answered."""
    retry_seconds: int = 1
    """When those may come again who came when too much was under way."""


class ProblemError(Exception):
    """A request that is not done: the status, what is wrong, what to do. `retry_after` in
    seconds; `hang_up` where what is still to come of the request is not read."""

    def __init__(
        self,
        status: int,
        error: str,
        hint: str = "",
        *,
        retry_after: int | None = None,
        hang_up: bool = False,
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint
        self.retry_after, self.hang_up = retry_after, hang_up


class Intake:
    """Lets requests in while there is room. Lives in the server's one loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._requests = 0
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body; room is made again on leaving. Raises ProblemError."""
        if self._requests >= self.limits.requests:
            raise self._full()
        self._requests += 1
        chunks: list[bytes] = []
        try:
            await self._read(request, chunks)
            yield b"".join(chunks)
        finally:
            self._held -= sum(map(len, chunks))
            self._requests -= 1

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        said = int(request.headers.get("content-length", 0))
        if said > self.limits.body and "expect" in request.headers:
            raise self._too_large()
        size = 0
        stream = request.stream()
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for chunk in stream:
                    size += len(chunk)
                    if max(size, said) > self.limits.body:
                        await self._read_on(stream)
                        raise self._too_large()
                    if self._held + len(chunk) > self.limits.held:
                        raise self._full()
                    self._held += len(chunk)
                    chunks.append(chunk)
        except TimeoutError:
            seconds = f"{self.limits.body_seconds:g}"
            raise ProblemError(
                408, f"the body did not come within {seconds} s", "send less at a time",
                hang_up=True,
            ) from None  # fmt: skip
        except ClientDisconnect:
            raise ProblemError(400, "the body ended before its end", hang_up=True) from None

    async def _read_on(self, stream: AsyncIterator[bytes]) -> None:
        try:
            async with asyncio.timeout(self.limits.linger_seconds):
                async for _ in stream:
                    pass
        except TimeoutError:
            return

    def _full(self) -> ProblemError:
        return ProblemError(
            503, "too many pushes are under way", "come again with the same Idempotency-Key",
            retry_after=self.limits.retry_seconds, hang_up=True,
        )  # fmt: skip

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413, f"the body is larger than {self.limits.body} bytes", "send it in parts",
            hang_up=True,
        )  # fmt: skip
