"""Published states, and a feed of them that the test moves."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from controller.client import Client
from controller.client.feed import FeedError, Sight
from controller.core.share import Share, percent_text
from controller.traffic.published import Published, encode

STATE = Published(
    store="home", rollout="signal", baseline="v1", candidate="v3", share=Share(5_000),
    percent="5%", mirror=False, epoch=1, token=7, layer="signal",
)  # fmt: skip


def state(share: int = 5_000, **changes: Any) -> Published:
    """`STATE` with another share, and with whatever else."""
    return replace(STATE, share=Share(share), percent=percent_text(Share(share)), **changes)


@dataclass
class Line:
    """A feed: what was put on it last is seen at the next look."""

    written_at: float = 1000.0
    waiting: bytes | FeedError | None = None
    seen: list[bytes] = field(default_factory=list)

    def put(self, published: Published | bytes, after: float = 0.0) -> None:
        """Written `after` seconds after what was written before."""
        self.written_at += after
        self.waiting = published if isinstance(published, bytes) else encode(published)

    def look(self) -> Sight | None:
        waiting, self.waiting = self.waiting, None
        if isinstance(waiting, FeedError):
            raise waiting
        return None if waiting is None else Sight(waiting, self.written_at)

    def follow(self, seen: object) -> bool:
        """Only a look tells."""
        return False

    def close(self) -> None:
        """Nothing is open."""


def client_of(published: Published, **settings: Any) -> Client:
    """A client that has seen this one state."""
    line = Line()
    line.put(published)
    return Client(line, baseline=published.baseline, watch=None, **settings)
