"""Which series of a page of metrics are meant: `http_errors_total{code=~"5..",version="$version"}`.

The signs are those of Prometheus: `=`, `!=`, `=~`, `!~`; patterns match whole values. A label that
a series does not have counts as empty.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)\s*")
_MATCHER = re.compile(
    r"""\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')\s*"""
)
_ESCAPED = {"n": "\n", "t": "\t"}


class SelectorError(ValueError):
    """Not a selector. `column` counts from 1; `hint` says what to write."""

    def __init__(self, message: str, column: int, hint: str) -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric's name and what its labels must be."""

    name: str
    labels: tuple[tuple[str, Callable[[str], bool]], ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant. `le` and `quantile` are labels too."""
        return all(fits(labels.get(name, "")) for name, fits in self.labels)


def parse_selector(text: str) -> Selector:
    """Raises SelectorError."""
    example = 'write it like errors_total{version="$version"}'
    found = _NAME.match(text)
    if found is None:
        raise SelectorError("a selector begins with the metric's name", 1, example)
    name, at = found[1], found.end()
    labels: list[tuple[str, Callable[[str], bool]]] = []
    if at < len(text) and text[at] == "{":
        at += 1
        while (matcher := _MATCHER.match(text, at)) is not None:
            labels.append((matcher[1], _test(matcher[2], matcher[3], matcher.start(3) + 1)))
            at = matcher.end()
            if text[at : at + 1] != ",":
                break
            at += 1
        at += len(text[at:]) - len(text[at:].lstrip())
        if text[at : at + 1] != "}":
            shown = repr(text[at]) if at < len(text) else "its end"
            raise SelectorError(f"a label or }} is missing, found {shown}", at + 1, example)
        at += 1
    if text[at:].strip():
        hint = f"{example}; a page of metrics is selected from, not calculated with"
        raise SelectorError(f"unexpected {text[at:].strip()[:20]!r}", at + 1, hint)
    return Selector(name, tuple(labels))


def is_selector(text: str) -> bool:
    """Whether a query in PromQL is a name with labels and no more."""
    try:
        parse_selector(text)
    except SelectorError:
        return False
    return True


def _test(sign: str, quoted: str, column: int) -> Callable[[str], bool]:
    value = _unquoted(quoted)
    if sign == "=":
        return lambda found: found == value
    if sign == "!=":
        return lambda found: found != value
    try:
        pattern = re.compile(value)
    except re.error as error:
        hint = "write a regular expression, such as 5.."
        raise SelectorError(f"not a pattern: {error}", column, hint) from None
    if sign == "=~":
        return lambda found: pattern.fullmatch(found) is not None
    return lambda found: pattern.fullmatch(found) is None


def _unquoted(text: str) -> str:
    """What a quoted text says: newline, tab, `\\xHH`, any other sign after a backslash as it is."""

    def sign(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) == 3 else _ESCAPED.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", sign, text[1:-1], flags=re.S)
