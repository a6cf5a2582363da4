"""Random conditions: trees that the language can say, and measurements that they read."""

from collections.abc import Mapping
from math import inf
from typing import Literal

from hypothesis import strategies as st

from controller.policy.expression import (
    Arithmetic,
    Combine,
    Compare,
    Condition,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Term,
    Unit,
    Versus,
)
from controller.policy.names import MetricName, Names
from controller.policy.units import PLAIN, SECOND, UNITS, parse_unit

USD = parse_unit("USD")
NAMES = Names(
    {
        "accuracy": MetricName(PLAIN, 0.0, 1.0, "higher"),
        "and-more": MetricName(PLAIN, better="lower"),
        "trades": MetricName(PLAIN, 0.0, inf, "higher"),
        "latency": MetricName(UNITS["ms"], better="lower"),
        "pnl": MetricName(USD, better="higher"),
    },
    frozenset({"signals"}),
    frozenset({"signals"}),
)
_BY_UNIT: Mapping[str, list[str]] = {
    "plain": ["accuracy", "and-more", "trades"], "time": ["latency"], "money": ["pnl"],
}  # fmt: skip
_LITERALS: Mapping[str, list[tuple[str, float, Unit]]] = {
    "plain": [("0", 0.0, PLAIN), ("0.85", 0.85, PLAIN), ("1", 1.0, PLAIN), ("5%", 0.05, UNITS["%"]),
              ("1_000", 1000.0, PLAIN), ("15bps", 0.0015, UNITS["bps"]), ("57%", 0.57, UNITS["%"])],
    "time": [("2000ms", 2.0, UNITS["ms"]), ("2m", 120.0, UNITS["m"]), ("1h30m", 5400.0, UNITS["m"]),
             ("0s", 0.0, SECOND)],
    "money": [("100 USD", 100.0, USD), ("0 USD", 0.0, USD)],
}  # fmt: skip
OPERATORS = ("<", "<=", ">", ">=", "==", "!=")


def numbers(kind: str) -> st.SearchStrategy[Number]:
    """Literals of `plain`, `time` or `money`, with and without a minus."""

    def number(literal: tuple[str, float, Unit], negative: bool) -> Number:
        text, value, unit = literal
        return Number(-value, unit, f"-{text}", 0) if negative else Number(value, unit, text, 0)

    return st.builds(number, st.sampled_from(_LITERALS[kind]), st.booleans())


def measurements(kind: str) -> st.SearchStrategy[Reference]:
    """References of a kind."""
    found = [
        Reference(side, name, NAMES.metrics[name].unit, 0)
        for side in ("candidate", "baseline")
        for name in _BY_UNIT[kind]
    ]
    if kind == "time":
        found.append(Reference("signals", "silent", SECOND, 0))
    return st.sampled_from(found)


def terms(kind: str, depth: int = 2) -> st.SearchStrategy[Term]:
    """Values of a kind: literals, references and arithmetic that keeps the kind."""
    leaf = st.one_of(numbers(kind), measurements(kind))
    if not depth:
        return leaf
    part, plain = terms(kind, depth - 1), terms("plain", depth - 1)

    def by(operator: str, left: Term, right: Term) -> Term:
        unit = right.unit if operator == "*" and kind != "plain" else left.unit
        if kind == "plain" and operator in "*/":
            unit = PLAIN
        if operator == "*" and kind != "plain":
            left, right = right, left
            unit = right.unit
        return Arithmetic(operator, left, right, unit, 0)  # type: ignore[arg-type]

    divisors = plain.filter(lambda term: not (isinstance(term, Number) and term.value == 0))
    return st.one_of(
        leaf,
        st.builds(by, st.sampled_from("+-"), part, part),
        st.builds(by, st.just("*"), part, plain),
        st.builds(by, st.just("/"), part, divisors),
    )


@st.composite
def comparisons(draw: st.DrawFn, depth: int = 2) -> Compare:
    """A comparison that measures something."""
    kind = draw(st.sampled_from(["plain", "time", "money"]))
    left, right = draw(terms(kind, depth)), draw(measurements(kind))
    if draw(st.booleans()):
        left, right = draw(measurements(kind)), draw(numbers(kind))  # type: ignore[assignment]
    return Compare(draw(st.sampled_from(OPERATORS)), left, right, 0)


_VERSUS_FUNCTIONS: tuple[Literal["not_worse", "better", "worse"], ...] = (
    "not_worse", "better", "worse",
)  # fmt: skip
_DIRECTIONS: tuple[Literal["increase", "decrease", "either"], ...] = (
    "increase", "decrease", "either",
)  # fmt: skip


def _versus_of(name: str) -> st.SearchStrategy[Versus]:
    kind = next(kind for kind, names in _BY_UNIT.items() if name in names)
    literals = [Number(value, unit, text, 0) for text, value, unit in _LITERALS[kind]]
    parts = [Number(0.05, UNITS["%"], "5%", 0), Number(0.0015, UNITS["bps"], "15bps", 0)]
    lower = NAMES.metrics[name].better == "lower"
    margins = [(margin, False, than) for margin in literals for than in (None, *literals)]
    margins += [(part, True, None) for part in parts]
    return st.sampled_from(
        [
            Versus(function, name, margin, lower, 0, relative, than)
            for function in _VERSUS_FUNCTIONS
            for margin, relative, than in margins
        ]
    )


def versus() -> st.SearchStrategy[Versus]:
    """A comparison with the baseline, or with a number."""
    return _VERSUS


_VERSUS = st.one_of([_versus_of(name) for name in sorted(NAMES.metrics)])


def functions() -> st.SearchStrategy[MannWhitney | SplitAsAsked]:
    """The others."""
    return _FUNCTIONS


_ALLOWED = [Number(0.0, UNITS["%"], "0%", 0), Number(0.1, UNITS["%"], "10%", 0)]
_FUNCTIONS: st.SearchStrategy[MannWhitney | SplitAsAsked] = st.sampled_from(
    [
        SplitAsAsked("signals", 0),
        *(
            MannWhitney(name, Number(value, unit, text, 0), allowed, direction, 0)
            for name in sorted(NAMES.metrics)
            for text, value, unit in _LITERALS["plain"]
            for direction in _DIRECTIONS
            for allowed in _ALLOWED
        ),
    ]
)


def conditions(depth: int = 3) -> st.SearchStrategy[Condition]:
    """Whole conditions. `and` within `and` is one chain, so parts are of the other kind."""
    leaf = st.one_of(comparisons(), versus(), functions())
    if not depth:
        return leaf
    part = conditions(depth - 1)

    def combine(operator: str, parts: list[Condition]) -> Condition:
        flat: list[Condition] = []
        for each in parts:
            same = isinstance(each, Combine) and each.operator == operator
            flat += each.parts if same and isinstance(each, Combine) else (each,)
        return Combine(operator, tuple(flat), 0)  # type: ignore[arg-type]

    return st.one_of(
        leaf,
        st.builds(combine, st.sampled_from(["and", "or"]), st.lists(part, min_size=2, max_size=3)),
        st.builds(lambda each: Not(each, 0), part),
    )
