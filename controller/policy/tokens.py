"""The words of a condition, and the error that points into one."""

import re
from dataclasses import dataclass
from typing import Literal, cast

_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?(?:%|[A-Za-z][A-Za-z0-9.]*)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:-\w+)*(?:\.[A-Za-z_]\w*(?:-\w+)*)*)"
    r"|(?P<sign><=|>=|==|!=|[-<>+*/(),:%])",
    re.ASCII,
)
_HINTS = {
    "=": "for equal write ==",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or != for unequal",
    "≥": "write >=",
    "≤": "write <=",
    "≠": "write !=",
    "\u2013": "write a plain minus: -",
    "\u2212": "write a plain minus: -",
    "\u00d7": "write *",
    "÷": "write /",
    "^": "there are no powers",
    "'": "names stand without quotes",
    '"': "names stand without quotes",
    ".": "write a digit before the point: 0.85",
    "$": "variables have no place in a condition",
}


class ConditionError(Exception):
    """A condition that cannot be used. `column` counts from 1, in the condition's own text."""

    def __init__(self, text: str, column: int, code: str, message: str, hint: str = "") -> None:
        self.text, self.column, self.code = text, column, code
        self.message, self.hint = message, hint
        super().__init__(f"{code} {message}\n{self.excerpt}" + (f"\nhint: {hint}" if hint else ""))

    @property
    def excerpt(self) -> str:
        """See the function."""
        return excerpt(self.text, self.column)


def excerpt(text: str, column: int) -> str:
    """The line of a condition around the column (from 1), and a caret under it."""
    start = text.rfind("\n", 0, column - 1) + 1
    line = text[start:].split("\n")[0]
    at = column - 1 - start
    begin = max(0, at - 60)
    line, at = line[begin : begin + 100], at - begin
    return f"{line}\n{' ' * at}^"


@dataclass(frozen=True, slots=True)
class Token:
    """A word and where it stands, from 1."""

    kind: Literal["number", "name", "sign", "end"]
    text: str
    column: int


def scan(text: str) -> list[Token]:
    """The tokens of a condition, an `end` last. Raises ConditionError."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            hint = _HINTS.get(text[at], "only names, numbers and operators stand here")
            raise ConditionError(text, at + 1, "P201", f"unexpected {text[at]!r}", hint)
        if match.lastgroup != "blank":
            kind = cast(Literal["number", "name", "sign"], match.lastgroup)
            tokens.append(Token(kind, match[0], at + 1))
        at = match.end()
    return [*tokens, Token("end", "", len(text.rstrip()) + 1)]


def shown(token: Token) -> str:
    """A token in a message."""
    return "the end" if token.kind == "end" else repr(token.text[:60])
