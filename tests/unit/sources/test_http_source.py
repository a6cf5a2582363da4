"""The JSON source against a real HTTP server."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.web import Asked, serving

from controller.core.measurement import Measurement
from controller.core.plan import Beside
from controller.policy.source import HttpSource as Model
from controller.sources.base import Request, SourceError
from controller.sources.http import HttpSource

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
DOCUMENT = {
    "versions": {
        "v1": {"errors": 0.01, "seen": 900, "at": "2026-03-02T14:59:00Z"},
        "v3": {"errors": 0.02, "seen": 100, "at": 1772463570},
        'odd"\\': {"errors": 0.5},
    }
}


def request(query: str, version: str = "v3", **more: Any) -> Request:
    factor = more.pop("factor", 1.0)
    since = NOW - timedelta(minutes=30)
    return Request(
        "candidate", "m", version, query, since, NOW, None, factor, beside=Beside(**more)
    )  # fmt: skip


def measured(requests: list[Request], answer: Any = DOCUMENT, **model: Any) -> list[Measurement]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    with serving(lambda asked: asked.answer(body)) as server:
        source = HttpSource("api", Model(url=server.url, **model), Path())
        found = source.measure(requests)
        source.close()
    return found


ERRORS = 'versions."$version".errors'


def test_one_document_serves_every_metric_of_both_versions() -> None:
    with serving(lambda asked: asked.answer(json.dumps(DOCUMENT))) as server:
        source = HttpSource("api", Model(url=server.url), Path())
        candidate, baseline, seen = source.measure(
            [
                request(ERRORS, samples='versions."$version".seen', factor=100),
                request(ERRORS, "v1"),
                request('versions."$version".seen', as_of='versions."$version".at'),
            ]
        )
        source.close()
        assert len(server.asked) == 1
    assert (candidate.value, candidate.samples, candidate.as_of) == (2, 100, NOW)
    assert baseline.value == 0.01
    assert seen.as_of == datetime(2026, 3, 2, 14, 59, 30, tzinfo=UTC)
    assert source.last_received() == NOW


def test_the_version_is_filled_into_url_body_and_query_as_a_value_only() -> None:
    with serving(lambda asked: asked.answer('{"errors": 1}')) as server:
        model = Model(
            url=f"{server.url}/stats/$version?since=$since",
            body='{"version": "$version", "now": "$now"}',
        )
        source = HttpSource("api", model, Path())
        (found,) = source.measure([request("errors", 'a/b?"\\')])
        source.close()
        (asked,) = server.asked
    assert found.value == 1
    assert asked.path == "/stats/a%2Fb%3F%22%5C?since=2026-03-02T14%3A30%3A00.000Z"
    assert json.loads(asked.body) == {"version": 'a/b?"\\', "now": "2026-03-02T15:00:00.000Z"}
    (odd,) = measured([request(ERRORS, 'odd"\\')])
    assert odd.value == 0.5


def test_true_and_false_are_one_and_zero() -> None:
    found = measured([request("up"), request("down")], {"up": True, "down": False})
    assert [each.value for each in found] == [1, 0]


@pytest.mark.parametrize("query", ["nothing.here", "none", "list[9]"])
def test_what_is_not_there_is_no_data(query: str) -> None:
    (found,) = measured([request(query)], {"none": None, "list": []})
    assert (found.status, found.detail) == ("no_data", f"empty: nothing at {query}")


@pytest.mark.parametrize("written", [b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}'])
def test_what_is_no_number_is_no_data(written: bytes) -> None:
    (found,) = measured([request("a")], written)
    assert found.status == "no_data"
    assert "the value is" in found.detail


@pytest.mark.parametrize(
    ("query", "beside", "said"),
    [
        ("text", {}, "query gives the text 'abc'; write to_number(...)"),
        ("list", {}, "query gives a list, not a number"),
        ("@", {}, "query gives an object, not a number"),
        ("length(number)", {}, "query: In function length(), invalid type"),
        ("nonsense(a)", {}, "query: Unknown function: nonsense()"),
        ("number", {"samples": "text"}, "samples gives the text"),
        ("number", {"samples": "minus"}, "samples gives -1"),
        ("number", {"as_of": "text"}, "as_of gives 'abc', which is no time"),
        ("number", {"as_of": "local"}, "which has no time zone"),
        ("number", {"as_of": "none"}, "as_of gives nothing that is a time"),
        ("number", {"as_of": "millis"}, "it takes seconds since 1970"),
        ("number", {"as_of": "future"}, "2026-03-02 16:00:00 UTC is yet to come"),
    ],
)
def test_what_makes_no_sense_is_an_error_and_no_other_metrics_business(
    query: str, beside: dict[str, str], said: str
) -> None:
    document = {
        "text": "abc", "list": [1], "number": 5, "minus": -1, "none": None,
        "local": "2026-03-02T14:59:00", "millis": 1772463570000, "future": "2026-03-02T16:00Z",
    }  # fmt: skip
    broken, fine = measured([request(query, **beside), request("number")], document)
    assert broken.status == "error"
    assert said in broken.detail
    assert fine.value == 5


@pytest.mark.parametrize(
    ("react", "said"),
    [
        (lambda asked: asked.answer("<html>", kind="text/html"), "is not JSON (text/html)"),
        (lambda asked: asked.answer("[" * 100_000), "the answer is not JSON"),
        (lambda asked: asked.answer(b"\xff\xfe"), "the answer is not JSON"),
        (lambda asked: asked.answer("", 204), "the answer is not JSON"),
        (lambda asked: asked.answer("{}", 401), "HTTP 401: it wants to know who asks"),
        (lambda asked: asked.answer("{}", 500), "HTTP 500"),
        (Asked.hang, "no answer within 0.3s"),
    ],
)  # fmt: skip
def test_a_server_that_answers_wrongly_is_an_error_of_all_its_metrics(
    react: Any, said: str
) -> None:
    with serving(react) as server:
        model = Model(url=server.url, timeout=timedelta(milliseconds=300), retries=0)
        source = HttpSource("api", model, Path())
        found = source.measure([request("a"), request("b")])
        with pytest.raises(SourceError, match=r"api|127\.0\.0\.1"):
            source.check()
        source.close()
    assert [each.status for each in found] == ["error", "error"]
    assert said in found[0].detail
    assert source.last_received() is None


def test_check_says_what_is_there() -> None:
    with serving(lambda asked: asked.answer('{"a": 1, "b": 2}')) as server:
        source = HttpSource("api", Model(url=server.url), Path())
        assert source.check() == "answers with JSON: a, b"
        source.close()
    with serving(lambda asked: asked.answer("", 404)) as server:
        by_version = HttpSource("api", Model(url=f"{server.url}/$version"), Path())
        assert by_version.check() == "answers (HTTP 404 to a version that does not exist)"
        by_version.close()
