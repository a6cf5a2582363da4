"""YAML to a tree of nodes that know their place, within limits, without a surprise.

The tree is built from the parser's events, one by one, so that depth and number of nodes are
bounded while the text is read: an alias shares its node and never expands. Values stay text
here; what they mean is for `shape` to say, which knows what is wanted.

One liberty is taken with YAML: a call such as `not_worse(accuracy, margin: 2%)` may stand
unquoted wherever a value may. In a flow sequence YAML would end the value at the comma and begin
a key at the colon. Commas and colons inside the parentheses of a call on one line are therefore
hidden from the parser under two characters that the text does not use, and put back in every
value. Nothing moves, so places stay exact; quoted and block values come out as they were.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.policy.findings import Finding, did_you_mean

MAX_BYTES = 256 * 1024
MAX_DEPTH = 50
MAX_NODES = 20_000
"""Nodes of a document, with every alias counted as what it stands for."""
_CALL = re.compile(r"[A-Za-z_]\w*\((?:[^()\[\]{}'\"#\n]|\([^()\[\]{}'\"#\n]*+\))*+\)")
_PRIVATE = range(0xE000, 0xF8FF)


@dataclass(slots=True)
class Scalar:
    """A text as written. `plain`: without quotes. `start` and `end` are offsets in the file;
    `variable`: it had a `${...}`, so its text is not shown."""

    text: str
    plain: bool
    line: int
    column: int
    start: int
    end: int
    style: str
    size: int = 1
    variable: bool = False


@dataclass(slots=True)
class Sequence:
    """A list of values."""

    line: int
    column: int
    items: list["Node"] = field(default_factory=list)
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys and values, in the order written."""

    line: int
    column: int
    entries: dict[str, tuple[Scalar, "Node"]] = field(default_factory=dict)
    size: int = 1


Node = Scalar | Sequence | Mapping


class DocumentError(Exception):
    """The text is not a document. Carries the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def read_document(text: str, path: Path) -> tuple[Node, tuple[Finding, ...]]:
    """The tree of one YAML document, and the keys that are written twice. Raises DocumentError
    for what is no document, or none that may be read."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _refuse(path, "P002", f"more than {MAX_BYTES // 1024} KiB", "split it", 1, 1)
    masked, unmask = _mask(text)
    builder = _Builder(path, unmask)
    for event in _events(masked, path):
        builder.take(event)
    if builder.root is None:
        raise _refuse(path, "P005", "nothing in it", "begin with `rollout: NAME`", 1, 1)
    return builder.root, tuple(builder.findings)


def place_in(text: str, node: Scalar, offset: int) -> tuple[int, int]:
    """Line and column in the file of the character `offset` of a scalar's text. Where the text
    was folded, the characters are counted without blanks; where it was escaped or came from a
    variable, it is the scalar's own place."""
    start, end = node.start, node.end
    if node.style in ("'", '"'):
        start, end = start + 1, end - 1
    elif node.style in ("|", ">"):
        start = text.find("\n", start, end) + 1
    raw = text[start:end]
    if "".join(raw.split()) != "".join(node.text.split()):
        return node.line, node.column
    wanted = sum(not character.isspace() for character in node.text[:offset])
    at_end = not node.text[offset:].strip()
    index = _nth_visible(raw, wanted - 1) + 1 if at_end else _nth_visible(raw, wanted)
    before = text[: start + index]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _nth_visible(raw: str, number: int) -> int:
    seen = -1
    for index, character in enumerate(raw):
        seen += not character.isspace()
        if seen == number:
            return index
    return len(raw)


def _mask(text: str) -> tuple[str, dict[int, str]]:
    """The text with the commas and colons of calls hidden, and how to put them back."""
    spare = (chr(code) for code in _PRIVATE if chr(code) not in text)
    comma, colon = next(spare, ""), next(spare, "")
    if not colon:
        return text, {}
    hide = {ord(","): comma, ord(":"): colon}
    masked = _CALL.sub(lambda match: match[0].translate(hide), text)
    return masked, {ord(comma): ",", ord(colon): ":"}


def _events(text: str, path: Path) -> Iterator[Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = _plain_words(error.problem or error.context or "cannot be read")
        raise _refuse(path, "P004", problem, _syntax_hint(problem), line, column) from error
    except YAMLError as error:
        position = getattr(error, "position", 0)
        line, column = _line_column(text, position if isinstance(position, int) else 0)
        message = "a character that YAML text cannot have"
        raise _refuse(path, "P003", message, "take it out", line, column) from error
    except (ValueError, LookupError, ArithmeticError, AssertionError, TypeError) as error:
        # The parser trips over some malformed text (a broken escape, a directive without end)
        # with errors that are not its own.
        message = f"cannot be read ({type(error).__name__})"
        raise _refuse(path, "P004", message, "simplify it", 1, 1) from error


def _plain_words(problem: str) -> str:
    words = " ".join(problem.split())
    return "".join(c if c.isprintable() and not 0xE000 <= ord(c) <= 0xF8FF else "?" for c in words)


def _syntax_hint(problem: str) -> str:
    if "\\t" in problem or "tab" in problem:
        return "indent with spaces"
    if "mapping values" in problem:
        return "put a value that contains ': ' in quotes"
    if "got '{'" in problem:
        return "inside {...}, put a value with braces, such as ${NAME}, in quotes"
    return "look for a missing quote, bracket or indentation here or just before"


def _line_column(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def _refuse(
    path: Path, code: str, message: str, hint: str, line: int, column: int
) -> DocumentError:
    return DocumentError(Finding(code, message, path, line, column, hint))


class _Builder:
    """Takes events, keeps the limits, builds the tree."""

    def __init__(self, path: Path, unmask: dict[int, str]) -> None:
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self._path, self._unmask = path, unmask
        self._stack: list[tuple[Sequence | Mapping, str | None]] = []
        self._keys: list[Scalar | None] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        """One event of the parser."""
        kind = type(event).__name__
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if getattr(event, "tag", None) is not None:
            self._fail("P006", f"tag {str(event.tag)[:40]}", "write the value plainly, without a"
                       " tag; text goes in quotes", line, column)  # fmt: skip
        match kind:
            case "DocumentStartEvent":
                self._begin(event, line, column)
            case "ScalarEvent":
                style = event.style or ""
                text = event.value.translate(self._unmask)
                scalar = Scalar(
                    text, not style, line, column, mark.index, event.end_mark.index, style
                )
                self._add(scalar, event.anchor)
            case "SequenceStartEvent":
                self._open(Sequence(line, column), event.anchor, line, column)
            case "MappingStartEvent":
                self._open(Mapping(line, column), event.anchor, line, column)
            case "SequenceEndEvent" | "MappingEndEvent":
                self._close()
            case "AliasEvent":
                self._add(self._aliased(event.anchor, line, column), None)

    def _begin(self, event: Any, line: int, column: int) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fail("P005", "a second document", "one policy a file", line, column)
        if event.version not in (None, (1, 2)) or event.tags:
            self._fail("P006", "a YAML directive", "policies are YAML 1.2: leave it out",
                       line, column)  # fmt: skip

    def _open(self, node: Sequence | Mapping, anchor: str | None, line: int, column: int) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._fail("P002", f"nested deeper than {MAX_DEPTH}", "flatten it", line, column)
        self._stack.append((node, anchor))
        self._keys.append(None)

    def _close(self) -> None:
        node, anchor = self._stack.pop()
        self._keys.pop()
        self._add(node, anchor)

    def _aliased(self, anchor: str, line: int, column: int) -> Node:
        node = self._anchors.get(anchor)
        if node is not None:
            return node
        if any(anchor == open_anchor for _, open_anchor in self._stack):
            message, hint = f"alias *{anchor} contains itself", "write it out"
            raise _refuse(self._path, "P007", message, hint, line, column)
        hint = did_you_mean(anchor, self._anchors, "an anchor (&name) comes before its alias")
        raise _refuse(self._path, "P004", f"unknown alias *{anchor}", hint, line, column)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1][0]
        if isinstance(parent, Mapping) and self._keys[-1] is None:
            self._key(node)
            return
        parent.size += node.size
        if parent.size > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases counted as what they stand for"
            self._fail("P002", message, "use fewer or smaller aliases", parent.line, parent.column)
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        assert key is not None
        self._keys[-1] = None
        first = parent.entries.setdefault(key.text, (key, node))[0]
        if first is not key:
            message = f"{_shorten(key.text)!r} is written twice, first in line {first.line}"
            self.findings.append(
                Finding("P008", message, self._path, key.line, key.column, "keep one of them")
            )

    def _key(self, node: Node) -> None:
        if not isinstance(node, Scalar):
            self._fail("P004", "a key that is not text", "a key is a single word",
                       node.line, node.column)  # fmt: skip
        assert isinstance(node, Scalar)
        self._keys[-1] = node

    def _fail(self, code: str, message: str, hint: str, line: int, column: int) -> Any:
        raise _refuse(self._path, code, message, hint, line, column)


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
