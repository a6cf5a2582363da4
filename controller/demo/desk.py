"""A small desk: a hundred books of equal size, each traded by the version its key is routed to.

Both versions see every close and say what they want (the candidate is mirrored, so that the two
are measured on the same bars). Only the version that a book is routed to trades it. What the
desk measures is real: the prices are, the profit follows from them less the cost of each trade,
and the latency is the time that the algorithm took on this machine.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from time import perf_counter

from controller.client import Client
from controller.demo.market import Bar
from controller.demo.signals import Crossover, ScaledMomentum, Signal

CAPITAL = 1_000_000.0
"""US dollars, over all books."""
BOOKS = 100
COST_BPS = 2.0
"""Half the spread and fees, in 1/10,000 of what is traded."""

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


ALGORITHMS: Mapping[str, Callable[..., Signal]] = {
    "crossover": Crossover,
    "momentum": ScaledMomentum,
}
HANDLERS: Mapping[str, Handler] = {"first": trade_to, "rewritten": add_target}


@dataclass(slots=True)
class Version:
    """A version at work: what it wants, how it trades, what it wanted at the last close."""

    name: str
    signal: Signal
    handler: Handler = trade_to
    target: float | None = None
    latency_ms: float = 0.0


def load_version(path: Path) -> Version:
    """The version that a configuration file describes."""
    config = json.loads(path.read_text(encoding="utf-8"))
    signal = ALGORITHMS[config["algorithm"]](**config["parameters"])
    return Version(config["version"], signal, HANDLERS[config["orders"]])


@dataclass(slots=True)
class Book:
    """A slice of the capital. `position` is a fraction of it, held by `holder` since the last
    close."""

    key: str
    position: float = 0.0
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one version did on one bar. Fractions are of the whole desk's capital; None: there
    was nothing to say it about."""

    version: str
    day: date
    failed: bool
    correct: bool | None
    agreed: bool | None
    net_bps: float | None
    latency_ms: float
    books: int
    pnl: float | None
    exposure: float | None


@dataclass(slots=True)
class Desk:
    """Trades `books` on each bar. `versions`: the baseline first, then the candidate."""

    versions: tuple[Version, Version]
    books: list[Book] = field(default_factory=lambda: open_books(BOOKS))
    last_close: float | None = None
    money: dict[str, float] = field(default_factory=dict)
    """Profit or loss so far, in US dollars, by version."""

    def warm_up(self, bars: Sequence[Bar]) -> None:
        """Let both versions see history before the first bar that counts."""
        for bar in bars:
            for version in self.versions:
                version.target = version.signal.on_close(bar.close)
            self.last_close = bar.close

    def on_bar(self, bar: Bar, client: Client) -> tuple[Look, Look]:
        """The close of one day: settle what was held, ask both versions, route, trade."""
        move = bar.close / self.last_close - 1.0 if self.last_close else 0.0
        pnl = self._settle(move)
        wanted = tuple(version.target for version in self.versions)
        for version in self.versions:
            started = perf_counter()
            version.target = version.signal.on_close(bar.close)
            version.latency_ms = (perf_counter() - started) * 1000
        self._trade(client, pnl)
        self.last_close = bar.close
        for name, gained in pnl.items():
            self.money[name] = self.money.get(name, 0.0) + gained
        first, second = self.versions
        return (
            self._look(first, bar.day, wanted[0], wanted[1], move, pnl),
            self._look(second, bar.day, wanted[1], wanted[0], move, pnl),
        )

    def _settle(self, move: float) -> dict[str, float]:
        """Credit what each book made to the version that held it (late outcomes: rule 10)."""
        pnl: dict[str, float] = {}
        for book in self.books:
            if book.holder:
                gained = book.position * move * CAPITAL / len(self.books)
                pnl[book.holder] = pnl.get(book.holder, 0.0) + gained
        return pnl

    def _trade(self, client: Client, pnl: dict[str, float]) -> None:
        versions = {version.name: version for version in self.versions}
        for book in self.books:
            version = versions[client.assign(book.key).version]
            if version.target is None:
                continue  # still warming up: the book stays as it is
            before = book.position
            # A book that changes hands is handed over at the new version's target.
            handler = version.handler if book.holder == version.name else trade_to
            book.position, book.holder = handler(before, version.target), version.name
            cost = abs(book.position - before) * COST_BPS / 10_000 * CAPITAL / len(self.books)
            pnl[version.name] = pnl.get(version.name, 0.0) - cost

    def _look(
        self,
        version: Version,
        day: date,
        wanted: float | None,
        other: float | None,
        move: float,
        pnl: dict[str, float],
    ) -> Look:
        held = [book for book in self.books if book.holder == version.name]
        has_view = wanted is not None and wanted != 0.0 and move != 0.0
        net = None
        if wanted is not None and version.target is not None:
            net = wanted * move * 10_000 - abs(version.target - wanted) * COST_BPS
        return Look(
            version=version.name,
            day=day,
            failed=version.target is None,
            correct=(wanted > 0) == (move > 0) if has_view and wanted is not None else None,
            agreed=(wanted > 0) == (other > 0) if has_view and wanted and other else None,
            net_bps=net,
            latency_ms=version.latency_ms,
            books=len(held),
            pnl=pnl.get(version.name),
            exposure=sum(abs(book.position) for book in held) / len(held) if held else None,
        )


def open_books(count: int) -> list[Book]:
    """Books with keys that stay the same in any process and after any restart."""
    return [Book(f"book-{number:03d}") for number in range(1, count + 1)]
