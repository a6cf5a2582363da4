"""Work that is routed: a hundred books of equal size, each traded by the version that its key is
given to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controller.client import Client
from controller.demo.version import CAPITAL, COST_BPS, Held, Version

BOOKS = 100

Handler = Callable[[float, float], float]
"""(position, target) -> position after trading, both as a fraction of the book's capital."""


def trade_to(position: float, target: float) -> float:
    """The right order: the difference between what is held and what is wanted."""
    del position
    return target


def add_target(position: float, target: float) -> float:
    """The sabotage: the target itself is sent as the order, so that the position grows with
    every bar. No signal is wrong, so only a version that really trades can show it."""
    return position + target


HANDLERS: Mapping[str, Handler] = {"first": trade_to, "rewritten": add_target}
"""By the word for it in a version's configuration."""


@dataclass(slots=True)
class Book:
    """A slice of the capital. `position` is a fraction of it, held by `holder` since the last
    close."""

    key: str
    position: float = 0.0
    holder: str = ""


def open_books(count: int = BOOKS) -> list[Book]:
    """Books with keys that stay the same in any process and after any restart."""
    return [Book(f"book-{number:03d}") for number in range(1, count + 1)]


@dataclass(slots=True)
class Books:
    """See `controller.demo.desk.Trading`."""

    books: list[Book] = field(default_factory=open_books)

    def settle(self, move: float) -> dict[str, float]:
        """Credited to the version that held it (late outcomes: rule 10)."""
        pnl: dict[str, float] = {}
        for book in self.books:
            if book.holder:
                gained = book.position * move * CAPITAL / len(self.books)
                pnl[book.holder] = pnl.get(book.holder, 0.0) + gained
        return pnl

    def trade(
        self, client: Client, versions: Sequence[Version], at: datetime, move: float
    ) -> dict[str, float]:
        """Each book by its version's order handler."""
        del at, move
        by_name = {version.name: version for version in versions}
        costs: dict[str, float] = {}
        for book in self.books:
            version = by_name[client.assign(book.key).version]
            if version.target is None:
                continue  # still warming up: the book stays as it is
            before = book.position
            # A book that changes hands is handed over at the new version's target.
            handler = HANDLERS[version.orders] if book.holder == version.name else trade_to
            book.position, book.holder = handler(before, version.target), version.name
            cost = abs(book.position - before) * COST_BPS / 10_000 * CAPITAL / len(self.books)
            costs[version.name] = costs.get(version.name, 0.0) + cost
        return costs

    def held_by(self, version: str) -> Held:
        """Its books."""
        held = [book for book in self.books if book.holder == version]
        part = len(held) / len(self.books)
        return Held(part, sum(abs(book.position) for book in held) / len(held) if held else None)
