"""The page-of-metrics source against real pages, written by the client library itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from support.web import Asked, serving

from controller.core.measurement import Measurement
from controller.core.plan import Beside
from controller.judge.buckets import bucket_quantile
from controller.policy.source import OpenMetricsSource as Model
from controller.sources import track
from controller.sources.base import Request, SourceError
from controller.sources.openmetrics import OpenMetricsSource

T0 = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LOOK = timedelta(seconds=30)
PLAIN = "text/plain; version=0.0.4"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class App:
    """A process with metrics, its page, and the source that reads it, look by look."""

    source: OpenMetricsSource

    def __init__(self, open_metrics: bool = True) -> None:
        self.now = T0
        self.page: bytes | None = None
        self.write = openmetrics if open_metrics else plain_text
        self.kind = OPEN if open_metrics else PLAIN
        self.restart()

    def restart(self) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ["version", "code"]
        self.requests = Counter("requests", "all", labels, registry=registry)
        self.depth = Gauge("depth", "queue", ["version"], registry=registry)
        self.latency = Histogram("latency", "s", ["version"], buckets=[0.1, 0.5, 1],
                                 registry=registry)  # fmt: skip
        self.size = Summary("size", "bytes", ["version"], registry=registry)

    def react(self, asked: Asked) -> None:
        page = self.write(self.registry) if self.page is None else self.page
        asked.answer(page, kind=self.kind)

    def look(
        self, *queries: str, window: timedelta = timedelta(minutes=10), **beside: Any
    ) -> list[Measurement]:
        """The next look."""
        self.now += LOOK
        since = self.now - window
        return self.source.measure(
            [
                Request("candidate", "m", "v3", query, since, self.now, beside=Beside(**beside))
                for query in queries
            ]
        )


@pytest.fixture(params=[True, False], ids=["openmetrics", "plain text"])
def app(request: pytest.FixtureRequest) -> Iterator[App]:
    app = App(request.param)
    with serving(app.react) as server:
        app.source = OpenMetricsSource("app", Model(url=server.url), Path())
        yield app
        app.source.close()


DEPTH = 'depth{version="$version"}'
ERRORS = 'requests_total{version="$version",code=~"5.."}'


def test_a_gauge_is_what_the_page_says(app: App) -> None:
    app.depth.labels("v1").set(3)
    app.depth.labels("v3").set(7)
    (found,) = app.look(DEPTH)
    assert (found.value, found.status, found.as_of) == (7, "ok", app.now)
    assert app.source.last_received() == app.now


def test_a_gauge_may_be_aggregated_over_the_looks_of_the_window(app: App) -> None:
    for value in (9, 1, 2, 6):
        app.depth.labels("v3").set(value)
        (found,) = app.look(DEPTH, window=LOOK * 3, value="mean(value)")
    assert (found.value, found.samples) == (3, 3)


def test_a_counter_is_its_rate_over_the_window(app: App) -> None:
    app.requests.labels("v3", "500").inc(1000)
    (first,) = app.look(ERRORS)
    assert (first.status, first.detail) == (
        "no_data", "empty: one look so far, and a rate needs two",
    )  # fmt: skip
    app.requests.labels("v3", "500").inc(60)
    app.requests.labels("v3", "200").inc(900)
    (found,) = app.look(ERRORS)
    assert found.value == 2
    assert found.detail.startswith("of the time since 2026-03-02 15:00:30")
    app.look(ERRORS)
    app.look(ERRORS)
    (later,) = app.look(ERRORS, window=LOOK)
    assert (later.value, later.detail) == (0, "")


def test_the_series_of_a_counter_are_added_up(app: App) -> None:
    for code in ("500", "503"):
        app.requests.labels("v3", code).inc(5)
    app.look(ERRORS)
    app.requests.labels("v3", "500").inc(30)
    app.requests.labels("v3", "503").inc(60)
    (found,) = app.look(ERRORS)
    assert found.value == 3


def test_a_process_that_began_again_loses_nothing(app: App) -> None:
    app.requests.labels("v3", "500").inc(1000)
    app.look(ERRORS)
    app.restart()
    app.requests.labels("v3", "500").inc(15)
    (found,) = app.look(ERRORS)
    assert found.value == 0.5


def test_the_first_error_of_all_is_seen(app: App) -> None:
    """A series that was not on the page before has counted from 0 since."""
    (none,) = app.look(ERRORS)
    assert (none.status, none.detail) == ("no_data", "empty: no series matches")
    app.requests.labels("v3", "200").inc()
    app.look(ERRORS)
    app.requests.labels("v3", "500").inc(3)
    app.look(ERRORS)
    (found,) = app.look(ERRORS)
    assert found.value == 0
    app.requests.labels("v3", "503").inc(6)
    (found,) = app.look(ERRORS)
    assert found.value == 0.1


def test_a_histogram_gives_quantile_and_mean_of_what_it_saw_in_the_window(app: App) -> None:
    latency = 'latency{version="$version"}'
    for _ in range(50):
        app.latency.labels("v3").observe(0.9)
    app.look(latency, value="mean(value)")
    for _ in range(30):
        app.latency.labels("v3").observe(0.3)
    for _ in range(10):
        app.latency.labels("v3").observe(0.7)
    (mean,) = app.look(latency, value="mean(value)")
    assert mean.value == pytest.approx(0.4)
    assert mean.samples == 40
    (quantile,) = app.look(latency, value="quantile(value, 50%)")
    assert quantile.value == pytest.approx(0.1 + 0.4 * 20 / 30)
    (nothing,) = app.look(latency, window=LOOK, value="mean(value)")
    assert nothing.detail == "empty: nothing was observed in the window"


def test_a_summary_gives_its_mean(app: App) -> None:
    size = 'size{version="$version"}'
    app.size.labels("v3").observe(5)
    app.look(size, value="mean(value)")
    app.size.labels("v3").observe(10)
    app.size.labels("v3").observe(20)
    (mean,) = app.look(size, value="mean(value)")
    assert (mean.value, mean.samples) == (15, 2)
    (quantile,) = app.look(size, value="quantile(value, 95%)")
    assert quantile.detail == "this summary has no buckets to tell a quantile from"


@pytest.mark.parametrize(
    ("query", "value", "said"),
    [
        ("depth", None, "2 series: {version=\"v1\"} and {version=\"v3\"}; say which one"),
        (ERRORS, "max(value)", "a counter gives its rate a second; leave `value` out"),
        ("latency", None, "a histogram needs `value: mean(value)`"),
        ("latency", "max(value)", "a histogram needs `value: mean(value)`"),
        ("depth{", None, "a label or } is missing"),
        ('depth{a=~"("}', None, "not a pattern"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_an_error_with_a_remedy(
    app: App, query: str, value: str | None, said: str
) -> None:
    for version in ("v1", "v3"):
        app.depth.labels(version).set(1)
        app.latency.labels(version).observe(1)
        app.requests.labels(version, "500").inc()
    for _ in range(2):
        broken, again = app.look(query, query, value=value)
        assert broken == again
        assert broken.status == "error"
        assert said in broken.detail


def test_series_that_go_away_are_stale_and_not_empty(app: App) -> None:
    app.depth.labels("v3").set(5)
    app.look(DEPTH)
    seen = app.now
    app.restart()
    (found,) = app.look(DEPTH)
    assert (found.status, found.as_of) == ("no_data", seen)
    assert found.detail == "stale: no series matches any more"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_data(app: App, value: float) -> None:
    app.depth.labels("v3").set(value)
    (found,) = app.look(DEPTH)
    assert (found.status, found.value) == ("no_data", None)


def test_the_page_is_read_once_in_a_look(app: App) -> None:
    app.depth.labels("v3").set(5)
    reads: list[str] = []
    react = app.react

    def counted(asked: Asked) -> None:
        reads.append(asked.path)
        react(asked)

    with serving(counted) as server:
        app.source = OpenMetricsSource("app", Model(url=f"{server.url}/metrics"), Path())
        app.look(DEPTH, ERRORS, DEPTH)
        app.source.close()
    assert reads == ["/metrics"]


def test_a_version_with_a_page_of_its_own_is_read_there() -> None:
    def react(asked: Asked) -> None:
        asked.answer(f"depth {len(asked.path)}\n", kind=PLAIN)

    with serving(react) as server:
        source = OpenMetricsSource("app", Model(url=f"{server.url}/$version"), Path())
        requests = [
            Request(side, "m", version, "depth", T0 - LOOK, T0)
            for side, version in (("candidate", "v3"), ("baseline", "v1.0"))
        ]
        assert [found.value for found in source.measure(requests)] == [3, 5]
        source.close()


@pytest.mark.parametrize("page", [b"depth{version= 5\n", b"\xff\xfe\n", b"<html>\n"])
def test_what_is_no_page_of_metrics_is_an_error(app: App, page: bytes) -> None:
    app.page = page
    (found,) = app.look(DEPTH)
    assert found.status == "error"
    assert found.detail.startswith("not a page of metrics (")
    with pytest.raises(SourceError, match="app: not a page of metrics"):
        app.source.check()


def test_a_page_of_openmetrics_without_its_end_is_an_error() -> None:
    app = App()
    app.depth.labels("v3").set(5)
    app.page = app.write(app.registry).removesuffix(b"# EOF\n")
    with serving(app.react) as server:
        app.source = OpenMetricsSource("app", Model(url=server.url), Path())
        (found,) = app.look(DEPTH)
        app.source.close()
    assert found.status == "error"
    assert "EOF" in found.detail


def test_a_time_on_the_page_is_the_samples_own(app: App) -> None:
    at = T0 - timedelta(minutes=3)
    stamp = f"{at.timestamp():.0f}" if app.kind == OPEN else f"{at.timestamp() * 1000:.0f}"
    app.page = f'# TYPE depth gauge\ndepth{{version="v3"}} 5 {stamp}\n# EOF\n'.encode()
    (found,) = app.look(DEPTH)
    assert (found.value, found.as_of) == (5, at)
    app.now -= timedelta(hours=1)
    (early,) = app.look(DEPTH)
    assert early.status == "error"
    assert "is yet to come" in early.detail


def test_too_many_series_are_an_error(app: App) -> None:
    for code in range(1001):
        app.requests.labels("v3", str(code)).inc()
    (found,) = app.look('requests_total{version="$version"}')
    assert found.status == "error"
    assert found.detail == "more than 1000 series match; say more of their labels"


def test_memory_is_bounded_by_looks(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "LOOKS", 20)
    monkeypatch.setattr(track, "_DROPPED", 5)
    app.requests.labels("v3", "500").inc()
    for _ in range(60):
        (found,) = app.look(ERRORS, window=timedelta(hours=9))
    assert found.samples < 20
    assert found.detail.startswith("of the time since")


def test_check_says_what_is_there(app: App) -> None:
    app.depth.labels("v3").set(5)
    assert app.source.check().startswith("answers with 1 series of ")


# The quantile of buckets ----------------------------------------------------------------------


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=200),
    st.floats(0.01, 0.99),
)
def test_a_quantile_of_buckets_is_within_a_bucket_of_the_values_own(
    values: list[float], share: float
) -> None:
    bounds = [n / 2 for n in range(-10, 11)] + [float("inf")]
    counts = {bound: float(sum(value <= bound for value in values)) for bound in bounds}
    found = bucket_quantile(counts, share)
    assert found is not None
    rank = share * len(values)
    exact = sorted(values)[max(0, int(-(-rank // 1)) - 1)]
    assert abs(found - exact) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    "counts", [{}, {float("inf"): 5.0}, {1.0: 5.0, 2.0: 5.0}, {1.0: 0.0, float("inf"): 0.0}]
)
def test_buckets_that_say_nothing_have_no_quantile(counts: dict[float, float]) -> None:
    assert bucket_quantile(counts, 0.5) is None
