"""`${NAME}` and `${NAME:-default}` in values: where things are, never what is decided.

A variable may stand in texts for people, in versions, sources and publishers. It may not stand
where a decision is made: the journal keeps the hash of the text as it is written, and a decision
must be reproducible from that text alone. So a rollout that runs can be decided on, and brought
back, in a shell where a variable is missing: only what stands there cannot be opened.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from controller.policy import document
from controller.policy.document import Node, Scalar, Sequence
from controller.policy.findings import Finding, did_you_mean

ALLOWED = ("description", "owner", "baseline", "candidate", "sources", "publish", "alerts")
"""Keys of a policy in which variables may stand."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


def fill_in(
    root: Node, environ: Mapping[str, str], path: Path, *, keep_unset: bool = False
) -> tuple[Finding, ...]:
    """Put the environment's values into the document; what is not allowed is found, and what is
    not set, unless it is to be kept as it is written. A finding names the variable and never
    shows a value."""
    if not isinstance(root, document.Mapping):
        return ()
    findings: list[Finding] = []
    for name, (_, value) in root.entries.items():
        for scalar in _scalars(value):
            if "${" in scalar.text and not scalar.variable:
                if keep_unset and unset_in(scalar.text, environ):
                    scalar.variable, scalar.plain = True, False
                else:
                    findings += _fill(scalar, environ, path, allowed=name in ALLOWED)
    return tuple(findings)


def unset_in(text: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the variables in `text` that have neither a value nor a default."""
    names = [
        match[1]
        for match in _VARIABLE.finditer(text)
        if match[2] is None and match[1] not in environ
    ]
    return tuple(dict.fromkeys(names))


def _fill(
    scalar: Scalar, environ: Mapping[str, str], path: Path, *, allowed: bool
) -> Iterator[Finding]:
    if not allowed:
        hint = f"write the value here; variables may stand in: {', '.join(ALLOWED)}"
        yield _finding("a variable where decisions are made", scalar, path, hint)
        return
    if "${" in _VARIABLE.sub("", scalar.text):
        hint = "write ${NAME} or ${NAME:-default}"
        yield _finding("a variable that cannot be read", scalar, path, hint)
        return
    unset = unset_in(scalar.text, environ)
    for name in unset:
        default = f"set it, or give a default: ${{{name}:-...}}"
        hint = did_you_mean(name, environ, default)
        yield _finding(f"environment variable {name} is not set", scalar, path, hint)
    if not unset:
        scalar.text = _VARIABLE.sub(
            lambda match: environ.get(match[1]) or match[2] or "", scalar.text
        )
        scalar.variable, scalar.plain = True, False


def _finding(message: str, scalar: Scalar, path: Path, hint: str) -> Finding:
    return Finding("P011", message, path, scalar.line, scalar.column, hint)


def _scalars(node: Node) -> Iterator[Scalar]:
    match node:
        case Scalar():
            yield node
        case Sequence():
            for item in node.items:
                yield from _scalars(item)
        case document.Mapping():
            for _, value in node.entries.values():
                yield from _scalars(value)
