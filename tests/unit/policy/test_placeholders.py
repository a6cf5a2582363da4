"""What is filled into a question stays a value, whatever it says."""

from datetime import UTC, datetime, timedelta

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policy.placeholders import (
    PlaceholderError,
    Values,
    fill_jmespath,
    fill_json,
    fill_promql,
    fill_url,
)
from controller.policy.selector import SelectorError, parse_selector

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
VERSIONS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def values(version: str = "v3", window: timedelta = timedelta(minutes=30)) -> Values:
    return Values(version, NOW - window, NOW)


@given(VERSIONS)
def test_a_selector_finds_the_version_that_was_filled_in_and_no_other(version: str) -> None:
    for mark, sign in (('"', "="), ("'", "="), ('"', "=~"), ("'", "=~")):
        query = f"x{{a={mark}b{mark},version{sign}{mark}$version{mark}}}"
        selector = parse_selector(fill_promql(query, values(version)))
        assert selector.matches({"a": "b", "version": version})
        assert not selector.matches({"a": "b", "version": f"{version}x"})
        assert not selector.matches({"a": "c", "version": version})


@given(VERSIONS)
def test_a_path_finds_the_version_that_was_filled_in_and_no_other(version: str) -> None:
    document = {"versions": {version: 1}, "list": [{"v": version, "n": 2}, {"v": "", "n": 3}]}
    by_key = fill_jmespath('versions."$version"', values(version))
    assert jmespath.search(by_key, document) == 1
    by_literal = fill_jmespath('list[?v==`"$version"`].n', values(version))
    assert jmespath.search(by_literal, document) == [2]
    if "\\" not in version:
        by_text = fill_jmespath("list[?v=='$version'].n", values(version))
        assert jmespath.search(by_text, document) == [2]


def test_durations_and_times_stand_where_promql_takes_them() -> None:
    query = 'rate(x{a="$window"}[$window] @ $now offset $window) # $version'
    assert fill_promql(query, values()) == (
        'rate(x{a="1800s"}[1800s] @ 1772463600.000 offset 1800s) # $version'
    )
    assert fill_promql("x[$window]", values(window=timedelta(0))) == "x[1s]"


def test_other_dollars_stay_what_they_are() -> None:
    for query in ('x{a=~"b$"}', 'label_replace(x, "a", "$1-$versions", "b", "(.*)")'):
        assert fill_promql(query, values()) == query
    assert (
        fill_url("http://a/?$filter=x&v=$version", values("a&b")) == "http://a/?$filter=x&v=a%26b"
    )
    assert fill_json('{"v": "$version"}', values('"')) == '{"v": "\\""}'


@pytest.mark.parametrize(
    ("query", "column"), [("x{v=$version}", 5), ("x[$windw]", 3), ('x{v="a"} + $b', 12)]
)
def test_a_placeholder_where_nothing_can_stand_is_told_with_its_place(
    query: str, column: int
) -> None:
    with pytest.raises(PlaceholderError) as raised:
        fill_promql(query, values())
    assert raised.value.column == column


def test_what_a_language_cannot_write_is_told() -> None:
    with pytest.raises(PlaceholderError, match="backtick"):
        fill_promql("x{v=`$version`}", values("a`b"))
    with pytest.raises(PlaceholderError, match="backslash"):
        fill_jmespath("x[?v=='$version']", values("a\\b"))


@pytest.mark.parametrize("text", ["", "{}", "a{", "a{b}", 'a{b="c"', "a{b='c\"}", 'a{b="c"}[5m]'])
def test_what_is_no_selector_is_told(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_selector(text)


def test_the_signs_of_a_selector_are_those_of_prometheus() -> None:
    cases = {"=": (True, False), "!=": (False, True), "=~": (True, True), "!~": (False, False)}
    for sign, (same, other) in cases.items():
        selector = parse_selector(f'a{{b{sign}"5."}}')
        assert selector.matches({"b": "5."}) is same
        assert selector.matches({"b": "50"}) is other
    assert parse_selector('a{b=""}').matches({})
