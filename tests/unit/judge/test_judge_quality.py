"""The quality of a source's data: the score of each rule, its counts, and its window."""

from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.judge.quality import SLICES, Tally
from controller.judge.window import Observation, Value
from controller.policy.quality import MEASURES
from controller.policy.source import Quality, Weights

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = Quality(
    required=("symbol", "strike", "volume", "open_interest"),
    types={"symbol": "text", "volume": "number", "call": "boolean"},
    range={"strike": (0.0, 1e5)},
)
WHOLE: dict[str, Value] = {"symbol": "NQ", "strike": 21_350, "volume": 12, "open_interest": 400}


def judged(
    *fields: dict[str, Value], rules: Quality = RULES, late: timedelta = timedelta(0)
) -> Tally:
    """One observation a second."""
    tally = Tally(rules)
    for second, each in enumerate(fields):
        at = T0 + second * SECOND
        tally.take(Observation("v3", at, each), None, at + late)
    return tally


def value(tally: Tally, name: str, now: datetime = T0 + SECOND) -> float | None:
    return tally.measure(name, now).value


@pytest.mark.parametrize(
    ("fields", "score", "parts"),
    [
        (WHOLE, 1.0, {}),
        # the whole of each weight: empty .5 and all required missing .2
        ({}, 0.3, {"missing": 1.0}),
        (WHOLE | {"volume": None}, 1 - 0.3 - 0.2 / 4, {"missing": 1.0, "nulls": 0.25}),
        (WHOLE | {"volume": nan, "strike": inf}, 1 - 0.3 - 0.1, {"missing": 1.0, "nulls": 0.5}),
        (WHOLE | {"strike": 100_001}, 0.7, {"out_of_range": 1.0}),
        (WHOLE | {"strike": "high"}, 0.7, {"out_of_range": 1.0}),
        (WHOLE | {"symbol": 7}, 0.8, {"mistyped": 1.0}),
        (WHOLE | {"volume": True}, 0.8, {"mistyped": 1.0}),
        (WHOLE | {"volume": "many", "call": 1}, 0.8, {"mistyped": 1.0}),
        (WHOLE | {"volume": 0.5, "call": False}, 1.0, {}),
        ({**{f"x{n}": 1 for n in range(40)}, **WHOLE, "y": None}, 1.0, {"nulls": 1 / 45}),
    ],
)
def test_each_rule_takes_its_weight_from_the_score(
    fields: dict[str, Value], score: float, parts: dict[str, float]
) -> None:
    tally = judged(fields)
    assert value(tally, "quality") == pytest.approx(score)
    expected = dict.fromkeys(MEASURES, 0.0) | {"bad": float(score < 1), "quality": score} | parts
    assert {name: value(tally, name) for name in MEASURES} == pytest.approx(expected)


def test_late_and_out_of_order_are_told_apart() -> None:
    assert value(judged(WHOLE, late=SECOND), "stale") == 0
    late = judged(WHOLE, late=1.001 * SECOND)
    assert (value(late, "stale", T0 + 2 * SECOND), value(late, "quality", T0 + 2 * SECOND)) == (
        1.0,
        0.8,
    )
    tally = Tally(Quality(stale=timedelta(minutes=1)))
    for second, version in ((3, "v3"), (1, "v1"), (2, "v3")):
        tally.take(Observation(version, T0 + second * SECOND, {"x": 1}), None, T0 + 4 * SECOND)
    assert value(tally, "out_of_order", T0 + 4 * SECOND) == pytest.approx(1 / 3)
    assert value(tally, "quality", T0 + 4 * SECOND) == pytest.approx(1 - 0.1 / 3)


def test_weights_are_the_policys_own() -> None:
    rules = Quality(required=("symbol",), weights=Weights(missing=1.0, empty=0.0))
    assert value(judged({}, rules=rules), "quality") == 0


def test_what_came_in_before_the_window_is_forgotten_and_nothing_is_no_data() -> None:
    tally = judged({}, WHOLE)
    later = T0 + RULES.window
    assert tally.measure("quality", later).samples == 2
    assert tally.measure("quality", later + RULES.window / SLICES + SECOND).status == "no_data"
    assert Tally(RULES).measure("bad", T0).status == "no_data"


def test_memory_is_bounded_by_the_window_and_not_by_traffic() -> None:
    tally = Tally(Quality(window=timedelta(minutes=1)))
    for second in range(10_000):
        tally.take(Observation("v3", T0, {"x": 1}), None, T0 + second * SECOND)
    assert len(tally._slices) <= SLICES + 2


values: Any = st.none() | st.floats() | st.integers(-5, 5) | st.text(max_size=2)
fields: Any = st.dictionaries(st.sampled_from([*WHOLE, "other"]), values, max_size=5)


@given(st.lists(fields, min_size=1, max_size=20), st.integers(0, 5))
def test_every_measure_is_a_share_and_no_more_is_bad_than_scores_less(
    seen: list[dict[str, Value]], refused: int
) -> None:
    tally = judged(*seen)
    tally.refuse(refused, T0)
    found = {name: value(tally, name, T0 + len(seen) * SECOND) for name in MEASURES}
    assert all(v is not None and 0 <= v <= 1 for v in found.values())
    assert found["bad"] is not None and found["quality"] is not None
    assert found["quality"] >= 1 - found["bad"] - 1e-9
    assert found["refused"] == pytest.approx(refused / (len(seen) + refused))
