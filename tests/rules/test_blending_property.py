"""What holds of every blend, whatever the policy, the legs and the past."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.blending import T0, Desk, once

from controller.blend.blend import Basis, State, blend
from controller.blend.columns import Signals, States, blend_many, nothing_yet
from controller.blend.learning import Learned, Record
from controller.blend.legs import Signal
from controller.blend.settings import (
    Calibration,
    Conflict,
    Limits,
    Missing,
    Mode,
    Performance,
    Settings,
    WithoutBaseline,
    WithoutCandidate,
)
from controller.core.share import WHOLE, Share

SIZES = st.floats(0, 2)
PARTS = st.floats(0, 1)
EXPOSURES = st.one_of(st.floats(-2, 2), st.sampled_from([0.0, 1.0, -1.0]))
SHARES = st.one_of(st.integers(0, WHOLE), st.sampled_from([0, 1, WHOLE - 1, WHOLE]))
SIGNALS = st.builds(Signal, EXPOSURES, st.one_of(st.none(), PARTS))
ANYTHING = st.one_of(
    SIGNALS, st.none(), st.floats(), st.builds(Signal, EXPOSURES, ready=st.booleans()), st.text()
)
SETTINGS = st.builds(
    Settings,
    mode=st.sampled_from(Mode),
    conflict=st.sampled_from(Conflict),
    deadband=st.floats(0, 0.3),
    band=st.floats(0, 0.3),
    enter=st.one_of(st.just(0.0), st.floats(0.2, 0.5)),
    leave=st.floats(0, 0.2),
    min_hold_s=st.sampled_from([0.0, 60.0, 600.0]),
    max_age_s=st.just(0.0),
    missing=st.builds(
        Missing, st.sampled_from(WithoutBaseline), st.sampled_from(WithoutCandidate),
        st.sampled_from([30.0, 300.0]),
    ),
    limits=st.builds(Limits, st.one_of(st.none(), SIZES), SIZES, st.one_of(st.none(), SIZES)),
    performance=st.builds(Performance, most=PARTS, scale=st.floats(1e-3, 1)),
    calibration=st.builds(Calibration, PARTS, st.integers(1, 5)),
)  # fmt: skip
RECORDS = st.builds(Record, st.none(), st.none(), brier=PARTS, outcomes=st.integers(0, 5))
STATES = st.builds(
    State,
    target=st.one_of(st.none(), EXPOSURES),
    moved_at=st.one_of(st.none(), st.integers(0, 900).map(lambda s: T0 - timedelta(seconds=s))),
    baseline=st.one_of(st.none(), EXPOSURES),
    held_since=st.one_of(st.none(), st.integers(0, 900).map(lambda s: T0 - timedelta(seconds=s))),
    epoch=st.integers(0, 1),
    learned=st.builds(Learned, RECORDS, RECORDS, st.one_of(st.none(), PARTS)),
)
BARE = Settings(limits=Limits(candidate=None))
LEAST = 1e-9


@given(SETTINGS, SIGNALS, SIGNALS, STATES, SHARES, SHARES)
def test_the_candidates_weight_never_falls_as_the_share_rises_and_never_exceeds_it(
    settings: Settings, old: Signal, new: Signal, state: State, low: int, high: int
) -> None:
    low, high = sorted((low, high))
    before, after = (once(settings, share, old, new, state) for share in (low, high))
    assert before.candidate.weight <= after.candidate.weight + LEAST
    for share, answer in ((low, before), (high, after)):
        assert answer.candidate.weight <= share / WHOLE + LEAST


@given(SETTINGS, SIGNALS, SIGNALS, STATES)
def test_the_ends_are_the_versions_own_exposures_exactly(
    settings: Settings, old: Signal, new: Signal, state: State
) -> None:
    """Within the limits of the version and the account, and of nothing else."""
    limits, account = settings.limits, settings.limits.account

    def within(exposure: Any, *bounds: float | None) -> float:
        for bound in bounds:
            if bound is not None:
                exposure = max(-bound, min(bound, exposure))
        return float(exposure)

    first, last = (once(settings, share, old, new, state) for share in (0, WHOLE))
    assert first.target == within(old.exposure, limits.baseline, account)
    assert last.target == within(new.exposure, limits.candidate, account)
    assert (first.candidate.weight, last.candidate.weight) == (0.0, 1.0)
    assert (first.baseline.weight, last.baseline.weight) == (1.0, 0.0)


@given(SETTINGS, ANYTHING, ANYTHING, STATES, SHARES)
def test_nothing_is_ever_raised_nor_held_beyond_the_accounts_limit(
    settings: Settings, old: Any, new: Any, state: State, share: int
) -> None:
    answer = once(settings, share, old, new, state)
    account = settings.limits.account
    assert account is None or abs(answer.target) <= account
    assert answer.trade or answer.target == (state.target or 0.0)


@given(SETTINGS, SIGNALS, SIGNALS, SHARES)
def test_a_blend_is_never_larger_than_the_larger_leg(
    settings: Settings, old: Signal, new: Signal, share: int
) -> None:
    answer = once(settings, share, old, new)
    legs = (answer.baseline.exposure or 0.0, answer.candidate.exposure or 0.0)
    assert abs(answer.wanted) <= max(map(abs, legs)) + LEAST


@given(SETTINGS, ANYTHING, STATES, SHARES)
def test_without_the_baseline_the_candidate_never_gets_more_than_its_share(
    settings: Settings, new: Any, state: State, share: int
) -> None:
    answer = once(settings, share, None, new, state)
    assert answer.candidate.weight <= share / WHOLE


@given(SETTINGS, ANYTHING, STATES, st.integers(1, WHOLE))
def test_without_the_candidate_it_has_no_weight(
    settings: Settings, old: Any, state: State, share: int
) -> None:
    assert once(settings, share, old, None, state).candidate.weight == 0.0


@given(SETTINGS, STATES, SIGNALS, SIGNALS, st.integers(1, WHOLE))
def test_after_a_rollback_the_first_look_holds_the_baselines_exposure_whatever_was_held(
    settings: Settings, state: State, old: Signal, new: Signal, share: int
) -> None:
    desk = Desk(settings, share, state=state)
    desk.look(old, new)
    desk.share, desk.epoch = 0, 2
    answer = desk.look(old, new, after=0.0)
    assert answer.target == once(settings, 0, old, None).target
    assert answer.friction is None


@given(SIGNALS, SIGNALS, SHARES, st.sampled_from(Conflict), st.floats(0, 0.5))
def test_rules_for_conflicts_change_nothing_where_there_is_none_except_the_smaller_of_both(
    old: Signal, new: Signal, share: int, conflict: Conflict, deadband: float
) -> None:
    rules = msgspec.structs.replace(BARE, conflict=conflict, deadband=deadband)
    ruled, net = once(rules, share, old, new), once(BARE, share, old, new)
    sides = [(float(s.exposure or 0) > deadband) - (float(s.exposure or 0) < -deadband)
             for s in (old, new)]  # fmt: skip
    assert ruled.conflict == (sides[0] * sides[1] < 0)
    if not ruled.conflict and conflict is not Conflict.MIN_ABS:
        assert ruled.wanted == net.wanted
    assert abs(ruled.wanted) <= max(abs(float(old.exposure or 0)), abs(net.wanted)) + LEAST or (
        conflict in (Conflict.PREFER_NEW, Conflict.MAX_CONFIDENCE)
    )


@given(SETTINGS, st.integers(1, WHOLE - 1), st.lists(st.tuples(EXPOSURES, EXPOSURES), max_size=30))
def test_targets_of_usable_legs_change_past_band_threshold_and_hold_or_not_at_all(
    settings: Settings, share: int, looks: list[tuple[float, float]]
) -> None:
    settings = msgspec.structs.replace(settings, mode=Mode.WEIGHTED, limits=Limits(candidate=None))
    desk = Desk(settings, share)
    moved: datetime | None = None
    for number, (old, new) in enumerate(looks):
        before = desk.state.target
        answer = desk.look(old, new)
        if not answer.trade:
            continue
        if number and before is not None:
            moved_for = (desk.now - moved).total_seconds() if moved else None
            assert moved_for is None or moved_for >= settings.min_hold_s
            assert answer.target == 0 or abs(answer.target - before) > settings.band
        same_side = before is not None and before * answer.target > 0
        least = settings.leave if same_side else settings.enter
        assert answer.target == 0 or abs(answer.target) >= least
        moved = desk.now


@given(SETTINGS, st.lists(st.tuples(ANYTHING, ANYTHING, SHARES, st.floats(-0.1, 0.1))))
def test_the_same_looks_give_the_same_bytes(
    settings: Settings, looks: list[tuple[Any, Any, int, float]]
) -> None:
    told = []
    for _ in range(2):
        desk = Desk(settings)
        answers = []
        for old, new, share, move in looks:
            desk.share = share
            answers.append(desk.look(old, new, move=move))
        told.append(msgspec.json.encode(answers))
    assert told[0] == told[1]


# Many at once -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One instrument: its share, its signals, what was left."""

    share: int
    old: Signal
    new: Signal
    state: State


ROWS = st.builds(
    Row,
    SHARES,
    *(
        st.builds(
            Signal, st.one_of(EXPOSURES, st.just(float("nan"))), st.one_of(st.none(), PARTS),
            at=st.integers(0, 90).map(lambda s: T0 - timedelta(seconds=s)),
            ready=st.sampled_from([True, True, True, False]),
        )
        for _ in range(2)
    ),
    STATES,
)  # fmt: skip


def seconds(moments: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([np.nan if at is None else at.timestamp() for at in moments])


def numbers(values: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def columns(signals: list[Signal], rows: list[Row], settings: Settings) -> Signals:
    records = [row.state.learned.candidate for row in rows]
    return Signals(
        numbers([s.exposure for s in signals]),
        numbers([s.confidence for s in signals]),
        seconds([s.at for s in signals]),
        np.array([s.ready for s in signals]),
        numbers([row.state.learned.weight for row in rows]),
        np.array([
            record.outcomes >= settings.calibration.samples
            and record.brier <= settings.calibration.worst
            for record in records
        ]),
    )  # fmt: skip


def test_no_band_is_around_nothing_yet_in_arrays_either() -> None:
    """What an array never held is not held back, nor what an earlier epoch left."""
    settings, shares = Settings(band=0.3), np.array([50_000])
    legs = Signals(np.array([0.2]))
    first = blend_many(settings, shares, 1, nothing_yet(1), legs, legs, 0.0)
    assert first.target.tolist() == [0.2]
    other = Signals(np.array([0.4]))
    held, fresh = (
        blend_many(settings, shares, epoch, first.states, other, other, 60.0) for epoch in (1, 2)
    )
    assert (held.target.tolist(), fresh.target.tolist()) == ([0.2], [0.4])


@given(SETTINGS, st.lists(ROWS, min_size=1, max_size=20), st.sampled_from([0.0, 45.0]))
def test_a_row_of_an_array_is_what_one_blend_says(
    settings: Settings, rows: list[Row], max_age_s: float
) -> None:
    # Only a single blend learns, so the arrays are told what it would know.
    settings = msgspec.structs.replace(
        settings, max_age_s=max_age_s, calibration=Calibration(1.0, settings.calibration.samples)
    )
    rows = [
        Row(row.share, row.old, row.new, msgspec.structs.replace(row.state, epoch=1, learned=(
            row.state.learned if row.state.learned.weight is not None
            else msgspec.structs.replace(row.state.learned, weight=0.0)
        )))
        for row in rows
    ]  # fmt: skip
    states = [row.state for row in rows]
    many = blend_many(
        settings, np.array([row.share for row in rows]), 1,
        States(
            numbers([s.target for s in states]), seconds([s.moved_at for s in states]),
            numbers([s.baseline for s in states]), seconds([s.held_since for s in states]), 1,
        ),
        columns([row.old for row in rows], rows, settings),
        columns([row.new for row in rows], rows, settings),
        T0.timestamp(),
    )  # fmt: skip
    for number, row in enumerate(rows):
        basis = Basis("v3", Share(row.share), 1)
        one = blend(settings, basis, row.state, row.old, row.new, T0)
        assert many.target[number] == one.target
        assert bool(many.trade[number]) == one.trade
        assert many.wanted[number] == one.wanted
        assert many.candidate_weight[number] == one.candidate.weight
        assert many.baseline_weight[number] == one.baseline.weight
        assert bool(many.conflict[number]) == bool(one.conflict)
        assert bool(many.compared[number]) == (one.agreed is not None)
        left = one.state
        for column, value in (
            (many.states.target, left.target), (many.states.baseline, left.baseline),
            (many.states.moved_at, left.moved_at and left.moved_at.timestamp()),
            (many.states.held_since, left.held_since and left.held_since.timestamp()),
        ):  # fmt: skip
            assert np.isnan(column[number]) if value is None else column[number] == value


def test_columns_of_different_lengths_are_told() -> None:
    two, three = Signals(np.zeros(2)), Signals(np.zeros(3))
    with pytest.raises(ValueError, match="3 rows, not 2"):
        blend_many(Settings(), np.zeros(2, np.int64), 1, nothing_yet(2), two, three, 0.0)
