"""Configuration files as trees of values, and back: YAML, JSON and TOML, by their suffix."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import PurePath
from typing import Any

from controller.parameters.vector import Path, Side, put_together, same

LARGEST = 1 << 20
"""Bytes of a configuration."""
DEEPEST = 50
FORMS = {".yaml": "YAML", ".yml": "YAML", ".json": "JSON", ".toml": "TOML"}


class Unreadable(ValueError):
    """A configuration that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration. `values` is its tree; it is never changed."""

    content: bytes
    form: str
    values: Mapping[Any, Any]

    @property
    def sha256(self) -> str:
        """Of its bytes, hexadecimal."""
        return sha256(self.content).hexdigest()


def form_of(path: PurePath | str) -> str:
    """`YAML`, `JSON` or `TOML`. Raises Unreadable for another suffix."""
    suffix = PurePath(path).suffix
    if suffix.lower() not in FORMS:
        raise Unreadable(f"{suffix or 'no suffix'} is neither of {', '.join(FORMS)}")
    return FORMS[suffix.lower()]


def read(content: bytes, form: str) -> Configuration:
    """The configuration in a file's bytes. Raises Unreadable."""
    if len(content) > LARGEST:
        raise Unreadable(f"more than {LARGEST >> 10} KiB")
    try:
        values = _READ[form](content)
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not {form}: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(values, dict):
        raise Unreadable("not keys and values")
    if _depth(values) > DEEPEST:
        raise Unreadable(f"nested deeper than {DEEPEST}")
    return Configuration(content, form, values)


def write_between(
    baseline: Configuration, candidate: Configuration, settings: Mapping[Path, Side | float]
) -> bytes:
    """The baseline's file with what differs as `settings` say; what stays is written as it was
    (YAML, with its comments) or means the same. Raises ValueError if it would not read so."""
    if baseline.form == "YAML":
        content = _write_yaml(baseline.content, candidate.content, settings)
    else:
        tree = put_together(baseline.values, candidate.values, settings)
        write = _write_json if baseline.form == "JSON" else _write_toml
        content = write(tree).encode()
    wanted = put_together(baseline.values, candidate.values, settings)
    if not same(read(content, baseline.form).values, wanted):
        raise ValueError(f"the parameters between cannot be written as {baseline.form}")
    return content


# YAML -------------------------------------------------------------------------------------


def _read_yaml(content: bytes) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    try:
        text = content.decode()
        if any(isinstance(event, AliasEvent) for event in YAML(typ="safe", pure=True).parse(text)):
            raise Unreadable("an alias (*name): write out what several keys share")
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from None


_SPELLED = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "timestamp"))


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A plain value as its file has it."""

    tag: str
    text: str


def _write_yaml(baseline: bytes, candidate: bytes, settings: Mapping[Path, Side | float]) -> bytes:
    """Whoever reads it by another YAML's rules must find what stays as it was written."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import RoundTripConstructor
    from ruamel.yaml.representer import RoundTripRepresenter

    class Constructor(RoundTripConstructor):
        """Leaves numbers, flags and times as they are spelled: written anew, some lose digits."""

    class Representer(RoundTripRepresenter):
        """Writes them so."""

    for tag in _SPELLED:
        Constructor.add_constructor(tag, lambda _, node: _Spelled(node.tag, node.value))
    Representer.add_representer(
        _Spelled, lambda writer, it: writer.represent_scalar(it.tag, it.text)
    )
    yaml = YAML()
    yaml.Constructor, yaml.Representer = Constructor, Representer
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    trees = [yaml.load(content.decode()) for content in (baseline, candidate)]
    out = BytesIO()
    yaml.dump(put_together(trees[0], trees[1], settings), out)
    return out.getvalue()


# JSON and TOML ----------------------------------------------------------------------------


def _write_json(tree: Any) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _read_toml(content: bytes) -> Any:
    return tomllib.loads(content.decode())


def _write_toml(tree: Mapping[Any, Any]) -> str:
    out = StringIO()
    _toml_table(tree, "", out)
    return out.getvalue()


def _toml_table(table: Mapping[Any, Any], name: str, out: StringIO) -> None:
    """Plain values first, then the tables in it: TOML knows no other order."""
    if name:
        out.write(f"\n[{name}]\n")
    for key, value in table.items():
        if not isinstance(value, dict):
            out.write(f"{json.dumps(key)} = {_toml_value(value)}\n")
    for key, value in table.items():
        if isinstance(value, dict):
            _toml_table(value, f"{name}.{json.dumps(key)}" if name else json.dumps(key), out)


def _toml_value(value: Any) -> str:
    match value:
        case str():
            # Its escapes are those of JSON, but for the one that JSON leaves as it is.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_toml_value, value))}]"
        case dict():
            pairs = (f"{json.dumps(key)} = {_toml_value(part)}" for key, part in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return str(value)


_READ: Mapping[str, Callable[[bytes], Any]] = {
    "YAML": _read_yaml,
    "JSON": json.loads,
    "TOML": _read_toml,
}


def _depth(tree: Any) -> int:
    if isinstance(tree, dict):
        return 1 + max(map(_depth, tree.values()), default=0)
    return 1 + max(map(_depth, tree), default=0) if isinstance(tree, list) else 0
