"""Databases that a sql source names: what they can be, and no secret in the text."""

import re
from collections.abc import Iterator

from controller.policy.checks.context import Context
from controller.policy.document import Scalar
from controller.policy.findings import Finding
from controller.policy.source import SERVERS, SqlSource

_PASSWORD = re.compile(r"^[^/]+//[^/@]*:[^/@]+@|[?&]password=")


def can_be_asked(context: Context) -> Iterator[Finding]:
    """A URL is of a known kind, holds no password, and stands alone."""
    for name, source in context.policy.sources.items():
        if not isinstance(source, SqlSource) or source.database is None:
            continue
        place, places = ("sources", name, "database"), context.places
        scheme, separator, _ = source.database.partition("://")
        if separator and not source.is_server:
            hint = "name a DuckDB or SQLite file, or a postgresql:// URL"
            yield places.at(place, "P358", f"{scheme} is no database this source asks", hint)
        node = places.node(place)
        written = isinstance(node, Scalar) and not node.variable
        if source.is_server and written and _PASSWORD.search(source.database):
            message = "the password would be kept with the policy's text, and shown with it"
            hint = "put the URL into an environment variable: database: ${OPS_DATABASE}"
            yield places.at(place, "P358", message, hint)
        if source.is_server and source.tables:
            message = f"{SERVERS[0]} has tables of its own; no files go with it"
            hint = "leave `tables` out, or make a source of its own of them"
            yield places.at_key(("sources", name, "tables"), "P358", message, hint)
