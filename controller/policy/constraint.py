"""Constraints on parameters: conditions that speak of paths instead of metrics.

    flow.fast < flow.slow and flow.fast * 2 <= limits.lookback

The language is that of `policy.condition`, without its functions. Numbers are compared exactly, as
they are written.
"""

from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any, ClassVar, NoReturn, assert_never

from controller.parameters.curves import exact
from controller.parameters.vector import is_number
from controller.policy.condition import MAX_LENGTH, Parser
from controller.policy.expression import (
    Arithmetic,
    Combine,
    Compare,
    Condition,
    Elapsed,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Term,
    Versus,
)
from controller.policy.findings import did_you_mean
from controller.policy.names import Names
from controller.policy.tokens import ConditionError, Token
from controller.policy.units import PLAIN

ValueOf = Callable[[str], Any]
"""What a path holds."""


class NoNumber(ValueError):
    """A parameter that is no number where a constraint needs one."""

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(name)
        self.name, self.value = name, value


def parse_constraint(text: str, paths: Collection[str]) -> Condition:
    """The tree of `text`, whose references are `paths`. Raises ConditionError."""
    if len(text) > MAX_LENGTH:
        message = f"a constraint of {len(text)} characters"
        raise ConditionError(text, 1, "P206", message, f"at most {MAX_LENGTH}; write several")
    return _Parser(text, paths).parse()


class _Parser(Parser):
    measured: ClassVar = "PARAMETER"

    def __init__(self, text: str, paths: Collection[str]) -> None:
        super().__init__(text, Names({}))
        self._paths = paths

    def _reference(self, token: Token) -> Reference:
        if token.text not in self._paths:
            hint = did_you_mean(token.text, self._paths)
            raise self._error(token, "P202", f"unknown parameter {token.text!r}", hint)
        return Reference("", token.text, PLAIN, token.column)

    def _call(self, function: Token) -> NoReturn:
        message = f"no functions here, found {function.text!r}"
        raise self._error(function, "P201", message, "compare parameters and numbers")


def holds(condition: Condition, value_of: ValueOf) -> bool:
    """Whether a constraint holds. A division by zero does not. Raises NoNumber."""
    match condition:
        case Compare():
            try:
                left, right = _term(condition.left, value_of), _term(condition.right, value_of)
            except ZeroDivisionError:
                return False
            return _compare(condition.operator, left, right)
        case Combine():
            # Every part is looked at: one that is no number is told wherever it stands.
            parts = [holds(part, value_of) for part in condition.parts]
            return all(parts) if condition.operator == "and" else any(parts)
        case Not():
            return not holds(condition.part, value_of)
        case Versus() | MannWhitney() | SplitAsAsked():
            raise TypeError("a constraint has no functions")
        case _:
            assert_never(condition)


def _term(term: Term, value_of: ValueOf) -> Fraction:
    match term:
        case Number():
            return exact(term.value)
        case Reference():
            value = value_of(term.key)
            if not is_number(value):
                raise NoNumber(term.key, value)
            return exact(value)
        case Arithmetic():
            left, right = _term(term.left, value_of), _term(term.right, value_of)
            match term.operator:
                case "+":
                    return left + right
                case "-":
                    return left - right
                case "*":
                    return left * right
                case "/":
                    return left / right
                case _:
                    assert_never(term.operator)
        case Elapsed():
            raise NoNumber(term.text, None)  # a constraint knows no budgets
        case _:
            assert_never(term)


def _compare(operator: str, left: Fraction, right: Fraction) -> bool:
    match operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case "==":
            return left == right
        case _:
            return left != right
