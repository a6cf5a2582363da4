"""The reference of the policy language, made of the models, aggregations and codes themselves.

`python -m controller.policy.reference > docs/language.md` writes it anew; a test says when that is
due.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

from controller.policy.aggregation import AGGREGATIONS, DEFAULT_SAMPLES
from controller.policy.findings import CODES
from controller.policy.models import Policy
from controller.policy.shape import unwrap

_BARE = {str: "text", int: "a whole number", float: "a number", bool: "`true` or `false`"}

_BEGIN = """# The policy language

One YAML file (YAML 1.2) is one rollout. Every key below works; one that is not here is an error,
and so is a key written twice. `rollout validate FILE` says what is wrong, where, and what to do;
[policies/policy.schema.json](../policies/policy.schema.json) lets editors complete and underline.

`${NAME}` in a value is the environment variable NAME; an unset one is an error.

This page is made of the program's own definitions.
"""

_CONDITIONS = """## Conditions

Lines of `advance` must all pass to go on; a trigger's `when` must not come true.

| write | for |
|---|---|
| `candidate.METRIC`, `baseline.METRIC` | the metric, measured for that version |
| `SOURCE.silent` | open time since the source last said anything |
| `85%`, `0.85`, `15bps`, `2000ms`, `2m`, `100 USD`, `1_000` | a number with its unit |
| `<` `<=` `>` `>=` `==` `!=` | one comparison; `a < b < c` is an error |
| `+` `-` `*` `/` and parentheses | reckoning with measurements and numbers |
| `and`, `or`, `not` | several conditions in one |
| `not_worse(METRIC, margin: 2%)` | the candidate is at most the margin worse than the baseline |
| `better(METRIC, by: 1%)` | the candidate is better; `by` says by how much and may be left out |

Units must compare: time with time, money with the same currency, and plain numbers, `%` and `bps`
with each other. `not_worse` and `better` are judged on the bounds of the difference, which hold at
every look: with probability `1 - false_alarm` they are right at all of them together. In a list in
brackets, write them as they are or in quotes: editors that know only YAML want the quotes.

What is not measured is never a pass: no data, an error, fewer than `min_samples` observations and
bounds that are still too wide leave a gate shut, and neither confirm nor clear a trigger.
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_BEGIN, *_models(), _CONDITIONS, *_tables()]
    return "\n".join(parts)


def _models() -> Iterator[str]:
    """Every model in the order in which a policy comes to them."""
    waiting, seen = [Policy], {Policy}
    while waiting:
        model = waiting.pop(0)
        yield _section(model)
        inner = [part for field in fields(model) for part in _structs(field.type)]
        fresh = [part for part in inner if part not in seen]
        seen.update(fresh)
        waiting = [*dict.fromkeys(fresh), *waiting]


def _structs(wanted: Any) -> Iterator[Any]:
    bare, _ = unwrap(wanted)
    if isinstance(bare, type) and issubclass(bare, Struct):
        yield bare
    elif get_origin(bare) is not Literal:
        for part in get_args(bare):
            yield from _structs(part)


def _section(model: type[Struct]) -> str:
    lines = [f"## {title(model)}", "", described(model), "", "| key | value | default | |"]
    lines.append("|---|---|---|---|")
    config = model.__struct_config__
    if config.tag_field:
        lines.append(f"| `{config.tag_field}` | `{config.tag}` | required | |")
    for field in fields(model):
        words = next((p.description for p in unwrap(field.type)[1] if p.description), "")
        cells = [f"`{field.encode_name}`", kind(field.type), _default(field), words]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, ""])


def described(model: type[Struct]) -> str:
    """A model's docstring as one line of text."""
    return " ".join((model.__doc__ or "").split())


def title(model: type[Struct]) -> str:
    """`PushSource` -> `Push source`."""
    name = model.__name__
    return name[0] + "".join(f" {c.lower()}" if c.isupper() else c for c in name[1:])


def kind(wanted: Any) -> str:
    """What may be written, in words."""
    bare, meta = unwrap(wanted)
    for part in meta:
        if part.extra is not None and "kind" in part.extra:
            return str(part.extra["kind"])
    origin, arguments = get_origin(bare), get_args(bare)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"a list, each {kind(arguments[0])}"
    if origin is dict:
        return f"names, each with {kind(arguments[1])}"
    if origin in (Union, UnionType):
        return " or ".join(kind(part) for part in arguments)
    if issubclass(bare, Struct):
        name = title(bare)
        link = f"[{name.lower()}](#{name.lower().replace(' ', '-')})"
        return f"text, or {link}" if hasattr(bare, "shorthand") else link
    return _BARE[bare]


def _default(field: FieldInfo) -> str:
    if field.default is NODEFAULT and field.default_factory is NODEFAULT:
        return "required"
    value = field.default
    if value is NODEFAULT or value is None or isinstance(value, Struct) or value in ("", ()):
        return ""
    if isinstance(value, timedelta):
        return f"`{_span(value)}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{str(value).lower()}`"


def _span(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _tables() -> Iterator[str]:
    rows = "\n".join(f"| `{name}` | {words} |" for name, words in AGGREGATIONS.items())
    yield f"""## Aggregations

The `value` of a metric of a push source: `NAME(FIELD)`.

| name | gives |
|---|---|
{rows}

`mean`, `ratio` and `quantile` want {DEFAULT_SAMPLES} observations unless `min_samples` says else.
"""
    codes = "\n".join(f"| {code} | {words} |" for code, words in CODES.items())
    yield f"""## Findings

Each is told as `file:line:column: CODE message`, with a hint. A code keeps its meaning.

| code | what |
|---|---|
{codes}
"""


if __name__ == "__main__":
    sys.stdout.write(page())
