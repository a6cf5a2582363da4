"""Every aggregation: what it takes, its formula, its unit, and when it has no answer.

This table is what the parser reads, what conditions know of a metric's unit and range, and what
`docs/language.md` says; `judge.formulas` and `judge.aggregate` compute it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Literal


class Gives(Enum):
    """What a result is, so that conditions know what it compares with."""

    FIELD = "the field's unit"
    NUMBER = "a plain number"
    SHARE = "0 to 1"
    COUNT = "a count"
    TIME = "a time"
    BPS = "bps"


@dataclass(frozen=True, slots=True)
class Parameter:
    """What stands after the fields, by place or by name. `default` None: it must be given."""

    name: str
    kind: Literal["share", "number", "size", "duration", "count", "per", "take"]
    default: float | None
    example: str


MOST_FIELDS = 20
"""Fields of one aggregation."""
WORDS: Mapping[str, Mapping[str, float]] = {
    "per": {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0},
    "take": {"sum": 0.0, "last": 1.0},
}
"""Parameters that are one of a few words, and what each is worth."""


@dataclass(frozen=True, slots=True)
class Formula:
    """`says` and `formula` in words. `takes`: its fields, as they are shown; `least` of them must
    be given. `statistical`: it says little about few observations. `bars`: it is made of bars.
    `capital`: whether the metric may have one. `crossed`: of both versions together. `folds`: it
    goes on, approximately, where single values are no longer held."""

    says: str
    formula: str
    gives: Gives = Gives.FIELD
    low: float = -inf
    high: float = inf
    undefined: str = "without a value"
    source: str = ""
    takes: tuple[str, ...] = ("FIELD",)
    least: int = 1
    parameters: tuple[Parameter, ...] = ()
    statistical: bool = False
    bars: bool = False
    capital: Literal["no", "may", "with pnl"] = "no"
    crossed: bool = False
    folds: bool = False


_HALF_LIFE = Parameter("half_life", "duration", None, "5m")
_EPSILON = Parameter("epsilon", "size", 0.0, "0.0001")
_TAKE = Parameter("take", "take", 0.0, "last")
_SHARES = {"gives": Gives.SHARE, "low": 0.0, "high": 1.0, "statistical": True}
_RETURNS = {
    "gives": Gives.NUMBER, "statistical": True, "bars": True, "capital": "with pnl",
    "parameters": (_TAKE,),
}  # fmt: skip

AGGREGATIONS: Mapping[str, Formula] = {
    "count": Formula(
        "number of observations, or of those that have the field", "n",
        Gives.COUNT, 0.0, undefined="without an observation", least=0, folds=True,
    ),
    "sum": Formula("sum of the field", "sum of x", folds=True),
    "mean": Formula("mean of the field", "sum of x / n", statistical=True, folds=True),
    "ratio": Formula(
        "share of observations in which the field is true", "number of x other than 0 / n",
        folds=True, **_SHARES,  # type: ignore[arg-type]
    ),
    "min": Formula("smallest value", "min x", folds=True),
    "max": Formula("largest value", "max x", folds=True),
    "last": Formula("newest value", "x of the newest event time", folds=True),
    "quantile": Formula(
        "the value below which that share lies",
        "between the two values around place (n - 1) q of the sorted ones",
        source="Hyndman and Fan 1996, type 7",
        parameters=(Parameter("share", "share", None, "95%"),), statistical=True, folds=True,
    ),
    "std": Formula(
        "standard deviation of the field", "sqrt(sum of (x - mean)^2 / (n - 1))",
        low=0.0, undefined="with fewer than 2 values", statistical=True, folds=True,
    ),
    "ewma": Formula(
        "mean in which the weight of a value halves with every `half_life` of its age",
        "sum of w x / sum of w, w = 2^(-age / half_life)",
        source="exponential smoothing by time; as `ewm(halflife, times)` of pandas",
        parameters=(_HALF_LIFE,), statistical=True,
    ),
    "rate": Formula(
        "number of observations, or sum of the field, `per` second, minute, hour or day",
        "n or sum of x / length of the window",
        undefined="in a window without length", least=0,
        parameters=(Parameter("per", "per", 1.0, "minute"),), folds=True,
    ),
    # of trades
    "hit_rate": Formula(
        "share of signals that had the direction of their outcome; one without a direction, "
        "or with an outcome of at most `epsilon`, is not judged",
        "number of sign(signal) = sign(outcome) / number judged",
        undefined="without a signal that can be judged", takes=("SIGNAL", "OUTCOME"), least=2,
        parameters=(_EPSILON,),
        **_SHARES,  # type: ignore[arg-type]
    ),
    "win_rate": Formula(
        "share of trades that won; one that broke even has not", "number of x > 0 / n",
        **_SHARES,  # type: ignore[arg-type]
    ),
    "profit_factor": Formula(
        "what was won for each unit lost", "sum of gains / sum of losses",
        Gives.NUMBER, 0.0, undefined="until there are `losses` losses (5)",
        parameters=(Parameter("losses", "count", 5.0, "5"),), statistical=True,
    ),
    "expectancy": Formula(
        "what a trade brings on average", "p W - q L: p, q the shares that won and lost, W, L "
        "their means; it equals the mean", statistical=True, folds=True,
    ),
    "payoff": Formula(
        "mean win for each unit of mean loss", "W / L",
        Gives.NUMBER, 0.0, undefined="without a win and a loss", statistical=True,
    ),
    "consecutive_losses": Formula(
        "how many of the newest values in a row are below 0", "a value of 0 ends the row",
        Gives.COUNT, 0.0, folds=True,
    ),
    "max_consecutive_losses": Formula(
        "the longest row of values below 0", "a value of 0 ends a row", Gives.COUNT, 0.0,
    ),
    "turnover": Formula(
        "traded value: of each trade its quantity and price; a multiple of the capital, if the "
        "metric has one", "sum of |quantity| price, each trade once; / capital",
        low=0.0, takes=("QUANTITY", "PRICE"), least=2, capital="may",
    ),
    "slippage": Formula(
        "what fills cost against the price on arrival, weighted by value: of each fill its "
        "quantity (below 0 sells), its price and the price on arrival; above 0 is a cost",
        "sum of quantity (fill - arrival) / sum of |quantity| arrival",
        Gives.BPS, undefined="when nothing was traded, or at a price that is not above 0",
        source="implementation shortfall of what was filled, Perold 1988",
        takes=("QUANTITY", "FILL", "ARRIVAL"), least=3, statistical=True,
    ),
    "cost_per": Formula(
        "cost for each observation that has the second field, whether or not it carries a cost",
        "sum of cost / number of observations with the other field",
        undefined="without an observation of the second field", takes=("COST", "SIGNAL"), least=2,
        statistical=True,
    ),
    # of equity
    "max_drawdown": Formula(
        "deepest fall of the running sum of the field from its peak, the start included; a "
        "fraction of the peak with a capital", "max of peak - E, or of 1 - E / peak",
        low=0.0, capital="may", folds=True,
    ),
    "drawdown": Formula(
        "how far the running sum of the field is below its peak now", "peak - E, or 1 - E / peak",
        low=0.0, capital="may", folds=True,
    ),
    "drawdown_duration": Formula(
        "the longest open time that the running sum of the field stayed below a peak; a fall "
        "that lasts counts until now", "max of time of recovery - time of peak",
        Gives.TIME, 0.0,
    ),
    # of returns by bar
    "volatility": Formula(
        "standard deviation of the returns, for a year", "sqrt(P) std(r)",
        low=0.0, undefined="with fewer than 2 returns",
        **_RETURNS,  # type: ignore[arg-type]
    ),
    "sharpe": Formula(
        "mean return for its deviation, for a year", "sqrt(P) mean(r) / std(r)",
        undefined="with fewer than 2 returns, or when they are all alike",
        source="Sharpe 1994; sqrt(P) takes returns as independent (Lo 2002)",
        **_RETURNS,  # type: ignore[arg-type]
    ),
    "sortino": Formula(
        "mean return for its downward deviation, for a year",
        "sqrt(P) mean(r) / sqrt(sum of min(r, 0)^2 / n), n of all returns",
        undefined="with fewer than 2 returns, or without one below 0",
        source="Sortino and Price 1994",
        **_RETURNS,  # type: ignore[arg-type]
    ),
    "calmar": Formula(
        "growth of a year for the deepest fall", "((product of 1 + r)^(P / n) - 1) / max drawdown",
        undefined="with fewer than 2 returns, or without a drawdown",
        source="Young 1991, over the window instead of 36 months",
        **_RETURNS,  # type: ignore[arg-type]
    ),
    # of both versions
    "agreement": Formula(
        "share of keys for which both versions gave the same direction, of those for which both "
        "gave one at all; at most `epsilon` is flat, which agrees with flat alone",
        "number of sign(candidate) = sign(baseline) / number of pairs",
        undefined="without a key that both have", parameters=(_EPSILON,), crossed=True,
        **_SHARES,  # type: ignore[arg-type]
    ),
    "conflicts": Formula(
        "share of keys for which the versions gave opposite directions",
        "number of sign(candidate) = -sign(baseline), neither flat / number of pairs",
        undefined="without a key that both have", parameters=(_EPSILON,), crossed=True,
        **_SHARES,  # type: ignore[arg-type]
    ),
    "correlation": Formula(
        "correlation of both versions' values by key", "Pearson's r",
        Gives.NUMBER, -1.0, 1.0, source="Pearson 1895",
        undefined="with fewer than 3 pairs, or when one side's are all alike",
        statistical=True, crossed=True,
    ),
    # of the data
    "staleness": Formula(
        "open time since the newest event, of all or of those with the field", "now - event time",
        Gives.TIME, 0.0, undefined="before the first observation", least=0,
    ),
    "silent": Formula(
        "open time since anything of the version last came in, whatever its event time",
        "now - time of arrival",
        Gives.TIME, 0.0, undefined="before the first observation", takes=(), least=0,
    ),
    "gaps": Formula(
        "bars of the calendar without an observation, since the first one",
        "bars expected - bars seen",
        Gives.COUNT, 0.0, undefined="before the first observation, or within the first bar",
        least=0, bars=True,
    ),
    "outliers": Formula(
        "share of values far from the median of those before them; not judged: the first, and "
        "where more than half of those before are alike",
        "|0.6745 (x - median) / MAD| > limit, of the `last` values before x",
        undefined="until there are `last` values and one more",
        source="Iglewicz and Hoaglin 1993, rolling",
        parameters=(
            Parameter("last", "count", 60.0, "60"), Parameter("limit", "size", 6.0, "6"),
        ),
        **_SHARES,  # type: ignore[arg-type]
    ),
    "nulls": Formula(
        "share of observations without a number or text in the field: null, NaN, infinite or "
        "left out", "1 - number with the field / n",
        undefined="without an observation",
        **_SHARES,  # type: ignore[arg-type]
    ),
    "missing": Formula(
        "share of observations that lack one of the fields or more", "1 - number with all / n",
        undefined="without an observation", takes=("FIELD",) * MOST_FIELDS,
        **_SHARES,  # type: ignore[arg-type]
    ),
    "out_of_range": Formula(
        "share of values that are not from `low` to `high`", "number of x < low or x > high / n",
        parameters=(
            Parameter("low", "number", None, "0"), Parameter("high", "number", None, "1000"),
        ),
        **_SHARES,  # type: ignore[arg-type]
    ),
    "out_of_order": Formula(
        "share of observations that came in after one of a later event time",
        "number with a time before the newest so far / n",
        undefined="without an observation", takes=(), least=0,
        **_SHARES,  # type: ignore[arg-type]
    ),
    "duplicates": Formula(
        "share of keyed observations whose key was there before", "1 - number of keys / n",
        undefined="without an observation that has a key", takes=(), least=0,
        **_SHARES,  # type: ignore[arg-type]
    ),
}  # fmt: skip
"""Every aggregation by name."""


def signature(name: str) -> str:
    """How it is written: `quantile(FIELD, 95%)`, `hit_rate(SIGNAL, OUTCOME, epsilon: 0.0001)`."""
    known = AGGREGATIONS[name]
    many = len(known.takes) == MOST_FIELDS
    fields = ["FIELD", "FIELD", "..."] if many else known.takes
    given = [p.example if p.default is None else f"{p.name}: {p.example}" for p in known.parameters]
    return f"{name}({', '.join([*fields, *given])})"
