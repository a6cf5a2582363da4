"""The Prometheus source against a real Prometheus."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from support.plans import T0
from support.prometheus import prometheus
from support.running import Recorder
from support.web import Asked, serving

from controller.core.event import Command
from controller.core.plan import Beside
from controller.judge.buckets import bucket_quantile
from controller.policy.source import PrometheusSource as Model
from controller.run.alarms import Alarms
from controller.run.commands import register
from controller.run.connections import Opened
from controller.run.controller import Controller
from controller.run.plans import Plans
from controller.run.unit import handle
from controller.sources.base import Request
from controller.sources.prometheus import PrometheusSource
from controller.store import open_store

pytestmark = pytest.mark.real

BEFORE, AFTER = timedelta(hours=1), timedelta(hours=3)
STEP = timedelta(seconds=15)
BAD_FROM = T0 + timedelta(hours=1, minutes=30)
"""When the candidate starts to fail."""
NOW = T0 + timedelta(minutes=30)
ODD = 'a"b.c\\'
"""A version's name with signs that PromQL knows."""
BUCKETS = {"0.1": 4, "0.25": 9, "1": 10, "+Inf": 10}


def written() -> str:
    """Ten requests a second of each version: 1% of the baseline's fail, 2% of the candidate's and
    later half of them; and gauges that stop, or are no numbers."""
    times = [T0 - BEFORE + n * STEP for n in range((BEFORE + AFTER) // STEP + 1)]
    lines: list[str] = []

    def series(name: str, kind: str) -> None:
        lines.append(f"# TYPE {name} {kind}")

    def point(name: str, value: object, at: datetime) -> None:
        lines.append(f"{name} {value} {at.timestamp():.0f}")

    series("requests", "counter")
    for version, bad in (("v1", 0.01), ("v3", 0.02), ("odd", 0.03)):
        label = version if version != "odd" else 'a\\"b.c\\\\'
        good_total = failed_total = 0.0
        made: dict[str, list[tuple[float, datetime]]] = {"200": [], "500": []}
        for at in times:
            share = 0.5 if version == "v3" and at > BAD_FROM else bad
            failed_total += 150 * share
            good_total += 150 * (1 - share)
            made["200"].append((good_total, at))
            made["500"].append((failed_total, at))
        for code, points in made.items():
            for total, at in points:
                point(f'requests_total{{code="{code}",version="{label}"}}', total, at)
    series("latency", "histogram")
    for le, each in BUCKETS.items():
        for n, at in enumerate(times):
            point(f'latency_bucket{{le="{le}",version="v3"}}', each * n, at)
    series("depth", "gauge")
    for version in ("v1", "v3"):
        for n, at in enumerate(times):
            point(f'depth{{version="{version}"}}', n % 7 + (version == "v3"), at)
    for name, until in (("stopped", timedelta(minutes=20)), ("older", timedelta(minutes=3))):
        series(name, "gauge")
        for at in times:
            if at <= NOW - until:
                point(f'{name}{{version="v3"}}', 5, at)
    for name, value in (("undefined", "NaN"), ("infinite", "+Inf")):
        series(name, "gauge")
        for at in times:
            point(f'{name}{{version="v3"}}', value, at)
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), written()) as url:
        yield url


@pytest.fixture
def source(url: str, tmp_path: Path) -> Iterator[PrometheusSource]:
    opened = PrometheusSource("ops", Model(url=url), tmp_path)
    yield opened
    opened.close()


def request(
    query: str,
    version: str = "v3",
    window: timedelta = timedelta(minutes=10),
    *,
    factor: float = 1.0,
    now: datetime = NOW,
    **beside: object,
) -> Request:
    return Request(
        "candidate", "m", version, query, now - window, now, None, factor,
        beside=Beside(**beside), max_age=window,  # type: ignore[arg-type]
    )  # fmt: skip


ERRORS = (
    'sum(rate(requests_total{version="$version",code="500"}[$window]))'
    ' / sum(rate(requests_total{version="$version"}[$window]))'
)


def test_an_instant_query_is_measured_by_version_in_the_base_unit(source: PrometheusSource) -> None:
    candidate, baseline, percent = source.measure(
        [request(ERRORS), request(ERRORS, "v1"), request(f"100 * {ERRORS}", factor=0.01)]
    )
    assert candidate.value == pytest.approx(0.02)
    assert baseline.value == pytest.approx(0.01)
    assert percent.value == pytest.approx(0.02)
    assert (candidate.status, candidate.as_of, candidate.samples) == ("ok", NOW, 0)
    assert source.last_received() == NOW


def test_a_version_with_quotes_and_backslashes_is_asked_for_as_it_is(
    source: PrometheusSource,
) -> None:
    literal = "sum(rate(requests_total{version=~'$version',code=\"500\"}[5m]))"
    for query in (ERRORS, literal):
        (found,) = source.measure([request(query, ODD)])
        assert found.status == "ok", found.detail
        assert found.value == pytest.approx(0.03 if query is ERRORS else 0.3)


def test_a_query_that_counts_tells_the_samples(source: PrometheusSource) -> None:
    counts = 'sum(increase(requests_total{version="$version"}[$window]))'
    (found,) = source.measure([request(ERRORS, samples=counts)])
    assert found.samples == pytest.approx(6000, abs=1)
    (none,) = source.measure([request(ERRORS, samples='sum(absent_total{version="$version"})')])
    assert (none.status, none.samples) == ("ok", 0)
    (broken,) = source.measure([request(ERRORS, samples="sum(")])
    assert broken.status == "error"
    assert broken.detail.startswith("samples: bad_data")


def test_one_answer_by_label_serves_both_versions(source: PrometheusSource) -> None:
    query = "max by (version) (depth)"
    candidate, baseline, other = source.measure(
        [request(query), request(query, "v1"), request(query, "v9")]
    )
    assert candidate.value is not None and baseline.value is not None
    assert candidate.value == baseline.value + 1
    assert other.status == "no_data"
    assert "versions there: v1, v3" in other.detail


def test_an_answer_that_lost_its_label_is_an_error(source: PrometheusSource) -> None:
    (found,) = source.measure([request('sum(depth{version=~"v1|v3"})')])
    assert found.status == "error"
    assert "no label 'version': add `by (version)`" in found.detail


def test_a_number_of_all_versions_is_taken_as_it_is(source: PrometheusSource) -> None:
    (found,) = source.measure([request("count(depth)")])
    assert found.value == 2
    (scalar,) = source.measure([request("scalar(count(depth)) + 1")])
    assert scalar.value == 3


def test_stale_and_empty_are_told_apart(source: PrometheusSource) -> None:
    stale, empty = source.measure(
        [request('max(stopped{version="$version"})'), request('max(never{version="$version"})')]
    )
    assert (stale.status, empty.status) == ("no_data", "no_data")
    assert stale.detail.startswith("stale: the last answer was about 2026-03-02 14:4")
    assert stale.as_of is not None
    # Prometheus looks back five minutes from each point of the curve.
    stopped = NOW - timedelta(minutes=20)
    assert stopped - timedelta(minutes=1) <= stale.as_of <= stopped + timedelta(minutes=5)
    assert (empty.detail, empty.as_of) == ("empty: no series answers", None)
    assert source.last_received() is None


def test_a_plain_selector_tells_the_samples_own_time(source: PrometheusSource) -> None:
    selector, sum_of_it = source.measure(
        [request('older{version="$version"}'), request('sum(older{version="$version"})')]
    )
    assert selector.as_of == NOW - timedelta(minutes=3)
    assert sum_of_it.as_of == NOW
    (asked,) = source.measure(
        [
            request(
                'sum(older{version="$version"})',
                as_of='max(timestamp(older{version="$version"}))',
            )
        ]
    )
    assert asked.as_of == NOW - timedelta(minutes=3)


@pytest.mark.parametrize("name", ["undefined", "infinite"])
def test_what_is_no_number_is_no_data(source: PrometheusSource, name: str) -> None:
    (found,) = source.measure([request(f'{name}{{version="$version"}}')])
    assert (found.status, found.value) == ("no_data", None)
    assert found.detail.startswith("the value is")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sum(", "bad_data: invalid parameter"),
        ('requests_total{version="$version"}', '2 series: {__name__="requests_total", code='),
        ('depth{version="$version"}[5m]', "gives a matrix, not a number; take avg_over_time()"),
        ('"text"', "gives a string, not a number"),
        ("depth{version=$version}", "$version stands outside of quotes"),
        ('depth and on() {__name__=~".+"} * on(version) {__name__=~".+"}', "execution: "),
    ],
)
def test_what_prometheus_cannot_answer_is_an_error_in_its_words(
    source: PrometheusSource, query: str, said: str
) -> None:
    broken, fine = source.measure([request(query), request(ERRORS)])
    assert broken.status == "error"
    assert said in broken.detail
    assert fine.status == "ok"


def test_a_range_is_aggregated_over_its_points(source: PrometheusSource) -> None:
    depth = 'depth{version="$version"}'
    window = timedelta(minutes=7)
    high, mean, count, quantile = source.measure(
        [
            request(depth, window=window, value=value)
            for value in ("max(value)", "mean(value)", "count(value)", "quantile(value, 50%)")
        ]
    )
    assert (high.value, mean.value, count.value, quantile.value) == (7, 4, 28, 4)
    assert (mean.samples, mean.as_of) == (28, NOW)
    assert mean.variance == pytest.approx(28 / 27 * 4)
    (minutes,) = source.measure(
        [request(depth, window=window, value="count(value)", step=timedelta(minutes=1))]
    )
    assert minutes.value == 7


def test_a_range_that_stopped_is_as_old_as_its_last_point(source: PrometheusSource) -> None:
    (found,) = source.measure(
        [request('stopped{version="$version"}', window=timedelta(minutes=30), value="max(value)")]
    )
    assert found.value == 5
    assert found.as_of is not None
    assert found.as_of <= NOW - timedelta(minutes=15)


def test_a_window_that_has_only_begun_is_empty(source: PrometheusSource) -> None:
    (found,) = source.measure([request(ERRORS, window=timedelta(0))])
    assert (found.status, found.detail) == ("no_data", "empty: the window has only begun")


def test_more_points_than_prometheus_gives_is_an_error_with_a_remedy(
    source: PrometheusSource,
) -> None:
    (found,) = source.measure(
        [request("depth", window=timedelta(days=9), value="max(value)", step=timedelta(seconds=15))]
    )
    assert found.status == "error"
    assert "write a longer step" in found.detail


def test_a_quantile_of_buckets_is_that_of_prometheus(source: PrometheusSource) -> None:
    counts = {float(le): float(count) for le, count in BUCKETS.items()}
    for share in (0.01, 0.3, 0.4, 0.5, 0.9, 0.95, 0.999):
        query = f'histogram_quantile({share}, rate(latency_bucket{{version="$version"}}[$window]))'
        (found,) = source.measure([request(query)])
        assert found.value == pytest.approx(bucket_quantile(counts, share)), share


def test_check_says_which_prometheus_answers(source: PrometheusSource) -> None:
    assert source.check().startswith("answers: Prometheus 2.")


def test_the_same_question_is_asked_once_in_a_look(url: str, tmp_path: Path) -> None:
    import urllib3

    with urllib3.PoolManager() as pool:

        def pass_on(asked: Asked) -> None:
            headers = {"Content-Type": asked.headers["Content-Type"]}
            reply = pool.request("POST", f"{url}{asked.path}", body=asked.body, headers=headers)
            asked.answer(reply.data, reply.status)

        with serving(pass_on) as between:
            source = PrometheusSource("ops", Model(url=between.url), tmp_path)
            both = "max by (version) (depth)"
            found = source.measure(
                [request(both), request(both, "v1"), request(ERRORS), request(ERRORS)]
            )
            source.close()
            assert [each.status for each in found] == ["ok"] * 4
            assert sorted(asked.form["query"][:3] for asked in between.asked) == ["max", "sum"]


# The controller ---------------------------------------------------------------------------

POLICY = f"""
rollout: web
baseline: v1
candidate: v3
schedule: {{tick: 30s}}
sources:
  ops: {{type: prometheus, url: "${{PROMETHEUS_URL}}"}}
metrics:
  errors:
    source: ops
    query: '{ERRORS}'
    samples: 'sum(increase(requests_total{{version="$version"}}[$window]))'
    window: 10m
    unit: ratio
    better: lower
    min_samples: 1000
publish:
  share: {{type: file, path: share.json}}
stages:
  - {{name: shadow, weight: 0%, mirror: true, hold: 10m}}
  - name: canary
    weight: 5%
    hold: 20m
    advance: [candidate.errors <= 5%, 'not_worse(errors, margin: 3%)']
  - {{name: full, weight: 100%, hold: 10h, against: frozen_baseline}}
triggers:
  - {{name: errors, when: candidate.errors > 10%, severity: high, confirm: 3 in a row}}
  - {{name: silent, when: ops.silent > 2m, severity: medium, then: hold, escalate_after: 10m}}
rollback: {{verify_after: 0s}}
"""


class Desk:
    """A controller over a real Prometheus, and a clock that the test moves."""

    def __init__(self, url: str, place: Path) -> None:
        self.store = open_store("sqlite://")
        self.plans = Plans(self.store, {"PROMETHEUS_URL": url})
        self.opened = Opened(self.store, self.plans, place)
        self.controller = Controller(
            self.store, self.plans, self.opened, Alarms(Recorder()), "one", random=Random(1)
        )
        loaded = self.plans.read(POLICY, place / "policy.yaml")
        assert loaded.ok, [str(finding) for finding in loaded.findings]
        assert register(self.store, self.plans, loaded, T0)
        handle(self.store, self.plans.plan, "web", Command("start", "kim"), T0)
        self.states: dict[str, datetime] = {}

    def run(self, until: datetime) -> None:
        now = T0
        while now < until:
            now += timedelta(seconds=30)
            self.controller.tick(now)
            row = self.store.rollout("web")
            assert row is not None
            self.states.setdefault(row.state.name, now)

    def close(self) -> None:
        self.controller.close()
        self.opened.close()
        self.store.close()


def test_a_rollout_goes_on_and_comes_back_on_what_prometheus_says(url: str, tmp_path: Path) -> None:
    desk = Desk(url, tmp_path)
    try:
        desk.run(BAD_FROM + timedelta(minutes=10))
        assert list(desk.states) == ["shadow", "canary", "full", "cooldown"]
        # Half of all requests fail: after two of ten minutes that is a tenth, and then three looks.
        assert timedelta(0) < desk.states["cooldown"] - BAD_FROM < timedelta(minutes=5)
        assert '"percent": "0%"' in (tmp_path / "share.json").read_text()
    finally:
        desk.close()


def test_a_prometheus_that_is_gone_holds_the_rollout_and_is_never_a_failure(
    tmp_path: Path,
) -> None:
    def refuse(asked: Asked) -> None:
        asked.answer('{"status":"error","errorType":"internal","error":"no disk"}', 422)

    with serving(refuse) as broken:
        desk = Desk(broken.url, tmp_path)
        try:
            desk.run(T0 + timedelta(minutes=8))
            assert set(desk.states) == {"shadow", "shadow.held"}
            row = desk.store.rollout("web")
            assert row is not None
            assert "silent" in row.state.firing
            assert "errors" not in row.state.firing
        finally:
            desk.close()
