"""A document read into the models: each value checked against its field, at its own place.

The models say what is wanted (`policy.models`); this walks document and model together and
collects everything that does not fit, so that one look shows all of it.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import fields

from controller.policy import document
from controller.policy.document import Node, Scalar
from controller.policy.findings import Finding, did_you_mean
from controller.policy.values import LONGEST_TEXT

_FAILED: Any = object()
_NUMBER_DIGITS = 30
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+")
_OLD_BOOL = re.compile(r"yes|no|on|off", re.IGNORECASE)
_SEXAGESIMAL = re.compile(r"[-+]?\d+(?::[0-5]?\d)+(?:\.\d*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+|0o[0-7]+|0x[0-9a-fA-F]+|0b[01]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE)
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class ShapeReader:
    """Reads nodes into models. `findings` is what did not fit."""

    def __init__(self, path: Path) -> None:
        self.findings: list[Finding] = []
        self._path = path

    def read(self, model: type[Struct], root: Node) -> Any:
        """The model of a whole document; None if anything did not fit."""
        value = self._read(model, root, root, "the policy")
        return None if value is _FAILED else value

    def _read(self, wanted: Any, node: Node, key: Node, where: str) -> Any:
        wanted, meta = unwrap(wanted)
        extra = {name: value for part in meta for name, value in (part.extra or {}).items()}
        if isinstance(node, Scalar) and node.plain and self._trapped(node, key, where):
            return _FAILED
        if "read" in extra:
            return self._custom(extra["read"], extra["kind"], node, where)
        origin = get_origin(wanted)
        if origin is Literal:
            return self._choice(get_args(wanted), node, where)
        if origin is tuple and extra.get("single") and not isinstance(node, document.Sequence):
            value = self._read(get_args(wanted)[0], node, key, where)
            return _FAILED if value is _FAILED else (value,)
        if origin is tuple:
            return self._tuple(get_args(wanted)[0], meta, node, where)
        if origin is dict:
            return self._dict(get_args(wanted)[0], get_args(wanted)[1], node, where)
        if origin in (Union, UnionType):
            return self._tagged(get_args(wanted), node, key, where)
        if issubclass(wanted, Struct):
            return self._struct(wanted, node, key, where)
        return self._scalar(wanted, meta, extra, node, where)

    # structs ------------------------------------------------------------------------------

    def _struct(self, model: type[Struct], node: Node, key: Node, where: str) -> Any:
        shorthand = getattr(model, "shorthand", None)
        if shorthand is not None and isinstance(node, Scalar):
            field = next(f for f in fields(model) if f.name == shorthand)
            value = self._read(field.type, node, key, where)
            return _FAILED if value is _FAILED else model(**{shorthand: value})
        if not isinstance(node, document.Mapping):
            return self._wrong(node, f"{where} must be keys and values", _example(model))
        known = {field.encode_name: field for field in fields(model)}
        tag = model.__struct_config__.tag_field
        good = self._no_strangers(node, [*known, *([tag] if tag else [])], where)
        values: dict[str, Any] = {}
        for name, field in known.items():
            if name in node.entries:
                its_key, its_node = node.entries[name]
                value = self._read(field.type, its_node, its_key, _join(where, name))
                values[field.name] = value
                good = good and value is not _FAILED
            elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
                good = False
                self._find("P102", f"{where} has no {name!r}", key, _describe(field.type, name))
        return model(**values) if good else _FAILED

    def _no_strangers(self, node: document.Mapping, known: list[str], where: str) -> bool:
        strangers = [name for name in node.entries if name not in known]
        for name in strangers:
            hint = did_you_mean(name, known, f"keys are: {', '.join(known)}")
            if name == "<<":
                hint = "YAML 1.2 has no merge keys; write the keys, or alias a whole value"
            message = f"unknown key {_quote(name)} in {where}"
            self._find("P101", message, node.entries[name][0], hint)
        return not strangers

    def _tagged(self, models: tuple[Any, ...], node: Node, key: Node, where: str) -> Any:
        """One of several structs: its `type` says which."""
        if not isinstance(node, document.Mapping):
            return self._wrong(node, f"{where} must be keys and values", "begin with `type:`")
        by_tag = {str(model.__struct_config__.tag): model for model in models}
        if "type" not in node.entries:
            self._find("P102", f"{where} has no 'type'", key, f"types are: {', '.join(by_tag)}")
            return _FAILED
        type_key, type_node = node.entries["type"]
        tag = self._read(Literal[tuple(by_tag)], type_node, type_key, f"{where}.type")
        return _FAILED if tag is _FAILED else self._struct(by_tag[tag], node, key, where)

    # lists and tables -----------------------------------------------------------------------

    def _tuple(self, wanted: Any, meta: list[Meta], node: Node, where: str) -> Any:
        if not isinstance(node, document.Sequence):
            return self._wrong(node, f"{where} must be a list", "write it as [a, b] or as lines "
                               "that begin with `- `")  # fmt: skip
        least = max((part.min_length or 0 for part in meta), default=0)
        most = min((part.max_length for part in meta if part.max_length), default=10_000)
        if not least <= len(node.items) <= most:
            message = f"{where} has {len(node.items)} entries, not {least} to {most}"
            return self._wrong(node, message, "")
        read = [
            self._read(wanted, item, item, f"{where}[{number}]")
            for number, item in enumerate(node.items)
        ]
        return _FAILED if any(value is _FAILED for value in read) else tuple(read)

    def _dict(self, key_type: Any, wanted: Any, node: Node, where: str) -> Any:
        if not isinstance(node, document.Mapping):
            return self._wrong(node, f"{where} must be names and what they stand for", "")
        read: dict[str, Any] = {}
        meta = unwrap(key_type)[1]
        extra = {word: value for part in meta for word, value in (part.extra or {}).items()}
        for name, (key, value) in node.entries.items():
            named = self._scalar(str, meta, extra, _quoted(key), f"a name in {where}")
            read[name] = self._read(wanted, value, key, f"{where}.{name[:64]}")
            if named is _FAILED:
                read[name] = _FAILED
        return _FAILED if any(value is _FAILED for value in read.values()) else read

    # single values ----------------------------------------------------------------------------

    def _custom(self, reader: Callable[[object], Any], kind: str, node: Node, where: str) -> Any:
        if not isinstance(node, Scalar):
            return self._wrong(node, f"{where} must be {kind}", "")
        try:
            return reader(node.text)
        except ValueError as error:
            message, _, hint = str(error).rpartition("; ")
            if len(node.text) > LONGEST_TEXT:
                message = f"{_shown(node)} is not {kind}"
            return self._wrong(node, f"{where}: {message}", hint, f"must be {kind}")

    def _choice(self, choices: tuple[Any, ...], node: Node, where: str) -> Any:
        if isinstance(node, Scalar) and node.text in choices:
            return node.text
        shown = _shown(node)
        hint = did_you_mean(getattr(node, "text", ""), choices, f"one of: {', '.join(choices)}")
        self._find("P104", f"{where} cannot be {shown}", node, hint)
        return _FAILED

    def _scalar(
        self, wanted: Any, meta: list[Meta], extra: Mapping[str, Any], node: Node, where: str
    ) -> Any:
        kind = _WORDS[wanted]
        if not isinstance(node, Scalar):
            hint = "put the value in quotes" if wanted is str else ""
            return self._wrong(node, f"{where} must be {kind}", hint)
        value = _value(node)
        if wanted is str and node.plain and not isinstance(value, str):
            other = f" ({value!r})" if str(value) != node.text else ""
            message = f"{where}: a bare {node.text} is not text but a {_kind(value)}{other}"
            return self._trap(node, message, f'write "{node.text}"')
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            hint = "write true or false" if wanted is bool else "write it without quotes"
            return self._wrong(node, f"{where} must be {kind}, not {_shown(node)}", hint)
        problem = next(filter(None, (_outside(part, value) for part in meta)), "")
        if problem:
            problem = str(extra.get("kind", problem))
            hint = f"it must be {problem}"
            return self._wrong(node, f"{where} cannot be {_shown(node)}", hint)
        return value

    def _trapped(self, node: Scalar, key: Node, where: str) -> bool:
        """What other readers of YAML take for something else, or for nothing."""
        text = node.text
        if text in ("", "~", "null", "Null", "NULL"):
            self._find("P010", f"{where} has no value", key, "give it one, or leave the key out")
        elif _OLD_BOOL.fullmatch(text):
            hint = f'write "{text}" for the text, true or false for a flag'
            self._trap(
                node, f"{where}: a bare {text} is true or false to some, text to others", hint
            )
        elif _SEXAGESIMAL.fullmatch(text):
            message = f"{where}: a bare {text[:40]} is a number to base 60 to some"
            self._trap(node, message, "write a duration (12h30m), or put text in quotes")
        elif _OCTAL.fullmatch(text):
            message = f"{where}: a bare {text[:40]} is octal to some, decimal to others"
            self._trap(node, message, "write a plain decimal number, or put text in quotes")
        elif _NOT_FINITE.fullmatch(text):
            self._trap(node, f"{where}: {text} is not a finite number", "write a finite number")
        elif _FLOAT.fullmatch(text) and sum(c.isdigit() for c in text) > _NUMBER_DIGITS:
            self._trap(node, f"{where}: a number of too many digits", "write a shorter number")
        else:
            return False
        return True

    # findings -----------------------------------------------------------------------------

    def _wrong(self, node: Node, message: str, hint: str, generic: str = "") -> Any:
        if isinstance(node, Scalar) and node.variable:
            # The value of a variable may be a secret.
            where = message.split(":")[0].split(" must ")[0].split(" cannot ")[0]
            message, hint = f"{where}: the variable's value does not fit", generic or hint
        self._find("P103", message, node, hint)
        return _FAILED

    def _trap(self, node: Scalar, message: str, hint: str) -> Any:
        self._find("P009", message, node, hint)
        return _FAILED

    def _find(self, code: str, message: str, node: Node, hint: str) -> None:
        self.findings.append(Finding(code, message, self._path, node.line, node.column, hint))


def unwrap(wanted: Any) -> tuple[Any, list[Meta]]:
    """The bare type, and every Meta on the way to it; None is left out of unions."""
    meta: list[Meta] = []
    while True:
        if get_origin(wanted) is Annotated:
            meta += [part for part in wanted.__metadata__ if isinstance(part, Meta)]
            wanted = wanted.__origin__
        elif get_origin(wanted) in (Union, UnionType) and NoneType in get_args(wanted):
            rest = [part for part in get_args(wanted) if part is not NoneType]
            wanted = rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007
        else:
            return wanted, meta


def _value(node: Scalar) -> object:
    """What YAML 1.2 makes of a scalar that is not a trap."""
    text = node.text
    if not node.plain:
        return text
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        value = float(text.replace("_", ""))
        return value if math.isfinite(value) else text
    return text


def _outside(meta: Meta, value: Any) -> str:
    """What a constraint asks for, if the value does not keep it."""
    if meta.ge is not None and value < meta.ge:
        return f"at least {meta.ge}"
    if meta.le is not None and value > meta.le:
        return f"at most {meta.le}"
    if meta.gt is not None and value <= meta.gt:
        return f"more than {meta.gt}"
    if meta.lt is not None and value >= meta.lt:
        return f"less than {meta.lt}"
    if meta.min_length is not None and len(value) < meta.min_length:
        return "not empty"
    if meta.max_length is not None and len(value) > meta.max_length:
        return f"at most {meta.max_length} characters long"
    if meta.pattern is not None and not re.search(meta.pattern, value):
        return f"like {meta.pattern}"
    return ""


def _quoted(key: Scalar) -> Scalar:
    """A key is text whatever it looks like."""
    return Scalar(key.text, False, key.line, key.column, key.start, key.end, '"')


def _shown(node: Node) -> str:
    match node:
        case Scalar():
            return "the variable's value" if node.variable else _quote(node.text)
        case document.Sequence():
            return "a list"
        case document.Mapping():
            return "keys and values"


def _quote(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _kind(value: object) -> str:
    return "flag" if isinstance(value, bool) else "number"


def _join(where: str, name: str) -> str:
    return name if where == "the policy" else f"{where}.{name}"


def _describe(wanted: Any, name: str) -> str:
    meta = unwrap(wanted)[1]
    found = next((part.description for part in meta if part.description), None)
    return f"add `{name}:` ({found[0].lower()}{found[1:]})" if found else f"add `{name}:`"


def _example(model: type[Struct]) -> str:
    return "keys are: " + ", ".join(field.encode_name for field in fields(model))
