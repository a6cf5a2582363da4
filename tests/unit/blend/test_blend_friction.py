"""No-trade band, hysteresis, minimum hold: what they hold back, and what they may not."""

import pytest
from support.blending import Desk

from controller.blend.friction import Friction
from controller.blend.settings import Settings


def targets(desk: Desk, *wanted: float) -> list[float]:
    """What is held as both versions want the same."""
    return [desk.look(value, value).target for value in wanted]


def test_what_is_within_the_band_is_not_traded() -> None:
    desk = Desk(Settings(band=0.125))
    assert targets(desk, 0.5, 0.625, 0.375, 0.75, 0.5) == [0.5, 0.5, 0.5, 0.75, 0.5]
    answer = desk.look(0.55, 0.55)
    assert (answer.friction, answer.trade, answer.turnover) == (Friction.BAND, False, 0.0)
    assert answer.wanted == pytest.approx(0.55)


def test_nothing_at_all_is_followed_past_the_band() -> None:
    desk = Desk(Settings(band=0.3))
    assert targets(desk, 0.31, 0.2, 0.0) == [0.31, 0.31, 0.0]


def test_hysteresis_enters_at_one_threshold_and_leaves_at_another() -> None:
    desk = Desk(Settings(enter=0.4, leave=0.2))
    assert targets(desk, 0.3, 0.4, 0.3, 0.2, 0.19, 0.3) == [0.0, 0.4, 0.3, 0.2, 0.0, 0.0]
    assert desk.look(0.3, 0.3).friction is Friction.HYSTERESIS


def test_hysteresis_goes_to_the_other_side_only_past_the_threshold_to_enter() -> None:
    desk = Desk(Settings(enter=0.4, leave=0.2))
    assert targets(desk, 0.5, -0.3, -0.5, 0.4) == [0.5, 0.0, -0.5, 0.4]


def test_no_change_follows_another_before_the_minimum_hold() -> None:
    desk = Desk(Settings(min_hold_s=150.0))
    assert targets(desk, 0.5, -0.5, 0.0, -0.4, 0.3) == [0.5, 0.5, 0.5, -0.4, -0.4]
    assert desk.look(0.9, 0.9).friction is Friction.MIN_HOLD


def test_a_clock_that_was_set_back_holds_nothing() -> None:
    desk = Desk(Settings(min_hold_s=150.0))
    desk.look(0.5, 0.5)
    assert desk.look(-0.5, -0.5, after=-3600.0).target == -0.5


def test_frictions_keep_nothing_once_the_baseline_has_it_all() -> None:
    desk = Desk(Settings(band=0.5, min_hold_s=3600.0, enter=0.4, leave=0.3), 75_000)
    assert desk.look(0.6, 0.8).target == pytest.approx(0.75)
    desk.share, desk.epoch = 0, 2
    answer = desk.look(0.65, 0.8)
    assert (answer.target, answer.friction, answer.candidate.weight) == (0.65, None, 0.0)
    assert desk.look(0.1, 0.8).target == 0.1


def test_frictions_keep_nothing_of_an_earlier_epoch() -> None:
    """A rollback and a new start may both fall between two looks."""
    desk = Desk(Settings(band=0.5, min_hold_s=3600.0), 75_000)
    desk.look(0.2, 0.8)
    desk.share, desk.epoch = 5_000, 3
    answer = desk.look(0.2, 0.8)
    assert answer.target == pytest.approx(0.23)
    assert answer.friction is None


def test_a_candidate_that_goes_missing_is_out_at_once() -> None:
    desk = Desk(Settings(band=0.5, min_hold_s=3600.0), 50_000)
    desk.look(0.2, 0.8)
    assert desk.look(0.2, None).target == 0.2
