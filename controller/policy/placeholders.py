"""`$version`, `$window`, `$since` and `$now` in the questions of a source, filled in so that a
value stays a value: what it says can never become a part of the question.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from controller.policy.findings import did_you_mean

NAMES = ("version", "window", "since", "now")
_HOLDER = re.compile(r"\$(version|window|since|now)\b")
_ANY_HOLDER = re.compile(r"\$([A-Za-z_]\w*)")
_PROMQL_TEXT = re.compile(r"""(?P<match>[=!]~\s*)?(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
                          r"""|`[^`]*`)|(?P<comment>\#[^\n]*)""", re.S)  # fmt: skip
_JMESPATH_TEXT = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`)""", re.S
)


class PlaceholderError(ValueError):
    """A placeholder that cannot be filled in. `column` counts from 1; `hint` says what to write."""

    def __init__(self, message: str, column: int, hint: str) -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Values:
    """What the placeholders stand for; `since` and `now` are aware."""

    version: str
    since: datetime
    now: datetime

    @property
    def window(self) -> timedelta:
        """From `since` to `now`."""
        return self.now - self.since


SAMPLE = Values("version0", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
"""For a question that is only looked at. The version is as long as `$version`, so that a place in
the filled text is one in the text."""


def asks_for_version(text: str | None) -> bool:
    """Whether the version stands in a question."""
    return text is not None and re.search(r"\$version\b", text) is not None


def fill_promql(query: str, values: Values) -> str:
    """A query in PromQL, or a selector. The version may stand in texts only, and is taken
    literally by a pattern (`=~`) too; `$window` is a duration in whole seconds, at least 1s;
    `$since` and `$now` are seconds since 1970. Raises PlaceholderError."""
    outside = {
        "window": f"{max(1, round(values.window.total_seconds()))}s",
        "since": f"{values.since.timestamp():.3f}",
        "now": f"{values.now.timestamp():.3f}",
    }
    parts: list[str] = []
    at = 0
    for found in _PROMQL_TEXT.finditer(query):
        parts.append(_bare(query[at : found.start()], at, outside, 'version="$version"'))
        at = found.end()
        if found["comment"] is not None:
            parts.append(found["comment"])
            continue
        version = values.version if found["match"] is None else _literally(values.version)
        escape = _in_promql(found["text"][0], found.start("text"))
        inside = _inside(found["text"], {**outside, "version": version}, escape)
        parts.append((found["match"] or "") + inside)
    parts.append(_bare(query[at:], at, outside, 'version="$version"'))
    return "".join(parts)


def fill_jmespath(expression: str, values: Values) -> str:
    """A JMESPath expression: the version may stand in quotes only. Raises PlaceholderError."""
    parts: list[str] = []
    at = 0
    example = 'versions."$version".errors'
    for found in _JMESPATH_TEXT.finditer(expression):
        parts.append(_bare(expression[at : found.start()], at, {}, example))
        at = found.end()
        parts.append(_inside(found["text"], {"version": values.version}, _in_jmespath(found)))
    parts.append(_bare(expression[at:], at, {}, example))
    return "".join(parts)


def fill_url(url: str, values: Values) -> str:
    """A URL: what is filled in is percent-encoded."""
    return _HOLDER.sub(lambda found: quote(_plain(values)[found[1]], safe=""), url)


def fill_json(body: str, values: Values) -> str:
    """A body of JSON: what is filled in is escaped as in its texts."""
    return _HOLDER.sub(lambda found: json.dumps(_plain(values)[found[1]])[1:-1], body)


def _plain(values: Values) -> Mapping[str, str]:
    return {
        "version": values.version,
        "window": f"{max(1, round(values.window.total_seconds()))}s",
        "since": _moment(values.since),
        "now": _moment(values.now),
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bare(text: str, offset: int, known: Mapping[str, str], example: str) -> str:
    """Outside of quotes."""

    def filled(found: re.Match[str]) -> str:
        name = found[1]
        if name in known:
            return known[name]
        column = offset + found.start() + 1
        if name == "version":
            message = "$version stands outside of quotes"
            raise PlaceholderError(message, column, f"write it like {example}")
        names = ("version", *known)
        hint = did_you_mean(name, names, f"there are: {', '.join(f'${known}' for known in names)}")
        raise PlaceholderError(f"nothing is known of ${name}", column, hint)

    return _ANY_HOLDER.sub(filled, text)


def _inside(text: str, known: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """In quotes, where other dollars (a pattern's end, a group) stay what they are."""
    return _HOLDER.sub(
        lambda found: escape(known[found[1]]) if found[1] in known else found[0], text
    )


def _in_promql(mark: str, offset: int) -> Callable[[str], str]:
    def escape(value: str) -> str:
        if mark == "`":
            if "`" in value:
                hint = 'write the text in "quotes"'
                raise PlaceholderError(f"{value!r} has a backtick", offset + 1, hint)
            return value
        escaped = value.replace("\\", "\\\\").replace(mark, f"\\{mark}")
        return "".join(c if c >= " " and c != "\x7f" else f"\\x{ord(c):02x}" for c in escaped)

    return escape


def _in_jmespath(text: re.Match[str]) -> Callable[[str], str]:
    def escape(value: str) -> str:
        if text[0][0] != "'":
            return json.dumps(value)[1:-1].replace("`", "\\u0060")
        if "\\" in value:
            # JMESPath knows no way to write it there.
            hint = 'write the text as `"$version"`'
            raise PlaceholderError(f"{value!r} has a backslash", text.start() + 1, hint)
        return value.replace("'", "\\'")

    return escape


def _literally(version: str) -> str:
    """The version in a pattern of RE2, every sign of it taken literally."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", version)
