"""Weights by mode, and what is done where the legs point in opposite directions."""

import pytest
from support.blending import Desk, once

from controller.blend.blend import Why
from controller.blend.learning import Learned, Record
from controller.blend.legs import Signal, Status
from controller.blend.settings import Calibration, Conflict, Limits, Mode, Performance, Settings

LONG, SHORT = Signal(0.8, 0.9), Signal(-0.4, 0.5)


def wanted(conflict: Conflict, baseline: Signal = LONG, candidate: Signal = SHORT) -> float:
    return once(Settings(conflict=conflict), 25_000, baseline, candidate).target


def test_weighted_is_the_share_of_each() -> None:
    answer = once(Settings(), 25_000, 0.8, 0.4)
    assert answer.target == pytest.approx(0.75 * 0.8 + 0.25 * 0.4)
    assert (answer.baseline.weight, answer.candidate.weight) == (0.75, 0.25)
    assert (answer.why, answer.conflict, answer.agreed) == (Why.BLENDED, False, True)


def test_confidence_is_not_normalised_so_who_is_unsure_asks_for_less() -> None:
    answer = once(Settings(mode=Mode.CONFIDENCE), 25_000, Signal(0.8, 0.5), Signal(0.4, 0.5))
    assert answer.target == pytest.approx((0.75 * 0.8 + 0.25 * 0.4) / 2)
    assert answer.candidate.weight == 0.125


@pytest.mark.parametrize("bad", [None, float("nan"), -0.1, 1.1, "EXTREME", True])
def test_a_candidate_without_a_confidence_is_no_leg_where_weights_come_from_it(bad: object) -> None:
    answer = once(
        Settings(mode=Mode.CONFIDENCE), 25_000, Signal(0.8, 0.5), Signal(0.4, bad)  # type: ignore[arg-type]
    )  # fmt: skip
    assert answer.candidate.status is Status.NO_CONFIDENCE
    assert (answer.target, answer.why) == (0.4, Why.NO_CANDIDATE)


def test_a_baseline_without_a_confidence_is_taken_as_sure() -> None:
    answer = once(Settings(mode=Mode.CONFIDENCE), 25_000, Signal(0.8, None), Signal(0.4, 1.0))
    assert answer.target == pytest.approx(0.75 * 0.8 + 0.25 * 0.4)


def test_a_confidence_that_was_proven_wrong_takes_the_candidate_out_and_nothing_sooner() -> None:
    settings = Settings(mode=Mode.CONFIDENCE, calibration=Calibration(samples=3))
    desk = Desk(settings, 25_000)
    sure = Signal(0.4, 1.0)
    answers = [desk.look(Signal(0.8, 1.0), sure, move=-0.01) for _ in range(4)]
    assert [answer.candidate.status for answer in answers] == [
        Status.USED, Status.USED, Status.USED, Status.UNCALIBRATED,
    ]  # fmt: skip
    assert answers[-1].target == 0.8
    assert answers[-1].fields()["brier"] == 1.0


def test_a_confidence_that_is_borne_out_again_brings_the_candidate_back() -> None:
    settings = Settings(mode=Mode.CONFIDENCE, calibration=Calibration(samples=2))
    desk = Desk(settings, 25_000)
    for _ in range(4):
        desk.look(0.8, Signal(0.4, 1.0), move=-0.01)
    statuses = [desk.look(0.8, Signal(0.4, 1.0), move=0.01).candidate.status for _ in range(4)]
    assert (statuses[0], statuses[-1]) == (Status.UNCALIBRATED, Status.USED)


def test_performance_is_capped_by_the_share_and_by_the_largest_weight() -> None:
    settings = Settings(mode=Mode.PERFORMANCE, performance=Performance(most=0.6))
    for learned, share, weight in ((0.1, 0.25, 0.1), (0.9, 0.25, 0.25), (0.9, 0.75, 0.6)):
        desk = Desk(settings, round(share * 100_000))
        desk.state = type(desk.state)(learned=Learned(weight=learned))
        assert desk.look(0.8, 0.4).candidate.weight == weight


def test_before_anything_was_learned_neither_leg_is_better() -> None:
    answer = once(Settings(mode=Mode.PERFORMANCE), 75_000, 0.8, 0.4)
    assert answer.candidate.weight == 0.5


def test_net_is_the_weighted_sum() -> None:
    assert wanted(Conflict.NET) == pytest.approx(0.75 * 0.8 - 0.25 * 0.4)


def test_prefer_old_is_the_baseline_whole_and_prefer_new_the_candidate_at_its_weight() -> None:
    assert wanted(Conflict.PREFER_OLD) == 0.8
    assert wanted(Conflict.PREFER_NEW) == pytest.approx(-0.1)


def test_flat_holds_nothing_in_a_conflict_and_blends_without_one() -> None:
    assert wanted(Conflict.FLAT) == 0.0
    assert wanted(Conflict.FLAT, candidate=Signal(0.4)) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("baseline", "candidate", "target"),
    [(0.8, -0.4, 0.0), (0.8, 0.4, 0.4), (0.3, 0.9, 0.3), (-0.8, -0.4, -0.4), (0.8, 0.0, 0.0)],
)
def test_min_abs_is_the_smaller_of_both_where_they_agree_and_nothing_else(
    baseline: float, candidate: float, target: float
) -> None:
    assert wanted(Conflict.MIN_ABS, Signal(baseline), Signal(candidate)) == target


def test_max_confidence_follows_the_candidate_only_if_its_confidence_is_borne_out() -> None:
    settings = Settings(conflict=Conflict.MAX_CONFIDENCE, calibration=Calibration(samples=2))
    desk = Desk(settings, 25_000)
    surer = Signal(-0.4, 0.95)
    assert desk.look(LONG, surer).target == 0.8
    for _ in range(2):
        answer = desk.look(LONG, surer, move=-0.01)
    assert answer.target == pytest.approx(-0.1)
    assert desk.look(LONG, SHORT).target == 0.8
    assert desk.look(LONG, Signal(-0.4, 0.9)).target == 0.8


def test_in_a_conflict_an_unsure_baseline_does_not_hold_more_than_without_one() -> None:
    settings = Settings(mode=Mode.CONFIDENCE, conflict=Conflict.PREFER_OLD)
    assert once(settings, 25_000, Signal(0.8, 0.5), Signal(-0.4, 0.5)).target == 0.4


@pytest.mark.parametrize(
    ("candidate", "conflict", "agreed"),
    [(-0.3, True, False), (-0.1, False, None), (0.0, False, None), (0.3, False, True)],
)
def test_a_direction_that_is_missing_is_neither_a_conflict_nor_agreement(
    candidate: float, conflict: bool, agreed: bool | None
) -> None:
    answer = once(Settings(deadband=0.1), 25_000, 0.8, candidate)
    assert (answer.conflict, answer.agreed) == (conflict, agreed)
    assert ("agreed" in answer.fields()) == (agreed is not None)


def test_conflicts_are_seen_at_a_share_of_nothing_too() -> None:
    answer = once(Settings(), 0, 0.8, -0.4)
    assert (answer.target, answer.conflict) == (0.8, True)


def test_each_version_and_the_account_has_its_limit() -> None:
    settings = Settings(limits=Limits(baseline=0.6, candidate=0.5, account=0.55))
    answer = once(settings, 50_000, 2.0, -3.0)
    assert (answer.baseline.exposure, answer.candidate.exposure) == (0.6, -0.5)
    assert answer.limited
    assert once(settings, 0, 2.0, None).target == 0.55
    assert once(settings, 100_000, None, -3.0).target == -0.5


def test_a_limit_that_was_tightened_is_not_waited_for() -> None:
    desk = Desk(Settings(band=0.5, min_hold_s=600.0))
    assert desk.look(0.8, 0.8).target == 0.8
    desk.settings = Settings(band=0.5, min_hold_s=600.0, limits=Limits(account=0.7))
    assert desk.look(0.8, 0.8).target == 0.7


def test_what_a_leg_claimed_while_it_was_unusable_is_not_scored() -> None:
    desk = Desk(Settings(mode=Mode.CONFIDENCE), 25_000)
    desk.look(0.8, Signal(0.4, 1.0, ready=False))
    desk.look(0.8, Signal(0.4, 1.0), move=-0.01)
    assert desk.state.learned.candidate == Record(exposure=0.4, confidence=1.0)
