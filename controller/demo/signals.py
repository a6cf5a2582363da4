"""The two algorithms of the demo. Each is fed one close at a time and can see nothing later.

`Crossover` is what the desk runs: the sign of a fast over a slow average, always fully invested
one way or the other. `ScaledMomentum` is its successor: the return of half a year per unit of
risk, sized so that the position as a whole moves about a tenth a year (Moskowitz, Ooi and
Pedersen, "Time series momentum", 2012, for the idea; parameters are round numbers, not fitted).
"""

from collections import deque
from collections.abc import Mapping
from math import log, sqrt
from typing import Protocol

TRADING_DAYS = 252
MOST_CLOSES = 251
"""Closes that are kept, so that parameters may change on the way."""


class Signal(Protocol):
    """A signal algorithm: closes in, target exposure out."""

    def on_close(self, close: float) -> float | None:
        """The exposure wanted until the next close, -1 (short) to 1 (long) of the capital; None
        while there is too little history."""
        ...

    def configure(self, parameters: Mapping[str, float]) -> None:
        """Go on with these from the next close on; what was seen so far is kept."""
        ...


class Crossover:
    """Long when the fast average of closes is above the slow one, else short."""

    def __init__(self, fast: int = 20, slow: int = 50) -> None:
        self.configure({"fast": fast, "slow": slow})
        self._closes: deque[float] = deque(maxlen=MOST_CLOSES)

    def configure(self, parameters: Mapping[str, float]) -> None:
        """See `Signal.configure`."""
        self._fast, self._slow = int(parameters["fast"]), int(parameters["slow"])

    def on_close(self, close: float) -> float | None:
        """See `Signal.on_close`."""
        self._closes.append(close)
        if len(self._closes) < self._slow:
            return None
        closes = list(self._closes)
        fast, slow = sum(closes[-self._fast :]), sum(closes[-self._slow :])
        return 1.0 if fast / self._fast > slow / self._slow else -1.0


class ScaledMomentum:
    """The return over `lookback` closes, in standard deviations, within [-1, 1], times the size
    that brings the exponentially weighted volatility (span `span`) down to `risk` a year."""

    def __init__(self, lookback: int = 120, span: int = 30, risk: float = 0.10) -> None:
        self.configure({"lookback": lookback, "span": span, "risk": risk})
        self._closes: deque[float] = deque(maxlen=MOST_CLOSES)
        self._variance: float | None = None

    def configure(self, parameters: Mapping[str, float]) -> None:
        """See `Signal.configure`."""
        self._lookback, self._risk = int(parameters["lookback"]), parameters["risk"]
        self._weight = 2 / (parameters["span"] + 1)

    def on_close(self, close: float) -> float | None:
        """See `Signal.on_close`."""
        if self._closes:
            self._learn(log(close / self._closes[-1]) ** 2)
        self._closes.append(close)
        if len(self._closes) <= self._lookback or not self._variance:
            return None
        volatility = sqrt(self._variance * TRADING_DAYS)
        momentum = log(close / self._closes[-1 - self._lookback])
        strength = momentum / (volatility * sqrt(self._lookback / TRADING_DAYS))
        return max(-1.0, min(1.0, strength)) * min(1.0, self._risk / volatility)

    def _learn(self, squared: float) -> None:
        before = squared if self._variance is None else self._variance
        self._variance = before + self._weight * (squared - before)
