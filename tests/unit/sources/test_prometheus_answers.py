"""Answers of the Prometheus API that a healthy one does not give: of its kin, and of proxies."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import pytest
from support.web import Asked, serving

from controller.core.measurement import Measurement
from controller.core.plan import Beside
from controller.policy.source import PrometheusSource as Model
from controller.sources.base import Request, SourceError
from controller.sources.prometheus import PrometheusSource

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
AT = NOW.timestamp()
REQUEST = Request("candidate", "m", "v3", "sum(x)", NOW - timedelta(hours=1), NOW)


def vector(*values: object, **more: Any) -> str:
    result = [{"metric": {"n": str(n)}, "value": [AT, v]} for n, v in enumerate(values)]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}, **more}
    )


def measured(answer: str, status: int = 200, kind: str = "application/json") -> Measurement:
    with serving(lambda asked: asked.answer(answer, status, kind)) as server:
        source = PrometheusSource("ops", Model(url=server.url, retries=0), Path())
        (found,) = source.measure([REQUEST])
        source.close()
    return found


def test_an_answer_of_a_part_of_the_stores_is_an_error() -> None:
    found = measured(vector("5", warnings=["No StoreAPIs matched: eu-1 is down"]))
    assert (found.status, found.value) == ("error", None)
    assert found.detail == "partial: No StoreAPIs matched: eu-1 is down"


def test_what_prometheus_warns_of_in_a_query_is_passed_on() -> None:
    warning = "PromQL warning: quantile value should be between 0 and 1, got 95"
    note = "PromQL info: metric might not be a counter, name does not end in _total"
    found = measured(vector("5", warnings=[warning], infos=[note]))
    assert (found.status, found.value) == ("ok", 5)
    assert found.detail == f"{warning}; {note}"


@pytest.mark.parametrize(
    ("answer", "status", "kind", "said"),
    [
        ("<html>log in</html>", 200, "text/html", "not an answer of Prometheus (text/html); is"),
        ("<html>bad gateway</html>", 502, "text/html", "HTTP 502"),
        ("", 401, "text/plain", "HTTP 401: it wants to know who asks; give the source an `auth`"),
        ("404 page not found", 404, "text/plain", "HTTP 404: nothing is there; look at the url"),
        ('{"status":"error","errorType":"timeout","error":"query timed out"}', 503,
         "application/json", "timeout: query timed out"),
        ('{"status":"success"}', 200, "application/json", "the answer holds no data"),
        ('{"status":"success","data":{"resultType":"vector","result":5}}', 200,
         "application/json", "Expected `array`"),
        (vector("five"), 200, "application/json", "could not convert string to float"),
        (vector("1", "2", "3"), 200, "application/json",
         '3 series: {n="0"} and {n="1"}, and 1 more; say which one, or add them up with sum()'),
        (vector("5").replace('"value"', '"histogram"'), 200, "application/json",
         "the query gives histograms; take histogram_quantile() of them"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_an_error_that_says_why(
    answer: str, status: int, kind: str, said: str
) -> None:
    found = measured(answer, status, kind)
    assert (found.status, found.value) == ("error", None)
    assert said in found.detail


def test_the_server_is_told_when_to_give_up_and_to_answer_wholly_or_not() -> None:
    with serving(lambda asked: asked.answer(vector("5"))) as server:
        source = PrometheusSource("ops", Model(url=f"{server.url}/prom/"), Path())
        source.measure([REQUEST])
        source.close()
    (asked,) = server.asked
    assert (asked.command, asked.path) == ("POST", "/prom/api/v1/query")
    assert asked.form == {
        "query": "sum(x)", "time": "1772463600.000", "timeout": "10s", "partial_response": "false",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("beside", "answer", "said"),
    [
        (Beside(samples="n"), "NaN", "samples: nan is no number of samples"),
        (Beside(samples="n"), "-1", "samples: -1.0 is no number of samples"),
        (Beside(as_of="n"), f"{AT + 3600}", "as_of: 2026-03-02 16:00:00 UTC is yet to come"),
        (Beside(as_of="n"), f"{AT * 1000}", "is no number of as_of"),
    ],
)
def test_what_is_asked_beside_must_make_sense(beside: Beside, answer: str, said: str) -> None:
    def react(asked: Asked) -> None:
        asked.answer(vector(answer if asked.body.startswith("query=n&") else "5"))

    request = Request("candidate", "m", "v3", "sum(x)", NOW - timedelta(hours=1), NOW,
                      beside=beside)  # fmt: skip
    with serving(react) as server:
        source = PrometheusSource("ops", Model(url=server.url), Path())
        (found,) = source.measure([request])
        source.close()
    assert found.status == "error"
    assert said in found.detail


@pytest.mark.parametrize(("ahead", "side"), [(90, "ahead of"), (-90, "behind")])
def test_check_tells_of_a_clock_that_is_another(ahead: int, side: str) -> None:
    def react(asked: Asked) -> None:
        at = time() + ahead
        data = {"resultType": "scalar", "result": [at, str(at)]}
        asked.answer(json.dumps({"status": "success", "data": data}))

    with serving(react) as server:
        source = PrometheusSource("ops", Model(url=server.url), Path())
        with pytest.raises(SourceError, match=f"its clock is (89|90)s {side} ours"):
            source.check()
        source.close()
