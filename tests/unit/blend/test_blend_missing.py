"""Signals that are missing, stale, warming up or no number."""

from datetime import timedelta

import numpy as np
import pytest
from support.blending import T0, Desk, once

from controller.blend.blend import State, Why
from controller.blend.legs import Signal, Status
from controller.blend.settings import (
    Limits,
    Missing,
    Mode,
    Settings,
    WithoutBaseline,
    WithoutCandidate,
)

NAIVE = T0.replace(tzinfo=None)
SECOND = timedelta(seconds=1)
NO_SIGNAL = [None, float("nan"), float("inf"), -float("inf"), "LONG", "0.5", b"1", True, [], 1e13,
             object(), 10**400]  # fmt: skip


@pytest.mark.parametrize("nothing", NO_SIGNAL, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_no_signal_and_nothing_is_raised(nothing: object) -> None:
    answer = once(Settings(), 25_000, 0.8, nothing)  # type: ignore[arg-type]
    assert (answer.target, answer.candidate.weight, answer.why) == (0.8, 0.0, Why.NO_CANDIDATE)
    assert answer.candidate.status in (Status.MISSING, Status.NOT_A_NUMBER)
    assert once(Settings(), 25_000, nothing, nothing).target == 0.0  # type: ignore[arg-type]


def test_numbers_of_other_libraries_are_numbers() -> None:
    assert once(Settings(), 50_000, np.float32(0.5), np.float64(0.25)).target == 0.375


@pytest.mark.parametrize(
    ("signal", "status"),
    [
        (Signal(0.4, at=T0 - 31 * SECOND), Status.STALE),
        (Signal(0.4, at=T0 - 30 * SECOND), Status.USED),
        (Signal(0.4, at=T0 + 31 * SECOND), Status.STALE),
        (Signal(0.4), Status.UNDATED),
        (Signal(0.4, at=NAIVE), Status.UNDATED),
        (Signal(0.4, at="now"), Status.UNDATED),  # type: ignore[arg-type]
        (Signal(0.4, at=T0, valid_until=T0 - SECOND), Status.STALE),
        (Signal(0.4, at=T0, valid_until=T0), Status.USED),
        (Signal(0.4, at=T0, ready=False), Status.WARMING),
        (Signal(0.4, at=T0, ready=None), Status.WARMING),  # type: ignore[arg-type]
        (Signal(0.4, at=T0, instrument="ES"), Status.OTHER_INSTRUMENT),
        (Signal(0.4, at=T0, instrument="NQ"), Status.USED),
    ],
    ids=str,
)
def test_a_signal_is_used_only_if_it_is_fresh_ready_and_of_the_instrument(
    signal: Signal, status: Status
) -> None:
    answer = once(Settings(max_age_s=30.0), 25_000, Signal(0.8, at=T0), signal)
    assert answer.candidate.status is status
    assert (answer.target == 0.8) == (status is not Status.USED)


def test_without_max_age_a_signal_need_not_say_when_it_was_made() -> None:
    assert once(Settings(), 25_000, 0.8, Signal(0.4, at=NAIVE)).candidate.status is (Status.UNDATED)
    assert once(Settings(), 25_000, 0.8, Signal(0.4)).candidate.usable


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        (WithoutCandidate.BASELINE_FULL, 0.8),
        (WithoutCandidate.BASELINE_SCALED, 0.4),
        (WithoutCandidate.FLAT, 0.0),
        (WithoutCandidate.HOLD, 0.5),
    ],
)
def test_what_is_held_without_the_candidate_is_the_policys_to_say(
    rule: WithoutCandidate, target: float
) -> None:
    desk = Desk(Settings(missing=Missing(candidate=rule)))
    assert desk.look(0.6, 0.4).target == 0.5
    assert desk.look(0.8, None).target == target


def test_a_hold_without_the_candidate_ends_with_the_baseline() -> None:
    desk = Desk(Settings(missing=Missing(candidate=WithoutCandidate.HOLD, hold_s=120.0)))
    desk.look(0.6, 0.4)
    targets = [desk.look(0.8, None).target for _ in range(4)]
    assert targets == [0.5, 0.5, 0.8, 0.8]


def test_without_the_baseline_what_was_held_is_held_for_a_while_and_then_nothing() -> None:
    desk = Desk(Settings(missing=Missing(hold_s=120.0)))
    desk.look(0.6, 0.4)
    answers = [desk.look(None, 0.9) for _ in range(4)]
    assert [answer.target for answer in answers] == [0.5, 0.5, 0.0, 0.0]
    assert [answer.why for answer in answers] == [Why.HELD, Why.HELD, Why.LAPSED, Why.LAPSED]
    assert [answer.trade for answer in answers] == [False, False, True, False]


def test_a_clock_that_was_set_back_does_not_hold_for_longer() -> None:
    desk = Desk(Settings(missing=Missing(hold_s=120.0)))
    desk.look(0.6, 0.4)
    desk.look(None, 0.9)
    assert desk.look(None, 0.9, after=-3600.0).target == 0.5
    assert desk.look(None, 0.9, after=120.0).target == 0.0


@pytest.mark.parametrize(
    ("rule", "target"),
    [(WithoutBaseline.FLAT, 0.0), (WithoutBaseline.CANDIDATE_SCALED, 0.45)],
)
def test_without_the_baseline_the_candidate_has_its_weight_at_most(
    rule: WithoutBaseline, target: float
) -> None:
    answer = once(Settings(missing=Missing(baseline=rule)), 50_000, None, 0.9)
    assert answer.target == target
    assert answer.candidate.weight <= 0.5


def test_where_nothing_was_ever_known_the_position_is_left_alone_for_a_while() -> None:
    desk = Desk(Settings(missing=Missing(hold_s=120.0)))
    answers = [desk.look(None, 0.9) for _ in range(3)]
    assert [answer.why for answer in answers] == [
        Why.NOTHING_KNOWN, Why.NOTHING_KNOWN, Why.LAPSED,
    ]  # fmt: skip
    assert [answer.trade for answer in answers] == [False, False, True]


def test_after_a_rollback_what_is_held_without_the_baseline_is_the_baselines_own() -> None:
    desk = Desk(Settings(), 75_000)
    assert desk.look(0.2, 1.0).target == pytest.approx(0.8)
    desk.share, desk.epoch = 0, 2
    answer = desk.look(None, 1.0)
    assert (answer.target, answer.candidate.weight) == (0.2, 0.0)


def test_at_the_whole_the_candidate_needs_no_baseline_and_falls_back_to_it() -> None:
    settings = Settings(mode=Mode.CONFIDENCE)
    assert once(settings, 100_000, None, 0.9).target == 0.9
    assert once(settings, 100_000, Signal(0.4, 0.5), None).target == 0.4


def test_a_switch_gives_an_instrument_to_one_version() -> None:
    settings = Settings(mode=Mode.SWITCH)
    assert once(settings, 100_000, 0.4, 0.9).target == 0.9
    assert once(settings, 0, 0.4, 0.9).target == 0.4
    assert once(settings, 99_999, 0.4, 0.9).target == 0.4


def test_a_held_position_beyond_the_accounts_limit_is_cut() -> None:
    settings = Settings(limits=Limits(account=0.5))
    assert once(settings, 50_000, None, None, State(target=0.9, epoch=1)).target == 0.5
