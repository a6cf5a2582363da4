"""Sources that are asked, and what their metrics ask: keys, questions, addresses, credentials."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from controller.policy.aggregation import AggregationError, parse_aggregation
from controller.policy.asking import Asked, Auth, Secret
from controller.policy.checks.context import Context
from controller.policy.expression import references
from controller.policy.findings import Finding, did_you_mean
from controller.policy.formulas import AGGREGATIONS
from controller.policy.models import Metric
from controller.policy.placeholders import (
    SAMPLE,
    PlaceholderError,
    asks_for_version,
    fill_jmespath,
    fill_promql,
)
from controller.policy.publisher import WebhookPublisher
from controller.policy.selector import SelectorError, parse_selector
from controller.policy.source import (
    HttpSource,
    OpenMetricsSource,
    PluginSource,
    PrometheusSource,
    PushSource,
    Source,
    SqlSource,
    WebSource,
)

_KEYS: Mapping[str, tuple[str, frozenset[str]]] = {
    "push": ("value", frozenset()),
    "sql": ("query", frozenset({"column"})),
    "prometheus": ("query", frozenset({"value", "step", "samples", "as_of"})),
    "http": ("query", frozenset({"samples", "as_of"})),
    "openmetrics": ("query", frozenset({"value"})),
    "plugin": ("query", frozenset()),
}
"""By type of source: the key that a metric must have, and those that it may have."""
_EXAMPLES: Mapping[str, str] = {
    "push": "mean(FIELD)",
    "sql": "select avg(x) as value from t where ...",
    "prometheus": """'sum(rate(errors_total{version="$version"}[$window]))'""",
    "http": "data.errors",
    "openmetrics": """'errors_total{version="$version"}'""",
    "plugin": "what the plugin understands",
}
_ASKS_FOR_ONE: Mapping[str, str] = {
    "sql": "add `where version = $version`, or select a row for each `version`",
    "prometheus": 'ask for one, {version="$version"}, or for both, `by (version)`',
    "http": "write $version into the query or into the source's url",
    "openmetrics": 'add {version="$version"}, or write $version into the source\'s url',
}
_VERSION = re.compile(r"\bversion\b", re.IGNORECASE)
_EXAMPLE = "write it like http://127.0.0.1:9090"
POINT = "value"
"""What the field of a point is called in an aggregation."""


def keys_fit_the_source(context: Context) -> Iterator[Finding]:
    """A metric says what its source needs, and nothing that it does not know."""
    for name, metric in context.policy.metrics.items():
        source = context.policy.sources.get(metric.source)
        if source is None:
            continue
        wanted, allowed = _KEYS[source.type]
        where = ("metrics", name)
        if getattr(metric, wanted) is None:
            message = f"metric {name} has no {wanted}, and source {metric.source} needs one"
            hint = f"add `{wanted}: {_EXAMPLES[source.type]}`"
            yield context.places.at_key(where, "P321", message, hint)
        for key in ("value", "query", "column", "samples", "as_of", "step"):
            if getattr(metric, key) is not None and key != wanted and key not in allowed:
                message = f"a {source.type} source has no {key}"
                hint = f"leave it out, or name a source of another type than {source.type}"
                yield context.places.at_key((*where, key), "P321", message, hint)
        if metric.query is not None and "value" in allowed:
            yield from _points(context, name, metric)


def _points(context: Context, name: str, metric: Metric) -> Iterator[Finding]:
    """Of a query with `value`, or without."""
    where = ("metrics", name)
    if metric.value is None:
        if metric.step is not None:
            message = "a step from point to point, and only one number is asked for"
            hint = "leave it out, or add `value: max(value)`"
            yield context.places.at_key((*where, "step"), "P344", message, hint)
        return
    for key, words in (("samples", "the points are counted"), ("as_of", "points have their time")):
        if getattr(metric, key) is not None:
            message = f"{key} is not asked where `value` is: {words}"
            yield context.places.at_key((*where, key), "P344", message, "leave it out")
    try:
        aggregation = parse_aggregation(metric.value)
    except AggregationError:
        return
    formula, field = AGGREGATIONS[aggregation.name], aggregation.field
    if formula.crossed or len(formula.takes) != 1 or aggregation.name == "nulls":
        message = f"{aggregation.name} is of observations, and a point is one number at one time"
        hint = "name a push source, or an aggregation of one field, such as `max(value)`"
        yield context.places.at((*where, "value"), "P322", message, hint)
    elif field not in (None, POINT):
        message = f"a point has no {field}: it is one number, called {POINT}"
        hint = f"write `value: {metric.value.replace(str(field), POINT)}`"
        yield context.places.at((*where, "value"), "P322", message, hint)


def versions_are_told_apart(context: Context) -> Iterator[Finding]:
    """A query that is compared between versions must ask for one."""
    read = _read(context)
    for name, metric in context.policy.metrics.items():
        source = context.policy.sources.get(metric.source)
        if metric.query is None or source is None or source.type not in _ASKS_FOR_ONE:
            continue
        sides = {f"candidate.{name}", f"baseline.{name}"}
        compared = f"difference.{name}" in read or sides <= read
        if compared and not _asks_for_one(metric.query, source):
            message = f"{name} is compared between versions, but its query asks for none"
            hint = _ASKS_FOR_ONE[source.type]
            yield context.places.at(("metrics", name, "query"), "P321", message, hint)


def _asks_for_one(query: str, source: Source) -> bool:
    if asks_for_version(query):
        return True
    match source:
        case SqlSource():
            return _VERSION.search(query) is not None
        case PrometheusSource():
            return source.version_label in query
        case HttpSource():
            return asks_for_version(source.url) or asks_for_version(source.body)
        case OpenMetricsSource():
            return asks_for_version(source.url)
        case _:
            return False


def _read(context: Context) -> set[str]:
    """Every reference of every condition."""
    read = {
        key for _, _, gate in context.gated() for line in gate for key in references(line.condition)
    }
    read.update(key for _, _, condition in context.guarded() for key in references(condition))
    return read


def questions_can_be_read(context: Context) -> Iterator[Finding]:
    """Placeholders stand where they can be filled in; JMESPath and selectors have their grammar.
    PromQL is Prometheus's own to read."""
    for name, metric in context.policy.metrics.items():
        source = context.policy.sources.get(metric.source)
        for key in ("query", "samples", "as_of"):
            text = getattr(metric, key)
            if text is None or not isinstance(source, WebSource):
                continue
            try:
                _try(text, source)
            except (PlaceholderError, SelectorError) as error:
                where = ("metrics", name, key)
                column = min(error.column, len(text) + 1)
                yield context.places.inside(where, column, "P372", str(error), error.hint)
    for name, target in _webhooks(context):
        for key in ("share", "mirror"):
            text = getattr(target.read, key)
            try:
                _try_jmespath(text or "@")
            except PlaceholderError as error:
                column = min(error.column, len(text) + 1)
                place = ("publish", name, "read", key)
                yield context.places.inside(place, column, "P372", str(error), error.hint)


def _webhooks(context: Context) -> Iterator[tuple[str, WebhookPublisher]]:
    for name, target in context.policy.publish.items():
        if isinstance(target, WebhookPublisher):
            yield name, target


def _try(text: str, source: WebSource) -> None:
    """Raises PlaceholderError and SelectorError."""
    if isinstance(source, HttpSource):
        _try_jmespath(fill_jmespath(text, SAMPLE))
        return
    filled = fill_promql(text, SAMPLE)
    if isinstance(source, OpenMetricsSource):
        parse_selector(filled)


def _try_jmespath(text: str) -> None:
    import jmespath  # not needed until a policy has an http source
    from jmespath.exceptions import JMESPathError, ParseError, UnknownFunctionError

    hint = "write JMESPath, such as data.errors; see jmespath.org"
    try:
        jmespath.compile(text).search(None)
    except UnknownFunctionError as error:
        raise PlaceholderError(str(error), 1, hint) from None
    except ParseError as error:
        shown = str(error).splitlines()[0].rstrip(":").rpartition(": ")[2]
        message = f"not JMESPath: {shown[0].lower()}{shown[1:]}"
        raise PlaceholderError(message, error.lex_position + 1, hint) from None
    except JMESPathError:
        return  # what only the document can tell


def urls_can_be_asked(context: Context) -> Iterator[Finding]:
    """http or https, a host, and nothing that does not belong there. A url may come from a
    variable, so it is never shown."""
    for where, asked in _asked(context):
        yield from _url(context, (*where, "url"), asked.url)
        if isinstance(asked, WebhookPublisher):
            yield from _url(context, (*where, "read", "url"), asked.read.url)
    for name, source in context.policy.sources.items():
        if isinstance(source, PrometheusSource) and not _wrong_url(source.url)[0]:
            message, hint = _beyond_address(source.url)
            if message:
                yield context.places.at(("sources", name, "url"), "P371", message, hint)


def _asked(context: Context) -> Iterator[tuple[tuple[str, ...], Asked]]:
    """All that is asked over HTTP, and where it stands."""
    for name, source in context.policy.sources.items():
        if isinstance(source, Asked):
            yield ("sources", name), source
    for name, target in _webhooks(context):
        yield ("publish", name), target
    told = context.policy.alerts
    for name, channel in told.channels.items() if told is not None else ():
        if isinstance(channel, Asked):
            yield ("alerts", "channels", name), channel


def _url(context: Context, where: tuple[str, ...], url: str) -> Iterator[Finding]:
    code, message, hint = _wrong_url(url)
    if code:
        yield context.places.at(where, code, message, hint)


def _wrong_url(url: str) -> tuple[str, str, str]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "P371", "the url cannot be read", _EXAMPLE
    if parts.username is not None or parts.password is not None:
        hint = "write `auth: {user: NAME, env: VARIABLE}`: a url stands in logs"
        return "P373", "a user or password in the url", hint
    if parts.scheme not in ("http", "https") or not host:
        return "P371", "the url is not that of a host, by http or https", _EXAMPLE
    if parts.fragment or any(sign.isspace() or sign < " " for sign in url):
        return "P371", "the url has a blank or a #", _EXAMPLE
    return "", "", ""


def _beyond_address(url: str) -> tuple[str, str]:
    """What is too much in the url of a prometheus source."""
    parts = urlsplit(url)
    if parts.query or "$version" in url:
        return "the url of a prometheus source is its address alone", _EXAMPLE
    if "/api/v1" in parts.path:
        return "the url goes on behind the address", "leave out /api/v1 and the rest"
    return "", ""


def credentials(context: Context) -> Iterator[Finding]:
    """A secret has one place, which is there; none stands in the policy."""
    for where, asked in _asked(context):
        for header, value in asked.headers.items():
            at = (*where, "headers", header)
            if header.lower() in ("authorization", "proxy-authorization", "cookie"):
                message = f"{header} is a secret, and policies are no place for one"
                hint = "write `auth: {env: VARIABLE}` instead"
                yield context.places.at_key(at, "P373", message, hint)
            elif not (value.isprintable() and value.isascii()):
                hint = "write signs of ASCII only"
                yield context.places.at(at, "P371", f"{header} cannot be sent so", hint)
        if asked.auth is not None:
            yield from secret_is_kept(context, (*where, "auth"), asked.auth)
            yield from _one_way(context, (*where, "auth"), asked.auth)
        if isinstance(asked, WebhookPublisher):
            yield from secret_is_kept(context, (*where, "secret"), asked.secret)


def _one_way(context: Context, where: tuple[str, ...], auth: Auth) -> Iterator[Finding]:
    if auth.user is not None and auth.header is not None:
        message = "a user's password has a header of its own"
        hint = "leave out `header`, or leave out `user`"
        yield context.places.at_key((*where, "header"), "P373", message, hint)


def secret_is_kept(context: Context, where: tuple[str, ...], secret: Secret) -> Iterator[Finding]:
    """A secret has one place, and it is set there."""
    key = where[-1]
    if (secret.env is None) == (secret.file is None):
        message = "the secret is in an environment variable or in a file, one of them"
        hint = f"write `{key}: {{env: VARIABLE}}` or `{key}: {{file: PATH}}`"
        yield context.places.at_key(where, "P373", message, hint)
    environment = context.environment
    if secret.env is not None and environment is not None and not environment.get(secret.env):
        message = f"environment variable {secret.env} is not set"
        hint = did_you_mean(secret.env, environment, "set it to the secret")
        yield context.places.at((*where, "env"), "P011", message, hint)


def plugins_are_installed(context: Context) -> Iterator[Finding]:
    """Where a policy is checked, as where it runs, its plugins must be there."""
    for name, source in context.policy.sources.items():
        if not isinstance(source, PluginSource):
            continue
        from controller.policy.plugins import how_to_get, installed

        if source.name not in installed():
            hint = did_you_mean(source.name, installed(), how_to_get(source.name))
            message = f"no plugin {source.name!r} is installed"
            yield context.places.at(("sources", name, "name"), "P301", message, hint)


def silence_is_of_a_source_that_is_asked(context: Context) -> Iterator[Finding]:
    """Who is asked nothing says nothing."""
    sources, metrics = context.policy.sources, context.policy.metrics
    read = _read(context)
    asked = {
        metrics[name].source
        for subject, _, name in (key.partition(".") for key in read)
        if subject not in sources and name in metrics
    }
    silent: list[tuple[tuple[Any, ...], set[str]]] = [
        (("stages", number, "advance", line.index), set(references(line.condition)))
        for number, _, gate in context.gated()
        for line in gate
    ]
    silent += [
        (("triggers", number, "when"), set(references(condition)))
        for number, _, condition in context.guarded()
    ]
    for where, keys in silent:
        for name in sorted(sources.keys() - asked):
            if f"{name}.silent" in keys and not isinstance(sources[name], PushSource):
                message = f"no condition reads a metric of {name}, so it is never asked"
                hint = f"write a condition on one of its metrics, or leave {name}.silent out"
                yield context.places.at(where, "P374", message, hint)
