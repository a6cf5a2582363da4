"""The sources of a policy: where its numbers come from, and what good data of them is."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from controller.policy.asking import Asked
from controller.policy.values import (
    Bounds,
    Duration,
    FieldName,
    Label,
    Model,
    Name,
    OptionText,
    Path,
    Percent,
    Query,
    Samples,
    Text,
    Weight,
)

SERVERS = ("postgresql://", "postgres://")
"""How the URL of a database server begins."""


class Weights(Model, frozen=True, kw_only=True):
    """What breaking each rule takes from the score of an observation, which begins at 1 and does
    not fall below 0."""

    empty: Annotated[Weight, Meta(description="No field has a value")] = 0.5
    nulls: Annotated[
        Weight, Meta(description="More fields than `nulls` are null or out of their range")
    ] = 0.3
    types: Annotated[Weight, Meta(description="A value is of another type than its field's")] = 0.2
    stale: Annotated[Weight, Meta(description="It came in late")] = 0.2
    time: Annotated[Weight, Meta(description="Its time is before one that came in earlier")] = 0.1
    missing: Annotated[
        Weight, Meta(description="Required fields are missing: this, if all of them are")
    ] = 0.2


class Quality(Model, frozen=True, kw_only=True):
    """What good data of a source is. With it, conditions know SOURCE.quality and its parts, of
    both versions together, by time of arrival. An observation that is refused has the score 0."""

    required: Annotated[
        tuple[FieldName, ...],
        Meta(max_length=50, description="Fields that each observation must have"),
    ] = ()
    types: Annotated[
        dict[FieldName, Literal["number", "text", "boolean"]],
        Meta(description="Of which type the values of a field are: {symbol: text, strike: number}"),
    ] = {}
    nulls: Annotated[
        Percent, Meta(description="Share of its fields that may be null, NaN or infinite")
    ] = 5.0
    stale: Annotated[
        Duration, Meta(description="How long after its event an observation may come in")
    ] = timedelta(seconds=1)
    range: Annotated[
        dict[FieldName, Bounds],
        Meta(
            description="Smallest and largest value of a field: {price: [0, 100_000]}; a text is "
            "outside of it"
        ),
    ] = {}
    window: Annotated[Duration, Meta(description="What came in within this long counts")] = (
        timedelta(minutes=5)
    )
    min_samples: Annotated[
        Samples, Meta(description="With fewer observations the numbers say nothing")
    ] = 30
    weights: Annotated[Weights, Meta(description="What each rule is worth")] = Weights()


class PushSource(Model, frozen=True, kw_only=True, tag_field="type", tag="push"):
    """Observations come in over HTTP, by call, or as JSON Lines files dropped into `directory`."""

    type: ClassVar[Literal["push"]] = "push"

    directory: Annotated[
        Path | None,
        Meta(description="Directory that is watched for files of JSON Lines, beside the policy"),
    ] = None
    quality: Annotated[Quality | None, Meta(description="What good data of it is")] = None


class SqlSource(Model, frozen=True, kw_only=True, tag_field="type", tag="sql"):
    """Metrics are queries over files and databases."""

    type: ClassVar[Literal["sql"]] = "sql"

    database: Annotated[
        Path | None,
        Meta(
            description="A DuckDB or SQLite file to open, read-only; or a PostgreSQL server, "
            "postgresql://USER:PASSWORD@HOST/NAME, from a variable: ${OPS_DATABASE}"
        ),
    ] = None
    tables: Annotated[
        dict[Name, Path],
        Meta(description="Name of each table, and the CSV, Parquet or JSON file that it is"),
    ] = {}
    timeout: Annotated[
        Duration, Meta(description="How long one query may take before it counts as an error")
    ] = timedelta(seconds=10)

    @property
    def is_server(self) -> bool:
        """Whether `database` is a server's URL and not a file."""
        return self.database is not None and self.database.startswith(SERVERS)


class WebSource(Asked, frozen=True, kw_only=True):
    """What all sources that are asked over HTTP have in common."""

    concurrency: Annotated[
        int, Meta(ge=1, le=32, description="Questions asked at the same time")
    ] = 4


class PrometheusSource(WebSource, frozen=True, kw_only=True, tag_field="type", tag="prometheus"):
    """Metrics are queries in PromQL, asked of a Prometheus or what speaks like one."""

    type: ClassVar[Literal["prometheus"]] = "prometheus"

    version_label: Annotated[
        Label,
        Meta(
            description="Label that holds the version in the answer to a query without $version, "
            "which then serves both versions"
        ),
    ] = "version"


class HttpSource(WebSource, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """Metrics are parts of a JSON document. $version, $window, $since and $now in `url` and `body`
    are filled in."""

    type: ClassVar[Literal["http"]] = "http"

    body: Annotated[
        Query | None,
        Meta(description="JSON to send by POST; without it the document is got by GET"),
    ] = None


class OpenMetricsSource(WebSource, frozen=True, kw_only=True, tag_field="type", tag="openmetrics"):
    """Metrics are series of a page of metrics, read at each look: the text format of Prometheus,
    or OpenMetrics. $version in `url` is filled in; where it stands, each version has its page."""

    type: ClassVar[Literal["openmetrics"]] = "openmetrics"


class PluginSource(Model, frozen=True, kw_only=True, tag_field="type", tag="plugin"):
    """Metrics are measured by an installed package, found by its entry point in the group
    `rollout.sources`."""

    type: ClassVar[Literal["plugin"]] = "plugin"

    name: Annotated[Text, Meta(description="Name of the entry point")]
    options: Annotated[
        dict[Name, OptionText],
        Meta(description="What the plugin is given; each value arrives as text"),
    ] = {}
    timeout: Annotated[
        Duration, Meta(description="How long one look may take before it counts as an error")
    ] = timedelta(seconds=10)


Source = PushSource | SqlSource | PrometheusSource | HttpSource | OpenMetricsSource | PluginSource
