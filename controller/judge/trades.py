"""Numbers of trades and signals. Each takes the values in order of time, finite, not empty.

Formulas, units and sources are in `policy.formulas`; `Undefined` is raised where one has no answer.
"""

from collections.abc import Iterable, Sequence
from math import fsum
from operator import mul

from controller.judge.undefined import Undefined


def signs(values: Sequence[float], epsilon: float) -> list[int]:
    """Direction of each: 1, -1, or 0 where it is at most `epsilon` from 0."""
    return [(x > epsilon) - (x < -epsilon) for x in values]


def hits(signals: Sequence[float], outcomes: Sequence[float], epsilon: float) -> tuple[int, int]:
    """(signals that had the direction of their outcome, signals that can be judged)."""
    agree = list(map(mul, signs(signals, 0.0), signs(outcomes, epsilon)))
    right, wrong = agree.count(1), agree.count(-1)
    return right, right + wrong


def wins(pnl: Sequence[float]) -> int:
    """Trades that won; one that broke even has not."""
    return sum(1 for x in pnl if x > 0)


def profit_factor(pnl: Sequence[float], least: int) -> float:
    """What was won for each unit lost, once there are `least` losses."""
    losses = [x for x in pnl if x < 0]
    if len(losses) < least:
        raise Undefined(f"{len(losses)} losses, and it takes {least} to say")
    return fsum(x for x in pnl if x > 0) / -fsum(losses)


def payoff(pnl: Sequence[float]) -> float:
    """Mean win for each unit of mean loss."""
    won, lost = [x for x in pnl if x > 0], [x for x in pnl if x < 0]
    if not won or not lost:
        raise Undefined(f"no {'loss' if won else 'win'} to compare with")
    return (fsum(won) / len(won)) / (-fsum(lost) / len(lost))


def longest_row_of_losses(pnl: Iterable[float]) -> int:
    """The most values below 0 in a row."""
    longest = row = 0
    for x in pnl:
        row = row + 1 if x < 0 else 0
        longest = max(longest, row)
    return longest


def turnover(quantities: Sequence[float], prices: Sequence[float]) -> float:
    """Traded value; each trade counts once, whichever its side."""
    return fsum(abs(q) * p for q, p in zip(quantities, prices, strict=True))


def slippage(
    quantities: Sequence[float], fills: Sequence[float], arrivals: Sequence[float]
) -> float:
    """What fills cost as a fraction of their value on arrival; quantities below 0 are sales."""
    if min(arrivals) <= 0:
        raise Undefined(f"a price on arrival of {min(arrivals):g}: it must be above 0")
    value = fsum(abs(q) * a for q, a in zip(quantities, arrivals, strict=True))
    if not value:
        raise Undefined("nothing was traded")
    cost = fsum(q * (f - a) for q, f, a in zip(quantities, fills, arrivals, strict=True))
    return cost / value


def cost_per(costs: Sequence[float], signals: int) -> float:
    """Cost for each signal, those without a cost of their own included."""
    if not signals:
        raise Undefined("no signal to share the cost")
    return fsum(costs) / signals
