"""What a condition says, parsed and checked: the tree that `core.plan` compiles to closures."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal, assert_never

from controller.policy.periods import Period


class Dimension(Enum):
    """What can be compared with what. Values are held in the base unit."""

    NUMBER = "number"
    """Plain numbers, fractions and percentages (base 1; 5% is 0.05, 1 bps is 0.0001)."""
    TIME = "time"
    """Base unit: seconds."""
    MONEY = "money"
    """Base unit: one of the currency; the unit's name is its ISO 4217 code."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a literal or metric. `factor` takes one of it to the base unit."""

    name: str
    dimension: Dimension
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Number:
    """A literal. `value` is in the base unit, `text` as the user wrote it."""

    value: float
    unit: Unit
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Reference:
    """`candidate.accuracy`, `baseline.latency`, `signals.silent`, `difference.accuracy`."""

    subject: str
    metric: str
    unit: Unit
    column: int

    @property
    def key(self) -> str:
        """As in `core.measurement.reference`; of a parameter, its path."""
        return f"{self.subject}.{self.metric}" if self.subject else self.metric


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right` with op one of + - * /."""

    operator: Literal["+", "-", "*", "/"]
    left: "Term"
    right: "Term"
    unit: Unit
    column: int


@dataclass(frozen=True, slots=True)
class Elapsed:
    """`data.day.elapsed`: the share of a budget's period that has passed, in open time; `text` as
    it is written. Nothing is measured for it."""

    text: str
    period: Period
    unit: Unit
    column: int


Term = Number | Reference | Arithmetic | Elapsed


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`. Exactly on the limit is decided by the operator alone."""

    operator: Literal["<", "<=", ">", ">=", "==", "!="]
    left: Term
    right: Term
    column: int


@dataclass(frozen=True, slots=True)
class Versus:
    """`not_worse(metric, margin: 2%)`, `better(metric, by: 1%)`, `worse(metric, by: 5%)`: judged on
    the bounds of candidate minus baseline, or of the candidate against the number `than`. With
    `relative` the margin is a fraction of the baseline. `lower_is_better` is the metric's."""

    function: Literal["not_worse", "better", "worse"]
    metric: str
    margin: Number
    lower_is_better: bool
    column: int
    relative: bool = False
    than: Number | None = None

    @property
    def key(self) -> str:
        """As in `core.measurement.reference`."""
        return f"{'difference' if self.than is None else 'estimate'}.{self.metric}"

    @property
    def sign(self) -> float:
        """1 where higher is better, -1 where lower is."""
        return -1.0 if self.lower_is_better else 1.0

    @property
    def ratio(self) -> float:
        """Of how many baselines the candidate is taken less: sign (candidate - ratio baseline) is
        compared with the `limit`; 0 of a comparison with a number."""
        if self.than is not None:
            return 0.0
        if not self.relative:
            return 1.0
        return 1.0 + self.sign * (self.margin.value if self.function == "better" else
                                  -self.margin.value)  # fmt: skip

    @property
    def limit(self) -> float:
        """In the base unit. Above it the candidate is not worse, or better; below it, worse."""
        margin = 0.0 if self.relative else self.margin.value
        signed = margin if self.function == "better" else -margin
        return signed if self.than is None else self.sign * self.than.value + signed


@dataclass(frozen=True, slots=True)
class MannWhitney:
    """`mann_whitney(metric, tolerance: 25%, allowed: 0%, direction: increase)`: fails where the
    interval of the shift is beyond `tolerance` of the shift itself, in the direction or in either,
    and the means differ by `allowed` of the baseline's or more."""

    metric: str
    tolerance: Number
    allowed: Number
    direction: Literal["increase", "decrease", "either"]
    column: int

    @property
    def key(self) -> str:
        """As in `core.measurement.reference`."""
        return f"shift.{self.metric}"


@dataclass(frozen=True, slots=True)
class SplitAsAsked:
    """`split_as_asked(source)`: the candidate gets the share of the work that was asked for."""

    source: str
    column: int

    @property
    def key(self) -> str:
        """As in `core.measurement.reference`."""
        return f"split.{self.source}"


@dataclass(frozen=True, slots=True)
class Combine:
    """`and` / `or` of two or more parts."""

    operator: Literal["and", "or"]
    parts: tuple["Condition", ...]
    column: int


@dataclass(frozen=True, slots=True)
class Not:
    """`not part`."""

    part: "Condition"
    column: int


Condition = Compare | Versus | MannWhitney | SplitAsAsked | Combine | Not

ABOUT_CANDIDATE = ("candidate.", "difference.", "estimate.", "shift.")
"""How the keys of what is measured of the candidate begin."""
ABOUT_BASELINE = ("baseline.", "difference.", "shift.")
"""The same of the baseline."""
ABOUT_SPLIT = "split."


@dataclass(frozen=True, slots=True)
class Guard:
    """The conditions of a trigger: when it counts, and when it is over once it fires."""

    when: Condition
    clear: Condition | None = None


def references(node: Condition | Term) -> Iterator[str]:
    """Keys of every measurement that `node` reads, in the order written, repeats included."""
    match node:
        case Number() | Elapsed():
            return
        case Reference():
            yield node.key
        case Arithmetic() | Compare():
            yield from references(node.left)
            yield from references(node.right)
        case Versus() | MannWhitney() | SplitAsAsked():
            yield node.key
        case Combine():
            for part in node.parts:
                yield from references(part)
        case Not():
            yield from references(node.part)
        case _:
            assert_never(node)
