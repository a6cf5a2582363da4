"""What policies/ifd-transition.yaml holds of two signals, at every share that it passes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.blend.blend import Basis, Blended, State, Why, blend
from controller.blend.legs import Signal
from controller.core.share import Share, from_percent
from controller.effects.blending import blending
from controller.policy.checks.context import weights
from controller.policy.load import load_policy

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
NQ = "NQ 2026-03-20 21350 C"
LOADED = load_policy(Path(__file__).parents[3] / "policies" / "ifd-transition.yaml", {})
assert LOADED.policy is not None
SETTINGS = blending(LOADED.policy)
SHARES = tuple(from_percent(w) for stage in LOADED.policy.stages for w in weights(stage))


def held(share: Share, old: float, new: float, instrument: str = NQ) -> Blended:
    """`instrument` is the candidate's."""
    assert SETTINGS is not None
    return blend(
        SETTINGS, Basis("ifd-3.0", share), State(),
        Signal(exposure=old, confidence=0.9, instrument=NQ, at=T0),
        Signal(exposure=new, confidence=0.8, instrument=instrument, at=T0),
        T0, instrument=NQ,
    )  # fmt: skip


def test_the_weight_rises_from_a_tenth_through_nine_tenths_to_the_whole() -> None:
    parts = [held(share, 1.0, 1.0).candidate.weight for share in SHARES]
    assert parts == sorted(parts)
    assert (SHARES[1], SHARES[9], SHARES[-1]) == (10_000, 90_000, 100_000)
    assert (parts[0], parts[-1]) == (0.0, 1.0)
    assert parts[1] == pytest.approx(0.1 * 0.8)


@pytest.mark.parametrize("share", SHARES[1:-1])
def test_long_against_short_makes_no_trade(share: Share) -> None:
    answer = held(share, 1.0, -1.0)
    assert (answer.why, answer.target) == (Why.CONFLICT, 0.0)


@pytest.mark.parametrize("share", SHARES[1:-1])
def test_another_strike_is_no_signal_for_this_one_and_never_half_of_two(share: Share) -> None:
    answer = held(share, 1.0, 1.0, "NQ 2026-03-20 21400 C")
    assert answer.why is Why.NO_CANDIDATE
    assert answer.target == 0.9  # the baseline's alone, by its confidence


def test_the_ends_are_one_version_alone() -> None:
    assert held(SHARES[0], 0.7, -0.4).target == 0.7
    assert held(SHARES[-1], 0.7, -0.4).target == -0.4
