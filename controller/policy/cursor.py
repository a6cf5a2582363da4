"""Where a reader of conditions stands among the words, and what it can take from there."""

from typing import ClassVar

from controller.policy.expression import Number
from controller.policy.findings import did_you_mean
from controller.policy.names import Names
from controller.policy.tokens import ConditionError, Token, scan, shown
from controller.policy.units import UnitError, parse_quantity

MAX_NESTING = 20
"""Parentheses and `not` around each other; also operators in a row."""
KEYWORDS = ("and", "or", "not")


class Cursor:
    """The words of one condition, and the names that it may use."""

    measured: ClassVar = "candidate.METRIC, baseline.METRIC or SOURCE.silent"
    """What a condition speaks of, for hints."""

    def __init__(self, text: str, names: Names) -> None:
        self._text, self._names = text, names
        self._tokens = scan(text)
        self._at = 0
        self._depth = 0

    def _quantity(self) -> Number:
        start = self._now
        sign = "-" if self._take("-") else ""
        token = self._now
        if token.kind != "number":
            hint = "a minus stands between two values, or before a number"
            raise self._error(token, "P201", f"a number is missing, found {shown(token)}", hint)
        self._at += 1
        text, after = token.text, self._now
        if token.text[-1].isdigit() and _is_unit(after) and not self._next_is("("):
            self._at += 1
            text += f" {after.text}"
        try:
            value, unit = parse_quantity(text)
        except UnitError as error:
            raise self._error(token, "P203", str(error), error.hint) from None
        if len(text) > 40:
            raise self._error(token, "P201", "a number of too many digits", "write a shorter one")
        return Number(-value if sign else value, unit, sign + text, start.column)

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _ended(self) -> bool:
        return self._now.kind == "end"

    def _take(self, text: str) -> bool:
        taken = self._now.text == text and self._now.kind != "end"
        self._at += taken
        return taken

    def _next_is(self, text: str) -> bool:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)].text == text

    def _expect(self, text: str, hint: str) -> None:
        if not self._take(text):
            raise self._error(
                self._now, "P201", f"{text!r} is missing, found {shown(self._now)}", hint
            )

    def _deeper(self, token: Token) -> int:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._error(
                token, "P206", f"nested deeper than {MAX_NESTING}", "split the condition"
            )
        return 1

    def _unexpected(self) -> ConditionError:
        token = self._now
        hint = f"a value is {', '.join(self.measured.split(' or '))} or a number"
        if token.text.lower() in KEYWORDS and token.text not in KEYWORDS:
            hint = f"write {token.text.lower()!r}"
        return self._error(token, "P201", f"unexpected {shown(token)}", hint)

    def _error(self, token: Token, code: str, message: str, hint: str) -> ConditionError:
        return self._error_at(token.column, code, message, hint)

    def _error_at(self, column: int, code: str, message: str, hint: str) -> ConditionError:
        return ConditionError(self._text, column, code, message, hint)

    def _unknown_metric(self, token: Token, name: str) -> ConditionError:
        column = token.column + len(token.text) - len(name)
        parts = name.split("-")
        for count in range(1, len(parts)):
            if "-".join(parts[:count]) in self._names.metrics:
                return self._error_at(column, "P202", f"unknown metric {name!r}",
                              "a hyphen is part of a name; put spaces around a minus")  # fmt: skip
        hint = did_you_mean(name, self._names.metrics)
        return self._error_at(column, "P202", f"unknown metric {name!r}", hint)


def _is_unit(token: Token) -> bool:
    """Whether a word after a number is its unit, as in `100 USD`."""
    word = token.kind == "name" and token.text.lower() not in (*KEYWORDS, "of")
    return (word and "." not in token.text) or token.text == "%"
