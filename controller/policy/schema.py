"""The JSON Schema of policy files, made of the models that the loader reads them into.

`python -m controller.policy.schema > policies/policy.schema.json` writes it anew; a test says when
that is due. Editors complete and underline by it. What needs more than a shape is for `validate`.
"""

import json
import sys
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields

from controller.policy.models import Policy
from controller.policy.shape import unwrap

_BARE = {str: "string", int: "integer", float: "number", bool: "boolean"}
_LIMITS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "pattern": "pattern",
}


def json_schema() -> dict[str, Any]:
    """Draft 2020-12; every model is a definition under its own name."""
    definitions: dict[str, Any] = {}
    _struct(Policy, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rollout policy",
        "$ref": "#/$defs/Policy",
        "$defs": dict(sorted(definitions.items())),
    }


def _struct(model: type[Struct], definitions: dict[str, Any]) -> dict[str, Any]:
    name = model.__name__
    if name not in definitions:
        definitions[name] = {}  # so that a model may contain itself
        definitions[name] = _definition(model, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _definition(model: type[Struct], definitions: dict[str, Any]) -> dict[str, Any]:
    known = fields(model)
    properties = {field.encode_name: _field(field, definitions) for field in known}
    required = [field.encode_name for field in known if is_required(field)]
    config = model.__struct_config__
    if config.tag_field:
        properties = {config.tag_field: {"const": config.tag}, **properties}
        required = [config.tag_field, *required]
    found: dict[str, Any] = {
        "type": "object",
        "description": described(model),
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        found["required"] = required
    shorthand = getattr(model, "shorthand", None)
    if shorthand is None:
        return found
    bare = next(field for field in known if field.name == shorthand)
    return {"anyOf": [_field(bare, definitions), found]}


def described(model: type[Struct]) -> str:
    """A model's docstring as one line of text."""
    return " ".join((model.__doc__ or "").split())


def is_required(field: FieldInfo) -> bool:
    """Whether a policy must have the key."""
    return field.default is NODEFAULT and field.default_factory is NODEFAULT


def _field(field: FieldInfo, definitions: dict[str, Any]) -> dict[str, Any]:
    found = _type(field.type, definitions)
    words = [part.description for part in unwrap(field.type)[1] if part.description]
    return {"description": words[0], **found} if words else found


def _type(wanted: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    bare, meta = unwrap(wanted)
    for part in meta:
        if part.extra is not None and "read" in part.extra:
            return dict(part.extra_json_schema or {})
    origin, arguments = get_origin(bare), get_args(bare)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], definitions), **_sizes(meta, "Items")}
    if origin is dict:
        return {
            "type": "object",
            "propertyNames": _type(arguments[0], definitions),
            "additionalProperties": _type(arguments[1], definitions),
        }
    if origin in (Union, UnionType):
        return {"oneOf": [_struct(model, definitions) for model in arguments]}
    if issubclass(bare, Struct):
        return _struct(bare, definitions)
    return {"type": _BARE[bare], **_limits(meta), **_sizes(meta, "Length")}


def _limits(meta: list[Meta]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in meta:
        for ours, theirs in _LIMITS.items():
            if getattr(part, ours) is not None:
                found[theirs] = getattr(part, ours)
        if part.examples:
            found["examples"] = list(part.examples)
        found |= part.extra_json_schema or {}
    return found


def _sizes(meta: list[Meta], of: str) -> dict[str, int]:
    found = {}
    for part in meta:
        if part.min_length is not None:
            found[f"min{of}"] = part.min_length
        if part.max_length is not None:
            found[f"max{of}"] = part.max_length
    return found


def text() -> str:
    """The file's text."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
