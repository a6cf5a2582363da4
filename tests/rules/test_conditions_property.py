"""Properties of the condition language, the loader and the interval analysis."""

import operator
import re
from dataclasses import fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from support.conditions import NAMES, comparisons, conditions, terms
from support.marked import GOOD, PATH

from controller.policy.condition import parse_condition, write_condition
from controller.policy.document import DocumentError, Node, Scalar, place_in, read_document
from controller.policy.expression import (
    Arithmetic,
    Combine,
    Compare,
    Condition,
    Elapsed,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Term,
    Versus,
    references,
)
from controller.policy.findings import CODES
from controller.policy.load import load_text
from controller.policy.names import MetricName, Names
from controller.policy.ranges import can_fail, can_hold
from controller.policy.tokens import ConditionError

_WORDS = """
    and or not candidate.accuracy baseline.latency signals.silent ( ) < <= > >= == != + - * /
    5% 2000ms 0.85 100 USD not_worse( better( , margin: by: accuracy = . $ é
"""
WORDS = re.findall(r"\S+", _WORDS)
_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
            "==": operator.eq, "!=": operator.ne}  # fmt: skip
_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def without_columns(node: Any) -> Any:
    """A tree as if every node stood at the same place."""
    if not is_dataclass(node) or isinstance(node, type):
        return tuple(map(without_columns, node)) if isinstance(node, tuple) else node
    changes = {field.name: without_columns(getattr(node, field.name)) for field in fields(node)}
    return replace(node, **{**changes, **({"column": 0} if "column" in changes else {})})


@given(conditions())
def test_a_printed_tree_is_parsed_to_the_same_tree(tree: Condition) -> None:
    text = write_condition(tree)
    assume(len(text) <= 500 and not any(_same_sides(part) for part in _compares(tree)))

    try:
        parsed = parse_condition(text, NAMES)
    except ConditionError as error:
        assert error.code == "P206", error
        return

    assert without_columns(parsed) == without_columns(tree)


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)))
@example("(" * 400)
@example("not " * 100 + "x")
@example("1" * 499)
@example("candidate.accuracy > " + "1e999")
@example("candidate.accuracy > 1" + "0" * 400)
def test_any_text_is_a_condition_or_a_finding_within_it(text: str) -> None:
    try:
        parse_condition(text, NAMES)
    except ConditionError as error:
        assert error.code in CODES
        assert 1 <= error.column <= len(text) + 1
        line, caret = error.excerpt.split("\n")
        assert caret.strip() == "^" and len(caret) <= len(line) + 1


@given(conditions(depth=2), st.randoms(use_true_random=False))
def test_the_columns_of_a_tree_point_at_its_words(tree: Condition, random: Any) -> None:
    text = write_condition(tree)
    assume(len(text) <= 500 and not any(_same_sides(part) for part in _compares(tree)))
    text = " " * random.randrange(3) + text.replace("(", "( " if random.random() < 0.5 else "(")
    assume(len(text) <= 500)

    for node in _nodes(parse_condition(text, NAMES)):
        here = text[node.column - 1 :]
        match node:
            case Reference():
                assert here.startswith(node.key)
            case Number():
                assert here.startswith(node.text)
            case Compare():
                assert here.startswith(node.operator)
            case Not():
                assert here.startswith("not")


# the loader ---------------------------------------------------------------------------------

_PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["\n", "  ", "- ", ": ", "{", "}", "[", "]", ", ", "&a ", "*a", "!t ", "|\n", ">-\n", "'",
         '"', "#", "---\n", "...\n", "%YAML 1.2\n", "? ", "<<: ", "${", "}", "${HOME}", "\t", "no",
         "1:30", "0x1f", "~", "f(a, b: c)", "\\x", "rollout", "stages", "metrics", "advance",
         "when"]
    ),
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join))
@settings(max_examples=200)
def test_any_text_is_a_policy_or_findings_in_it(text: str) -> None:
    loaded = load_text(text, PATH, {"HOME": "x"})

    assert loaded.ok == (not loaded.findings)
    for finding in loaded.findings:
        assert finding.code in CODES
        assert finding.line >= 1 and finding.column >= 1


@given(st.data())
@settings(max_examples=200)
def test_any_damage_to_a_good_policy_is_a_policy_or_findings_in_it(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 12)))
    text = GOOD[:start] + data.draw(_PIECES) + GOOD[end:]

    loaded = load_text(text, PATH, {})

    lines = text.splitlines()
    assert loaded.ok == (not loaded.findings)
    assert all(1 <= finding.line <= len(lines) + 1 for finding in loaded.findings)


_PLAIN = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@given(
    st.lists(
        st.one_of(
            _PLAIN,
            st.builds("{}({}, {}: {}%)".format, _PLAIN.filter(str.isalpha), _PLAIN, _PLAIN, _PLAIN),
            st.builds("{} and f({}, g({}, {}: {}))".format, *[_PLAIN] * 5),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_calls_in_a_flow_list_are_one_value_each_and_keep_their_places(values: list[str]) -> None:
    text = f"key: [{', '.join(values)}]\nother: {{a: {values[0]}, b: {values[-1]}}}\n"

    root = _read(text)

    items = root["key"]
    assert [item.text for item in items] == values
    assert [text[item.start : item.end] for item in items] == values
    assert [item.text for item in root["other"]] == [values[0], values[-1]]
    for item in items:
        for offset in range(len(item.text)):
            if item.text[offset].isspace():
                continue
            line, column = place_in(text, item, offset)
            assert text.splitlines()[line - 1][column - 1] == item.text[offset]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=60))
@example("f(a, b: c)")
@example("\ue000f(a, b)\ue001")
def test_a_quoted_text_comes_out_as_it_went_in(value: str) -> None:
    assume(value == " ".join(value.split()))
    quoted = value.replace("'", "''")

    assert [item.text for item in _read(f"key: ['{quoted}']\n")["key"]] == [value]


def _read(text: str) -> dict[str, list[Scalar]]:
    """Scalars of each list or table of a document."""
    try:
        root, _ = read_document(text, Path("x.yaml"))
    except DocumentError as error:
        raise AssertionError(text) from error
    entries: dict[str, tuple[Scalar, Any]] = getattr(root, "entries")  # noqa: B009
    found: dict[str, list[Scalar]] = {}
    for name, (_, node) in entries.items():
        children: list[Node] = getattr(node, "items", None) or [
            value for _, value in node.entries.values()
        ]
        found[name] = [child for child in children if isinstance(child, Scalar)]
    return found


# interval analysis --------------------------------------------------------------------------

GRID = (-2.0, -1.0, -0.5, 0.0, 0.05, 0.5, 0.57, 0.85, 1.0, 1.5, 2.0, 120.0, 1000.0)
RANGES = Names(
    {
        "a": MetricName(low=0.0, high=1.0),
        "b": MetricName(),
        "c": MetricName(low=0.0),
    },
    frozenset({"s"}),
)


@st.composite
def small_terms(draw: st.DrawFn, depth: int = 2) -> Term:
    """Terms over three metrics, all plain."""
    kind = draw(st.integers(0, 3 if depth else 1))
    unit = NAMES.metrics["accuracy"].unit
    if kind == 0:
        return Number(draw(st.sampled_from(GRID)), unit, "n", 0)
    if kind == 1:
        return Reference("candidate", draw(st.sampled_from("abc")), unit, 0)
    sign = draw(st.sampled_from("+-*/"))
    left, right = draw(small_terms(depth - 1)), draw(small_terms(depth - 1))
    return Arithmetic(sign, left, right, unit, 0)  # type: ignore[arg-type]


@st.composite
def small_conditions(draw: st.DrawFn, depth: int = 2) -> Condition:
    """Conditions over three metrics."""
    kind = draw(st.integers(0, 3 if depth else 1))
    if kind <= 1:
        sign = draw(st.sampled_from(sorted(_COMPARE)))
        return Compare(sign, draw(small_terms()), draw(small_terms()), 0)  # type: ignore[arg-type]
    if kind == 2:
        return Not(draw(small_conditions(depth - 1)), 0)
    parts = tuple(draw(st.lists(small_conditions(depth - 1), min_size=2, max_size=3)))
    return Combine(draw(st.sampled_from(["and", "or"])), parts, 0)


@given(small_conditions())
@settings(max_examples=500)
def test_what_is_proven_impossible_never_happens(condition: Condition) -> None:
    holds, fails = set_of_truths(condition)

    if holds:
        assert can_hold([condition], RANGES), write_condition(condition)
    if fails:
        assert can_fail(condition, RANGES), write_condition(condition)


@given(st.lists(small_conditions(depth=1), min_size=2, max_size=3))
@settings(max_examples=300)
def test_conditions_that_hold_together_are_never_said_to_exclude_each_other(
    gate: list[Condition],
) -> None:
    together = Combine("and", tuple(gate), 0)

    if set_of_truths(together)[0]:
        assert can_hold(gate, RANGES)


@given(
    st.lists(
        st.builds(
            lambda name, sign, limit, left: Compare(
                sign,
                Reference("candidate", name, NAMES.metrics["accuracy"].unit, 0) if left else limit,
                limit if left else Reference("candidate", name, NAMES.metrics["accuracy"].unit, 0),
                0,
            ),
            st.sampled_from("abc"),
            st.sampled_from(sorted(_COMPARE)),
            st.builds(
                lambda value: Number(value, NAMES.metrics["accuracy"].unit, "n", 0),
                st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=500)
def test_of_limits_on_single_metrics_the_answer_is_exact(gate: list[Condition]) -> None:
    together = Combine("and", tuple(gate), 0)
    # Between and beyond all limits: if anything holds, one of these does.
    points = (-1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)

    assert can_hold(gate, RANGES) == set_of_truths(together, points)[0]


def set_of_truths(condition: Condition, points: tuple[float, ...] = GRID) -> tuple[bool, bool]:
    """Whether the condition holds, and fails, for some measurements on the grid."""
    keys = sorted(set(references(condition)))
    allowed = [
        [point for point in points if low <= point <= high]
        for low, high in (
            (RANGES.metrics[key[-1]].low, RANGES.metrics[key[-1]].high) for key in keys
        )
    ]
    found = {_truth(condition, dict(zip(keys, v, strict=True))) for v in product(*allowed)}
    return True in found, False in found


def _truth(node: Condition, values: dict[str, float]) -> bool | None:
    """What a condition says of values; None where a division by zero leaves it open."""
    match node:
        case Compare():
            left, right = _value(node.left, values), _value(node.right, values)
            if left is None or right is None:
                return None
            return bool(_COMPARE[node.operator](left, right))
        case Not():
            part = _truth(node.part, values)
            return None if part is None else not part
        case Combine():
            parts = [_truth(part, values) for part in node.parts]
            if None in parts:
                return None
            return all(parts) if node.operator == "and" else any(parts)
        case Versus() | MannWhitney() | SplitAsAsked():
            raise AssertionError("not drawn here")


def _value(node: Term, values: dict[str, float]) -> float | None:
    match node:
        case Number():
            return node.value
        case Reference():
            return values[node.key]
        case Elapsed():
            raise AssertionError("not drawn here")
        case Arithmetic():
            left, right = _value(node.left, values), _value(node.right, values)
            if left is None or right is None or (node.operator == "/" and right == 0):
                return None
            return float(_ARITHMETIC[node.operator](left, right))


@pytest.mark.parametrize(
    ("text", "holds", "fails"),
    [
        ("candidate.accuracy > 1", False, True),
        ("candidate.accuracy >= 0", True, False),
        ("candidate.accuracy - baseline.accuracy > 1", False, True),
        ("candidate.accuracy - baseline.accuracy >= -1", True, False),
        ("candidate.accuracy * 2 > 2", False, True),
        ("candidate.accuracy > 0.5 and candidate.accuracy < 0.5", False, True),
        ("candidate.accuracy >= 0.5 or candidate.accuracy <= 0.5", True, False),
        ("not (candidate.accuracy > 1)", True, False),
        ("candidate.accuracy == 0.5 and candidate.accuracy != 0.5", False, True),
        ("candidate.accuracy > 0.9 and baseline.accuracy * 0.5 > candidate.accuracy", False, True),
        ("signals.silent < 0s", False, True),
        ("candidate.pnl < -5 USD", True, True),
        ("not_worse(accuracy, margin: 100%)", True, False),
        ("better(accuracy, by: 100%)", False, True),
        ("worse(accuracy, by: 100%)", False, True),
        ("better(accuracy, than: 100%)", False, True),
        ("not_worse(accuracy, than: 90%, margin: 95%)", True, False),
        ("better(accuracy, by: 50% of baseline)", True, True),
        ("mann_whitney(latency)", True, True),
        ("split_as_asked(signals)", True, True),
        ("better(accuracy, by: 2%) and not not_worse(accuracy, margin: 1%)", False, True),
        ("candidate.accuracy / candidate.trades > 5", True, True),
    ],
)
def test_what_can_hold_and_what_can_fail(text: str, holds: bool, fails: bool) -> None:
    condition = parse_condition(text, NAMES)

    assert (can_hold([condition], NAMES), can_fail(condition, NAMES)) == (holds, fails)


def _compares(node: Condition) -> list[Compare]:
    return [each for each in _nodes(node) if isinstance(each, Compare)]


def _same_sides(node: Compare) -> bool:
    return write_condition(node.left) == write_condition(node.right)


def _nodes(node: Condition | Term) -> list[Condition | Term]:
    match node:
        case Compare() | Arithmetic():
            return [node, *_nodes(node.left), *_nodes(node.right)]
        case Combine():
            return [node, *(each for part in node.parts for each in _nodes(part))]
        case Not():
            return [node, *_nodes(node.part)]
        case _:
            return [node]


def test_the_strategies_draw_something() -> None:
    assert not comparisons().is_empty and not terms("plain").is_empty
