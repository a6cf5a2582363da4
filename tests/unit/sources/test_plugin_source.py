"""Plugins from a real distribution on the path: found, asked, kept apart."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.marked import load
from support.plugins import distribution

from controller.core.measurement import Measurement
from controller.policy.source import PluginSource as Model
from controller.sources.base import Request, SourceError
from controller.sources.plugin import PluginSource

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
REQUESTS = [
    Request("candidate", "m", version, "spread", NOW - timedelta(hours=1), NOW)
    for version in ("v3", "v1")
]
BOOKS = """
from datetime import UTC, datetime
from controller.core.measurement import Measurement
from controller.sources.base import SourceError

class Books:
    def __init__(self, name, options, base_dir):
        self.name, self.options, self.closed = name, options, False
    def measure(self, requests):
        return [
            Measurement(value=float(self.options["depth"]), samples=len(r.version), as_of=r.now)
            for r in requests
        ]
    def last_received(self):
        return datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
    def check(self):
        return f"{self.name} has {self.options}"
    def close(self):
        self.closed = True

class Raises(Books):
    def measure(self, requests):
        raise KeyError("spread")

class Short(Books):
    def measure(self, requests):
        return []

class Odd(Books):
    def measure(self, requests):
        return [1.0 for _ in requests]

class Local(Books):
    def last_received(self):
        return datetime(2026, 3, 2)

class Hangs(Books):
    def measure(self, requests):
        import threading
        hang.wait()
        return super().measure(requests)

import threading
hang = threading.Event()

def half(name, options, base_dir):
    return object()

def missing(name, options, base_dir):
    raise SourceError("no licence; set BOOKS_LICENCE")
"""
OFFERED = {
    "books": "desk_books:Books",
    **{name: f"desk_books:{name.title()}" for name in ("raises", "short", "odd", "local", "hangs")},
    "half": "desk_books:half",
    "missing": "desk_books:missing",
    "gone": "desk_books:Gone",
    "nowhere": "desk_nowhere:Books",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, monkeypatch, "desk_books", BOOKS, OFFERED)


def source(plugin: str, timeout: timedelta = timedelta(seconds=10)) -> PluginSource:
    return PluginSource("spreads", Model(name=plugin, options={"depth": "5"}, timeout=timeout),
                        Path())  # fmt: skip


def test_a_plugin_is_asked_like_any_source() -> None:
    books = source("books")
    assert "desk_books" not in sys.modules
    assert books.last_received() is None
    assert books.measure(REQUESTS) == [Measurement(value=5.0, samples=2, as_of=NOW)] * 2
    assert books.last_received() == datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
    assert books.check() == "plugin books of desk_books:Books: spreads has {'depth': '5'}"
    books.close()


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ("raises", "plugin raises: KeyError: 'spread'"),
        ("short", "the plugin gave 0 answers to 2"),
        ("odd", "the plugin gave something else than measurements"),
        ("local", "plugin local: last_received() gave no time and zone"),
        ("half", "plugin half gave a object without measure, last_received, check, close()"),
        ("missing", "no licence; set BOOKS_LICENCE"),
        ("gone", "plugin gone: AttributeError: module 'desk_books' has no attribute 'Gone'"),
        ("nowhere", "plugin nowhere: ModuleNotFoundError: No module named 'desk_nowhere'"),
        ("boks", "no plugin 'boks' is installed; installed are: books, gone, half"),
    ],
)
def test_a_plugin_that_is_broken_or_missing_is_an_error_of_its_own_metrics(
    plugin: str, said: str
) -> None:
    broken = source(plugin)
    found = broken.measure(REQUESTS)
    assert [each.status for each in found] == ["error", "error"]
    assert said in found[0].detail
    broken.close()


def test_check_says_what_to_install() -> None:
    with pytest.raises(SourceError, match=r"install the package that has the entry point 'boks'"):
        source("boks").check()


def test_a_plugin_that_hangs_is_given_up_and_asked_again_when_it_is_back() -> None:
    hangs = source("hangs", timedelta(milliseconds=100))
    (found, _) = hangs.measure(REQUESTS)
    assert found.detail == "plugin hangs: no answer within 0.1s"
    (again, _) = hangs.measure(REQUESTS)
    assert again.detail == "plugin hangs still hangs on an earlier question"
    sys.modules["desk_books"].hang.set()
    with hangs._asking:
        """It has come to an end."""
    (back, _) = hangs.measure(REQUESTS)
    assert back.value == 5
    hangs.close()


POLICY = """
rollout: web
baseline: v1
candidate: v3
sources: {books: {type: plugin, name: NAME, options: {depth: 5, live: true, venue: "CME"}}}
metrics: {spread: {source: books, query: spread, unit: bps}}
stages: [{name: all, weight: 100%, hold: 1h}]
triggers: [{name: wide, when: candidate.spread > 5bps, severity: high}]
"""


def test_a_policy_may_name_what_is_installed_only() -> None:
    good = load(POLICY.replace("NAME", "books"))
    assert [str(finding) for finding in good.findings] == []
    assert good.policy is not None
    model = good.policy.sources["books"]
    assert isinstance(model, Model)
    assert model.options == {"depth": "5", "live": "true", "venue": "CME"}
    (finding,) = load(POLICY.replace("NAME", "boks")).findings
    assert (finding.code, finding.line, finding.column) == ("P301", 5, 39)
    assert finding.hint == "did you mean 'books'?"
    (unlike,) = load(POLICY.replace("NAME", "weather")).findings
    assert "install the package that has the entry point 'weather'" in unlike.hint
