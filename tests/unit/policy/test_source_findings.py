"""Every error of a source that is asked, and of its metrics: code, place (the mark ») and hint."""

from datetime import timedelta

import pytest
from support.marked import PATH, load, marked, only_finding

from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.policy.change import classify
from controller.policy.load import load_text
from controller.policy.source import HttpSource, OpenMetricsSource, PrometheusSource

GOOD = """\
rollout: web
baseline: v1
candidate: v3
schedule: {tick: 30s}
sources:
  ops: {type: prometheus, url: "http://ops:9090", auth: {env: TOKEN}}
  api: {type: http, url: "http://api/stats", headers: {X-Desk: fills}}
  app: {type: openmetrics, url: "http://app/metrics"}
metrics:
  errors:
    source: ops
    query: 'sum(errors{version="$version"}) / sum(requests{version="$version"})'
    samples: 'sum(requests{version="$version"})'
    unit: ratio
    better: lower
    window: 5m
  depth: {source: ops, query: 'depth{version="$version"}', better: lower, window: 5m}
  peak: {source: ops, query: 'depth{version="$version"}', value: max(value), window: 5m}
  slow: {source: api, query: 'versions."$version".slow', unit: ms, better: lower, window: 5m}
  rate: {source: app, query: 'errors_total{version="$version"}', better: lower, window: 5m}
stages:
  - name: canary
    weight: 5%
    hold: 30m
    advance:
      - 'not_worse(errors, margin: 2%)'
      - candidate.depth <= 1.5 * baseline.depth
      - candidate.slow <= 20ms
  - {name: full, weight: 100%, hold: 2h, against: frozen_baseline}
triggers:
  - {name: errors, when: candidate.errors > 10%, severity: high, min_samples: 500}
  - {name: peak, when: candidate.peak > 100, severity: high}
  - {name: rate, when: candidate.rate > 5, severity: high}
  - {name: silent, when: ops.silent > 2m, severity: medium, escalate_after: 10m}
"""

CASES: dict[str, tuple[str, str, str, str]] = {
    # urls and credentials
    "a url without scheme": ('url: "http://ops:9090"', 'url: »"ops:9090"', "P371", "http://127"),
    "a url of another scheme": ('"http://api/stats"', '»"ftp://api/stats"', "P371", "http://127"),
    "a url without host": ('"http://api/stats"', '»"http:///stats"', "P371", "http://127"),
    "a url with a broken port": ('"http://api/stats"', '»"http://api:port/"', "P371", "http://127"),
    "a url with a blank": ('"http://api/stats"', '»"http://api/st ats"', "P371", "http://127"),
    "a url with a fragment": ('"http://api/stats"', '»"http://api/#a"', "P371", "http://127"),
    "a url with a password": ('"http://api/stats"', '»"http://a:b@api/"', "P373", "auth: {user"),
    "the url of one question": (
        '"http://ops:9090"', '»"http://ops:9090/api/v1/query"', "P371", "leave out /api/v1",
    ),
    "a url with a question": ('"http://ops:9090"', '»"http://ops/?a=b"', "P371", "http://127"),
    "a secret in a header": ("X-Desk: fills", "»Authorization: x", "P373", "auth: {env"),
    "a header that cannot be sent": ("X-Desk: fills", "X-Desk: »ä", "P371", "ASCII"),
    "a header of no name": ("X-Desk: fills", "»'X Desk': fills", "P103", "A-Za-z"),
    "a secret in no place": ("auth: {env: TOKEN}", "»auth: {user: kim}", "P373", "env: VARIABLE"),
    "a secret in two places": (
        "auth: {env: TOKEN}", "»auth: {env: TOKEN, file: a}", "P373", "or `auth: {file",
    ),
    "a password with a header": (
        "{env: TOKEN}", "{env: TOKEN, user: kim, »header: X-A}", "P373", "leave out `header`",
    ),
    "a secret that is not set": ("{env: TOKEN}", "{env: »TOKN}", "P011", "'TOKEN'"),
    "a timeout of nothing": ("auth: {env: TOKEN}", "timeout: »0s", "P345", "30s"),
    "too many retries": ("auth: {env: TOKEN}", "retries: »11", "P103", "at most 10"),
    "no question at a time": ("auth: {env: TOKEN}", "concurrency: »0", "P103", "at least 1"),
    "a label that is none": ("auth: {env: TOKEN}", "version_label: »a-b", "P103", ""),
    # keys
    "no query": ("query: 'versions.\"$version\".slow', ", "", "P321", "query: data.errors"),
    "a value of a document": ("unit: ms,", "unit: ms, »value: max(value),", "P321", "leave it out"),
    "samples of a page": (
        "'errors_total{version=\"$version\"}'",
        "'errors_total{version=\"$version\"}', »samples: x", "P321", "leave it out",
    ),
    "a step without points": (
        "better: lower, window: 5m}\n  peak", "better: lower, »step: 5s, window: 5m}\n  peak",
        "P344", "value: max(value)",
    ),
    "samples of points": ("value: max(value),", "value: max(value), »samples: x,", "P344", "leave"),
    "a time of points": ("value: max(value),", "value: max(value), »as_of: x,", "P344", "leave"),
    "a field that points lack": ("max(value)", "»max(depth)", "P322", "value: max(value)"),
    "several fields of a point": ("max(value)", "»'turnover(value, value)'", "P322", "one field"),
    "a step of nothing": ("max(value),", "max(value), step: »0s,", "P345", "30s"),
    # questions
    "a version without quotes": (
        "query: 'depth{version=\"$version\"}', value",
        "query: 'depth{version=»$version}', value", "P372", 'version="$version"',
    ),
    "a misspelt placeholder": (
        "query: 'depth{version=\"$version\"}', value",
        "query: 'rate(depth{version=\"$version\"}[»$windw])', value", "P372", "'window'",
    ),
    "a broken path": ("'versions.\"$version\".slow'", "'versions.\"$version\".»]slow'", "P372",
                      "jmespath.org"),
    "a path that ends early": ("'versions.\"$version\".slow'", "'versions.\"$version\"[»'", "P372",
                               "jmespath.org"),
    "an unknown function": ("'versions.\"$version\".slow'", "'»sume(versions.\"$version\")'",
                            "P372", "jmespath.org"),
    "a version in a path without quotes": ("'versions.\"$version\".slow'",
                                           "'versions.»$version.slow'", "P372", '"$version"'),
    "a selector that calculates": ("'errors_total{version=\"$version\"}'",
                                   "'sum»(errors_total{version=\"$version\"})'", "P372",
                                   "not calculated"),
    "a selector with a broken pattern": (
        "'errors_total{version=\"$version\"}'",
        "'errors_total{version=\"$version\",a=~»\"(\"}'", "P372", "5..",
    ),
    # what can be known
    "versions that are not told apart": (
        "depth: {source: ops, query: 'depth{version=\"$version\"}'",
        "depth: {source: ops, query: »'sum(depth)'", "P321", "by (version)",
    ),
    "samples that nobody knows": ("unit: ms,", "unit: ms, »min_samples: 5,", "P321", "`samples:`"),
    "samples that a trigger asks of nobody": (
        "candidate.rate > 5,", "candidate.slow > 5ms, »min_samples: 5,", "P321", "`samples:`",
    ),
    "too few points": ("max(value), window: 5m", "»mean(value), window: 5m", "P338",
                       "min_samples: 20"),
    "fewer points than asked for": (
        "max(value),", "max(value), step: 1m, min_samples: »6,", "P338", "min_samples: 5`",
    ),
    "too many points": ("max(value),", "max(value), step: »20ms,", "P321", "longer one"),
    "an age that cannot be seen": (
        "    window: 5m\n  depth", "    max_age: »1m\n    window: 5m\n  depth", "P321", "as_of",
    ),
    "a difference without bounds": (
        "- candidate.slow <= 20ms", "- »'not_worse(depth, margin: 2)'", "P207", "by hand",
    ),
    "silence of nobody": (
        "when: ops.silent > 2m", "when: »ops.silent > 2m or api.silent > 2m", "P374", "leave",
    ),
}  # fmt: skip
UNMARKED = {
    "no query": ("  slow: {", "  »slow: {"),
    "silence of nobody": ("      - candidate.slow <= 20ms\n", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_each_error_has_its_code_its_place_and_a_hint(name: str) -> None:
    old, new, code, hint = CASES[name]
    assert GOOD.count(old) == 1, GOOD.count(old)
    text = GOOD.replace(old, new)
    if name in UNMARKED:
        assert UNMARKED[name][0] in text
        text = text.replace(*UNMARKED[name])
    finding, place = only_finding(text, TOKEN="x")
    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint


def test_the_policy_that_the_cases_change_is_clean() -> None:
    assert [str(finding) for finding in load(GOOD, TOKEN="x").findings] == []


def test_no_finding_shows_what_a_variable_holds() -> None:
    text = GOOD.replace('"http://ops:9090"', '"${OPS}"')
    for value in ("ops", "http://kim:s3cret@ops", "http://ops/?key=s3cret"):
        (finding,) = load(text, TOKEN="x", OPS=value).findings
        assert "s3cret" not in str(finding)
        assert (finding.line, finding.column) == (6, 32)


def test_a_plain_selector_may_have_any_age() -> None:
    plain = GOOD.replace("better: lower, window: 5m}\n  peak",
                         "better: lower, max_age: 1m, window: 5m}\n  peak")  # fmt: skip
    assert load(plain, TOKEN="x").findings == ()
    timed = GOOD.replace("    window: 5m\n  depth",
                         "    max_age: 1m\n    as_of: time()\n    window: 5m\n  depth")  # fmt: skip
    assert load(timed, TOKEN="x").findings == ()


def test_samples_are_wanted_only_of_what_can_tell_them() -> None:
    loaded = load(GOOD, TOKEN="x")
    assert loaded.policy is not None
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, "x", AlwaysOpen())
    wanted = {name: metric.min_samples for name, metric in plan.metrics.items()}
    assert wanted == {"errors": 30, "depth": 0, "peak": 0, "slow": 0, "rate": 0}
    proportions = {name for name, metric in plan.metrics.items() if metric.proportion}
    assert proportions == {"errors"}


def test_an_unset_secret_keeps_no_rollout_that_runs_from_being_read() -> None:
    loaded = load_text(GOOD, PATH, {}, keep_unset=True)
    assert loaded.compiles


def test_an_edited_source_is_told_without_what_is_in_it() -> None:
    one = load(GOOD, TOKEN="x").policy
    other = load(GOOD.replace("X-Desk: fills", "X-Desk: s3cret"), TOKEN="x").policy
    assert one is not None and other is not None
    (change,) = classify(one, other).changes
    assert (change.path, change.words, change.safe) == ("sources.api", "changed", False)


def test_defaults_are_those_of_a_careful_person() -> None:
    for model in (PrometheusSource, HttpSource, OpenMetricsSource):
        source = model(url="http://ops")
        assert (source.timeout, source.retries, source.concurrency) == (
            timedelta(seconds=10), 2, 4,
        )  # fmt: skip


@pytest.mark.parametrize(
    "value", ["agreement(value)", "nulls(value)", "duplicates()", "missing(value, value)"]
)
def test_points_are_not_judged_as_observations(value: str) -> None:
    place = marked(GOOD.replace("max(value)", f"»'{value}'"))
    found = [each for each in load(place.text, TOKEN="x").findings if each.code == "P322"]
    assert [(each.line, each.column) for each in found] == [(place.line, place.column)]
    assert "push source" in (found[0].hint or "")
