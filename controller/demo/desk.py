"""A small desk: both versions see every close and say what they want; what is held follows the
share that the controller publishes.

What the desk measures is real: the prices are, the profit follows from them less the cost of each
trade, and the latency is the time that the algorithm took on this machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from time import perf_counter
from typing import Protocol

from controller.client import Client
from controller.client.parameters import Parameters
from controller.demo.clock import close_of
from controller.demo.market import Bar
from controller.demo.version import COST_BPS, Held, Version


class Trading(Protocol):
    """How what two versions want becomes what is held. Money is in US dollars, by version."""

    def settle(self, move: float) -> dict[str, float]:
        """What was won or lost since the last close, `move` being the change of the price."""
        ...

    def trade(
        self, client: Client, versions: Sequence[Version], at: datetime, move: float
    ) -> dict[str, float]:
        """Trade at the close, the baseline being first of the versions; what it cost."""
        ...

    def held_by(self, version: str) -> Held:
        """What a version holds now."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What one version did on one bar. `part`: of the capital. None: there was nothing to say it
    about."""

    version: str
    day: date
    failed: bool
    correct: bool | None
    agreed: bool | None
    net_bps: float | None
    latency_ms: float
    part: float
    pnl: float | None
    exposure: float | None


@dataclass(slots=True)
class Desk:
    """Trades on each bar. `versions`: the baseline first, then the candidate. `follows`: the
    candidate's engine runs with the parameters that the controller publishes, and says so."""

    versions: tuple[Version, Version]
    trading: Trading
    follows: bool = False
    last_close: float | None = None
    money: dict[str, float] = field(default_factory=dict)
    """Profit or loss so far, in US dollars, by version."""
    parameters: list[Parameters] = field(default_factory=list)
    """Taken on and acknowledged, the newest last."""

    def warm_up(self, bars: Sequence[Bar]) -> None:
        """Let both versions see history before the first bar that counts."""
        for bar in bars:
            for version in self.versions:
                version.target = version.signal.on_close(bar.close)
            self.last_close = bar.close

    def on_bar(self, bar: Bar, client: Client) -> tuple[Look, Look]:
        """The close of one day: settle what was held, ask both versions, trade."""
        move = bar.close / self.last_close - 1.0 if self.last_close else 0.0
        pnl = self.trading.settle(move)
        wanted = tuple(version.target for version in self.versions)
        if self.follows:
            self._take_on(client)
        for version in self.versions:
            started = perf_counter()
            version.target = version.signal.on_close(bar.close)
            version.latency_ms = (perf_counter() - started) * 1000
        costs = self.trading.trade(client, self.versions, close_of(bar.day), move)
        for name, cost in costs.items():
            pnl[name] = pnl.get(name, 0.0) - cost
        self.last_close = bar.close
        for name, gained in pnl.items():
            self.money[name] = self.money.get(name, 0.0) + gained
        first, second = self.versions
        return (
            self._look(first, bar.day, wanted[0], wanted[1], move, pnl),
            self._look(second, bar.day, wanted[1], wanted[0], move, pnl),
        )

    def _take_on(self, client: Client) -> None:
        """The newest whole vector, if it is another; acknowledged once the engine has it."""
        newest = client.parameters()
        if newest is None or (self.parameters and newest is self.parameters[-1]):
            return
        self.versions[1].configure(newest.values)
        if client.acknowledge(newest):
            self.parameters.append(newest)

    def _look(
        self,
        version: Version,
        day: date,
        wanted: float | None,
        other: float | None,
        move: float,
        pnl: dict[str, float],
    ) -> Look:
        held = self.trading.held_by(version.name)
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
            part=held.part,
            pnl=pnl.get(version.name),
            exposure=held.exposure,
        )
