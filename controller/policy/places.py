"""Where things stand in a document: paths such as ("stages", 0, "hold") to line and column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from controller.policy import document
from controller.policy.document import Node, Scalar, place_in
from controller.policy.findings import Finding
from controller.policy.tokens import excerpt

Where = Sequence[str | int]


class Places:
    """The places of one document."""

    def __init__(self, path: Path, text: str, root: Node) -> None:
        self._path, self._text, self._root = path, text, root

    @property
    def directory(self) -> Path:
        """Where the document is; its relative paths start there."""
        return self._path.parent

    def node(self, where: Where) -> Node:
        """The node at `where`, or the nearest above it that is written."""
        node = self._root
        for part in where:
            if isinstance(node, document.Sequence) and isinstance(part, int):
                node = node.items[part]
            elif part == 0 and not isinstance(node, document.Sequence):
                continue  # the only entry of a list, written alone
            elif isinstance(node, document.Mapping) and part in node.entries:
                node = node.entries[str(part)][1]
            else:
                break
        return node

    def key(self, where: Where) -> Node:
        """The key at the end of `where`; the value where there is none."""
        parent = self.node(where[:-1])
        if isinstance(parent, document.Mapping) and where[-1] in parent.entries:
            return parent.entries[str(where[-1])][0]
        return self.node(where)

    def at(
        self,
        where: Where,
        code: str,
        message: str,
        hint: str = "",
        severity: Literal["error", "warning"] = "error",
    ) -> Finding:
        """A finding at the value."""
        node = self.node(where)
        return Finding(code, message, self._path, node.line, node.column, hint, severity)

    def at_key(self, where: Where, code: str, message: str, hint: str = "") -> Finding:
        """A finding at the key."""
        node = self.key(where)
        return Finding(code, message, self._path, node.line, node.column, hint)

    def inside(self, where: Where, column: int, code: str, message: str, hint: str = "") -> Finding:
        """A finding in a text such as a condition, at its `column` (from 1)."""
        node = self.node(where)
        assert isinstance(node, Scalar)
        line, at = place_in(self._text, node, column - 1)
        shown = excerpt(node.text, column)
        return Finding(code, message, self._path, line, at, hint, excerpt=shown)
