"""What is left of values that are not kept any more: enough to go on with a total or a fall."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf


@dataclass(slots=True)
class Running:
    """Number, sum, extremes and fall of equity of a row of values, fed in order. Equity begins at
    `capital` (0 without one) and its start counts for the peak; `deepest` is a fraction of the
    peak with a capital, in the field's unit without. `last` is the place of the newest value."""

    capital: float | None
    count: int = 0
    total: float = 0.0
    low: float = inf
    high: float = -inf
    equity: float = 0.0
    peak: float = 0.0
    deepest: float = 0.0
    last: int = 0

    def __post_init__(self) -> None:
        self.equity = self.peak = self.capital or 0.0

    def feed(self, values: Iterable[float]) -> None:
        """Go on with more values."""
        equity, peak, deepest = self.equity, self.peak, self.deepest
        relative = self.capital is not None
        for value in values:
            equity += value
            if equity > peak:
                peak = equity
            else:
                fall = 1.0 - equity / peak if relative else peak - equity
                if fall > deepest:
                    deepest = fall
        self.equity, self.peak, self.deepest = equity, peak, deepest

    def keep(self, values: list[float], last: int) -> None:
        """Take in values, not empty, that are dropped now; `last` is the place of the last."""
        self.feed(values)
        self.count += len(values)
        self.total += sum(values)
        self.low, self.high = min(self.low, *values), max(self.high, *values)
        self.last = last

    @property
    def fall(self) -> float:
        """How far equity stands below its peak now."""
        if self.capital is None:
            return self.peak - self.equity
        return 1.0 - self.equity / self.peak
