"""What is handed over: brought from schema to schema without a change to what it came from,
compared number by number, and never taken over where a number is none."""

from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.traffic.handover import Ramp, on_the_ramp
from controller.traffic.snapshot import (
    Account,
    Holding,
    NoWay,
    differences,
    digest,
    migrated,
    unfit,
)

ACCOUNT = Account(100.0, 120.0, 99.0, 110.0)
NUMBERS = st.floats(-1e6, 1e6)
STATES = st.dictionaries(st.text(max_size=5), st.lists(st.integers(), max_size=4), max_size=4)


def wrap(state: dict[str, Any]) -> dict[str, Any]:
    return {"version": 2, "inside": state}


def unwrap(state: dict[str, Any]) -> dict[str, Any]:
    return dict(state["inside"])


def marked(state: dict[str, Any]) -> dict[str, Any]:
    state["inside"]["mark"] = [3]
    return state


def unmarked(state: dict[str, Any]) -> dict[str, Any]:
    del state["inside"]["mark"]
    return state


STEPS = {(1, 2): wrap, (2, 3): marked, (3, 2): unmarked, (2, 1): unwrap}


@given(state=STATES)
def test_a_state_goes_there_and_back_step_by_step_and_its_origin_is_never_changed(
    state: dict[str, Any],
) -> None:
    origin = Holding(ACCOUNT, {"NQ": 1.0}, {}, state, 1)
    before = deepcopy(origin)
    there = migrated(origin, 3, STEPS)
    assert there.schema == 3
    assert origin == before
    again = deepcopy(there)
    back = migrated(there, 1, STEPS)
    assert there == again
    state.pop("mark", None)
    assert (back.algorithm, back.schema) == (state, 1)
    assert (back.account, back.position) == (origin.account, origin.position)


def test_without_a_step_there_is_no_way() -> None:
    origin = Holding(ACCOUNT, {}, {}, {}, 1)
    with pytest.raises(NoWay, match="no migration of the state from schema 3 to 4"):
        migrated(origin, 4, STEPS)
    with pytest.raises(NoWay, match="no migration of the state from schema 1 to 0"):
        migrated(origin, 0, STEPS)


def test_a_step_that_fails_says_which_and_why() -> None:
    with pytest.raises(NoWay, match="from schema 2 to 1 fails: KeyError: 'inside'"):
        migrated(Holding(ACCOUNT, {}, {}, {}, 2), 1, STEPS)


@given(position=st.dictionaries(st.text(max_size=3), NUMBERS, max_size=4), state=STATES)
def test_the_hash_is_of_the_values_and_not_of_their_order(
    position: dict[str, float], state: dict[str, Any]
) -> None:
    turned = dict(reversed(position.items()))
    one, other = (Holding(ACCOUNT, each, {}, state) for each in (position, turned))
    assert digest(one) == digest(other)
    assert digest(Holding(ACCOUNT.at(101.0), position, {}, state)) != digest(one)


def test_a_state_that_json_cannot_say_is_told() -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        digest(Holding(ACCOUNT, {}, {}, {"engine": object()}))


@given(equities=st.lists(st.floats(1, 1e6), min_size=1, max_size=20), at=st.integers(0, 20))
def test_the_accounts_peak_survives_every_version_and_the_versions_own_begins_anew(
    equities: list[float], at: int
) -> None:
    account = Account(equities[0], equities[0], equities[0], equities[0])
    since = 0
    for number, equity in enumerate(equities):
        account = account.at(equity)
        if number == at:
            account, since = account.rebased(), number
    assert account.peak == max(equities)
    assert account.version_peak == max(equities[since:])
    assert account.day_reference == equities[0]
    assert 0 <= account.version_drawdown <= account.drawdown < 1


WANTED = Holding(ACCOUNT, {"NQ": 2.0, "ES": -1.0}, {"exposure": 200.0})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Holding(ACCOUNT, {"NQ": 2.1, "ES": -1.0}, {"exposure": 201.9}), ()),
        (Holding(ACCOUNT.rebased(), {"NQ": 2.0, "ES": -1.0}, {"exposure": 200.0}), ()),
        (Holding(ACCOUNT, {"NQ": 2.0}, {"exposure": 200.0}), ("position of ES: 0, not -1",)),
        (Holding(ACCOUNT, {"NQ": 2.0, "ES": -1.0, "CL": 1.0}, {"exposure": 200.0}),
         ("position of CL: 1, not 0",)),
        (Holding(ACCOUNT, {"NQ": 2.0, "ES": -1.0}, {}), ("exposure: nothing, not 200",)),
        (Holding(ACCOUNT, {"NQ": 2.0, "ES": -1.0}, {"exposure": 203.0}),
         ("exposure: 203, not 200",)),
        (Holding(ACCOUNT, {"NQ": 2.0, "ES": -1.0}, {"exposure": float("nan")}),
         ("exposure: nan, not 200",)),
        (Holding(Account(100, 100, 99, 100), {"NQ": 2.0, "ES": -1.0}, {"exposure": 200.0}),
         ("the account's peak: 100, not 120",)),
    ],
)  # fmt: skip
def test_what_differs_by_more_than_it_may_is_told(found: Holding, words: tuple[str, ...]) -> None:
    assert differences(WANTED, found, position=0.1 + 1e-9, risk=0.01) == words


@pytest.mark.parametrize(
    ("holding", "words"),
    [
        (Holding(ACCOUNT, {"NQ": 1.0}), ""),
        (Holding(ACCOUNT, {"NQ": float("nan")}), "no number: NQ"),
        (Holding(Account(float("inf"), float("inf"), 1, 1)), "no number: equity, peak"),
        (Holding(Account(100, 90, 99, 100)), "the account's peak 90 is below its equity 100"),
    ],
)
def test_what_nobody_should_take_over_says_why(holding: Holding, words: str) -> None:
    assert unfit(holding) == words


@given(
    offset=NUMBERS, own=NUMBERS, length=st.floats(1, 1e5),
    times=st.lists(st.floats(-10, 2e5), min_size=2, max_size=20),
)  # fmt: skip
def test_a_ramp_begins_where_it_was_ends_at_the_own_target_and_never_steps_further_than_its_pace(
    offset: float, own: float, length: float, times: list[float]
) -> None:
    ramp = Ramp(1, 0.0, {"NQ": offset})
    seen = [on_the_ramp(ramp, length, "NQ", own, at) for at in sorted(times)]
    assert on_the_ramp(ramp, length, "NQ", own, 0.0) == own + offset
    assert on_the_ramp(ramp, length, "NQ", own, length) == own
    assert on_the_ramp(ramp, length, "ES", own, 0.0) == own
    moments = zip(sorted(times), seen, strict=True)
    for (before, one), (after, other) in pairwise(moments):
        pace = abs(offset) * max(0.0, after - before) / length
        assert abs(other - one) <= pace + 1e-6
