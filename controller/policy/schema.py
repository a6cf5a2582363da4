"""The JSON Schema of a policy, made of the models, so that editors complete and underline.

    python -m controller.policy.schema > policies/policy.schema.json

It says what `policy.shape` says and no more: what a schema cannot know (conditions, names of
metrics, weights that must not fall) is for `rollout validate`. Where an editor reads less than
YAML can say (a digit separator, a variable), the schema is the more generous of the two.
"""

import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from math import inf
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import UNSET, Meta, Struct
from msgspec.structs import FieldInfo, fields

from controller.policy.checks.context import duration_text, percent_text
from controller.policy.models import Policy
from controller.policy.shape import unwrap
from controller.policy.values import parse_percent
from controller.policy.variables import ALLOWED

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}"}
_SEPARATED = r"^[-+]?\d+(_\d+)+(\.\d+)?$"
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_NUMBERS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_TEXTS = {"pattern": "pattern", "min_length": "minLength", "max_length": "maxLength"}
_LISTS = {"min_length": "minItems", "max_length": "maxItems"}


def json_schema() -> Schema:
    """Draft 2020-12; every model is a definition under its own name."""
    definitions: dict[str, Schema] = {}
    whole = _Writer(definitions).reference(Policy)
    inner = dict(sorted(definitions.items()))
    return {"$schema": DIALECT, "title": "A rollout policy", **whole, "$defs": inner}


def text() -> str:
    """The file's text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def described(model: type[Struct]) -> str:
    """A model's docstring as one line of text."""
    return " ".join((model.__doc__ or "").split())


def default_of(field: FieldInfo) -> Any:
    """A key's default as a policy would write it; UNSET where there is none, where it is empty,
    and for a part that has defaults of its own."""
    meta = unwrap(field.type)[1]
    match field.default:
        case float() if any((m.extra or {}).get("read") is parse_percent for m in meta):
            return percent_text(field.default)
        case timedelta():
            return duration_text(field.default) if field.default else "0s"
        case bool() | int() | float():
            return field.default
        case str() | tuple() if field.default:
            return field.default
        case _:
            return UNSET


class _Writer:
    """Walks the models as `shape.ShapeReader` does; structs are collected in `definitions`.
    `variables`: whether `${NAME}` may take the place of a value."""

    def __init__(self, definitions: dict[str, Schema], *, variables: bool = False) -> None:
        self._definitions, self._variables = definitions, variables

    def _struct(self, model: type[Struct]) -> Schema:
        properties = {field.encode_name: self._field(model, field) for field in fields(model)}
        required = [field.encode_name for field in fields(model) if field.required]
        tag = model.__struct_config__.tag_field
        if tag is not None:
            properties = {tag: {"const": model.__struct_config__.tag}, **properties}
            required = [tag, *required]
        return {
            "description": described(model),
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _field(self, model: type[Struct], field: FieldInfo) -> Schema:
        wanted, meta = unwrap(field.type)
        variables = field.encode_name in ALLOWED if model is Policy else self._variables
        writer = _Writer(self._definitions, variables=variables)
        said = [part.description for part in meta if part.description]
        default = default_of(field)
        return {
            **({"description": said[0]} if said else {}),
            **writer.value(wanted, meta),
            **({} if default is UNSET else {"default": default}),
        }

    def value(self, wanted: Any, meta: list[Meta]) -> Schema:
        """Of one value of this type, kept to these constraints."""
        if any("read" in (part.extra or {}) for part in meta):
            return self._text(_extra(meta))
        origin = get_origin(wanted)
        if origin is Literal:
            return {"enum": list(get_args(wanted))}
        if origin is tuple:
            items = self.value(*unwrap(get_args(wanted)[0]))
            several = {"type": "array", "items": items, **_limits(meta, _LISTS)}
            alone = any((part.extra or {}).get("single") for part in meta)
            return {"anyOf": [items, several]} if alone else several
        if origin is dict:
            key, entry = (unwrap(part) for part in get_args(wanted))
            names = _limits(key[1], _TEXTS)
            return {
                "type": "object",
                "additionalProperties": self.value(*entry),
                **({"propertyNames": names} if names else {}),
            }
        if origin in (Union, UnionType):
            return {"anyOf": [self.reference(model) for model in get_args(wanted)]}
        if issubclass(wanted, Struct):
            return self.reference(wanted)
        return self._scalar(wanted, meta)

    def reference(self, model: type[Struct]) -> Schema:
        """Of a struct, or of the one value that may stand for it."""
        if model.__name__ not in self._definitions:
            self._definitions[model.__name__] = self._struct(model)
        reference = {"$ref": f"#/$defs/{model.__name__}"}
        shorthand = getattr(model, "shorthand", None)
        if shorthand is None:
            return reference
        alone = next(field for field in fields(model) if field.name == shorthand)
        return {"anyOf": [self.value(*unwrap(alone.type)), reference]}

    def _scalar(self, wanted: Any, meta: list[Meta]) -> Schema:
        schema: Schema = {"type": _TYPES[wanted]}
        if wanted is str:
            return self._text(schema | _limits(meta, _TEXTS) | _extra(meta))
        schema |= _limits(meta, _NUMBERS)
        most = min((part.le or part.lt or inf for part in meta), default=inf)
        if wanted is bool or most <= 1000:
            return schema
        return {"anyOf": [schema, {"type": "string", "pattern": _SEPARATED}]}

    def _text(self, schema: Schema) -> Schema:
        limited = "pattern" in schema or "anyOf" in schema
        return {"anyOf": [schema, VARIABLE]} if limited and self._variables else schema


def _limits(meta: list[Meta], words: Mapping[str, str]) -> Schema:
    return {
        word: getattr(part, name)
        for part in meta
        for name, word in words.items()
        if getattr(part, name) is not None
    }


def _extra(meta: list[Meta]) -> Schema:
    """What the models say for the schema alone."""
    extra: Schema = {}
    for part in meta:
        extra |= {"examples": part.examples} if part.examples else {}
        extra |= part.extra_json_schema or {}
    return extra


if __name__ == "__main__":
    sys.stdout.write(text())
