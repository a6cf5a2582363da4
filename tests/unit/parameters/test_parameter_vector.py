"""All parameters at once: ends exact, inputs unchanged, every difference accounted for."""

import json
import tomllib
from copy import deepcopy
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.configuration import Unreadable, form_of, read, write_between
from controller.parameters.curves import Curve
from controller.parameters.vector import Interpolation, Rule, Unfit, same

HALF = Fraction(1, 2)
VALUES = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["no", "on", "12:30", "0o7", "1e3", "", "plain", "ü ü", "a: b # c", "\x7f\t"]),
)  # fmt: skip
KEYS = st.sampled_from(["fast", "slow", "no", "with space", "a", "b"])
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        VALUES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
PROGRESS = st.integers(0, 20).map(lambda n: Fraction(n, 20))


@given(TREES, TREES, PROGRESS)
def test_ends_are_exact_and_the_inputs_are_never_changed(
    one: dict[str, Any], other: dict[str, Any], progress: Fraction
) -> None:
    before = deepcopy((one, other))
    way = Interpolation(one, other, [], HALF)
    assert same(way.tree(Fraction(0)), one)
    assert same(way.tree(Fraction(1)), other)
    found = way.tree(progress)
    assert same(found, one if progress < HALF else other)
    found.clear()
    assert repr((one, other)) == repr(before)


@pytest.mark.parametrize("form", ["YAML", "JSON", "TOML"])
@given(one=TREES, other=TREES, progress=PROGRESS, where=st.integers(1, 20))
def test_what_is_written_between_reads_as_what_was_reckoned(
    form: str, one: dict[str, Any], other: dict[str, Any], progress: Fraction, where: int
) -> None:
    baseline, candidate = (read(text_of(tree, form), form) for tree in (one, other))
    way = Interpolation(baseline.values, candidate.values, [], Fraction(where, 20))
    content = write_between(baseline, candidate, way.settings(progress))
    assert same(read(content, form).values, way.tree(progress))


def text_of(tree: dict[str, Any], form: str) -> bytes:
    if form == "TOML":
        return write_between(read(b"", form), read(b"", form), {}) + toml(tree)
    return json.dumps(tree).encode()


def toml(tree: dict[str, Any]) -> bytes:
    """Every key at the top, tables inline: not as the writer does it."""

    def value(of: Any) -> str:
        if isinstance(of, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(v)}" for k, v in of.items()) + "}"
        if isinstance(of, list):
            return "[" + ", ".join(map(value, of)) + "]"
        if isinstance(of, str):
            return json.dumps(of).replace("\x7f", "\\u007F")
        return repr(of) if isinstance(of, float) else json.dumps(of)

    text = "".join(f"{json.dumps(key)} = {value(part)}\n" for key, part in tree.items())
    tomllib.loads(text)
    return text.encode()


def test_comments_and_spellings_of_what_stays_are_kept() -> None:
    """A reader by the rules of YAML 1.1 takes `off` for false and a quoted one for text."""
    baseline = read(b"# ours\nflow:\n  fast: 5  # bars\n  mode: off\n  decay: 1e-3\n", "YAML")
    candidate = read(b"flow: {fast: 15, mode: off, decay: 1e-5}\n", "YAML")
    rules = [Rule("flow.fast", Curve()), Rule("flow.decay", Curve("log"))]
    way = Interpolation(baseline.values, candidate.values, rules, None)
    content = write_between(baseline, candidate, way.settings(HALF))
    assert content == b"# ours\nflow:\n  fast: 10 # bars\n  mode: off\n  decay: 0.0001\n"


def test_a_rule_for_a_table_takes_all_of_it() -> None:
    one, other = {"limits": {"a": 1, "b": 2}}, {"limits": {"a": 5, "c": 2}}
    way = Interpolation(one, other, [Rule("limits", HALF)], None)
    assert way.problems == []
    assert way.tree(Fraction(2, 5)) == one
    assert way.tree(HALF) == other


def test_items_of_lists_of_one_length_are_named_and_others_are_a_whole() -> None:
    one, other = {"windows": [5, 10], "days": [1]}, {"windows": [5, 30], "days": [1, 2]}
    rules = [Rule("windows[1]", Curve()), Rule("days", HALF)]
    way = Interpolation(one, other, rules, None)
    assert way.tree(Fraction(1, 4)) == {"windows": [5, 15], "days": [1]}
    assert way.value("windows[1]", HALF) == 20
    assert way.value("windows[0]", HALF) == 5
    assert way.value("days[1]", HALF) == 2


def test_what_only_one_side_has_comes_and_goes_at_its_switch() -> None:
    way = Interpolation({"old": 1}, {"new": {"x": 2}}, [Rule("old", Fraction(1, 4))], HALF)
    assert [way.tree(Fraction(n, 4)) for n in range(4)] == [
        {"old": 1}, {}, {"new": {"x": 2}}, {"new": {"x": 2}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "about", "words"),
    [
        ([], "path", "5 and 15"),
        ([Rule("fasst", Curve())], "path", "neither"),
        ([Rule("fast", Curve()), Rule("fast", HALF)], "path", "named already"),
        ([Rule("table", HALF), Rule("table.a", HALF)], "path", "table is named already"),
        ([Rule("same", Curve())], "same", "1 in both"),
        ([Rule("mode", Curve())], "values", "two numbers, not a and b"),
        ([Rule("flag", Curve())], "values", "not true and false"),
        ([Rule("table", Curve())], "values", "not a table and a table"),
        ([Rule("zero", Curve("log"))], "values", "above 0, not 0 and 4"),
        ([Rule("fast", Curve(tick=10.0))], "values", "5 is no multiple of the tick 10"),
    ],
)
def test_rules_that_do_not_fit_are_told(rules: list[Rule], about: str, words: str) -> None:
    one = {"fast": 5, "same": 1, "mode": "a", "flag": True, "table": {"a": 1}, "zero": 0}
    other = {"fast": 15, "same": 1, "mode": "b", "flag": False, "table": {"a": 2}, "zero": 4}
    way = Interpolation(one, other, rules, None if not rules else HALF)
    told = [(p.about, p.words) for p in way.problems]
    assert any(kind == about and words in said for kind, said in told), told
    if about != "same":
        with pytest.raises(Unfit):
            way.tree(HALF)


def test_one_is_neither_true_nor_a_float() -> None:
    assert not same(1, True)
    assert not same({"a": [1]}, {"a": [1.0]})
    assert same(float("nan"), float("nan"))


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("YAML", b"a: &x {b: 1}\nc: *x\n", "an alias"),
        ("YAML", b"a: [1", "not YAML"),
        ("YAML", b"- 1\n", "not keys and values"),
        ("YAML", b"a: 1\na: 2\n", "not YAML"),
        ("JSON", b"{", "not JSON"),
        ("JSON", b"\xff", "not JSON"),
        ("TOML", b"a = ", "not TOML"),
        ("JSON", b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", "deeper than 50"),
        ("JSON", b" " * (1 << 20) + b"{}", "more than 1024 KiB"),
    ],
)
def test_what_is_no_configuration_says_why(form: str, content: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(content, form)


def test_the_form_is_the_suffix() -> None:
    assert [form_of(f"a/b.{s}") for s in ("yaml", "YML", "json", "toml")] == [
        "YAML", "YAML", "JSON", "TOML",
    ]  # fmt: skip
    with pytest.raises(Unreadable, match=r"\.ini is neither"):
        form_of("a.ini")
