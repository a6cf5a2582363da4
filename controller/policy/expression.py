"""What a condition says, parsed and checked: the tree that `core.plan` compiles to closures."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal, assert_never


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
        """As in `core.measurement.reference`."""
        return f"{self.subject}.{self.metric}"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right` with op one of + - * /."""

    operator: Literal["+", "-", "*", "/"]
    left: "Term"
    right: "Term"
    unit: Unit
    column: int


Term = Number | Reference | Arithmetic


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`. Exactly on the limit is decided by the operator alone."""

    operator: Literal["<", "<=", ">", ">=", "==", "!="]
    left: Term
    right: Term
    column: int


@dataclass(frozen=True, slots=True)
class Versus:
    """`not_worse(metric, margin: 2%)` or `better(metric, by: 1%)`: judged on the confidence
    bounds of candidate minus baseline. `lower_is_better` comes from the metric."""

    function: Literal["not_worse", "better"]
    metric: str
    margin: Number
    lower_is_better: bool
    column: int


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


Condition = Compare | Versus | Combine | Not


@dataclass(frozen=True, slots=True)
class Guard:
    """The conditions of a trigger: when it counts, and when it is over once it fires."""

    when: Condition
    clear: Condition | None = None


def references(node: Condition | Term) -> Iterator[str]:
    """Keys of every measurement that `node` reads, in the order written, repeats included."""
    match node:
        case Number():
            return
        case Reference():
            yield node.key
        case Arithmetic() | Compare():
            yield from references(node.left)
            yield from references(node.right)
        case Versus():
            yield f"difference.{node.metric}"
        case Combine():
            for part in node.parts:
                yield from references(part)
        case Not():
            yield from references(node.part)
        case _:
            assert_never(node)
