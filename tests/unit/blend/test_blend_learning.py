"""What the past teaches, against independent reckoning."""

import math
import random
from collections.abc import Hashable
from itertools import pairwise
from typing import Any

import pytest
from river import optim
from river.base import Regressor
from river.ensemble import EWARegressor
from support.blending import Desk

from controller.blend.learning import hedge
from controller.blend.legs import Signal
from controller.blend.settings import Mode, Performance, Settings

FREE = Performance(learning_rate=0.5, sharing=0.0, scale=1.0, step=1.0, every_s=0.0)


class _Says(Regressor):
    """A regressor that predicts what the features say, and learns nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def predict_one(self, x: dict[Hashable, Any]) -> float:
        return float(x[self.name])

    def learn_one(self, x: dict[Hashable, Any], y: float) -> None:
        """Nothing."""


def test_without_sharing_and_limits_it_is_rivers_exponentially_weighted_average() -> None:
    """With the loss (1 - r) / 2 of returns in [-1, 1]: river's absolute error, to 0, of a
    prediction of that size."""
    chance = random.Random(7)
    peer = EWARegressor([_Says("old"), _Says("new")], optim.losses.Absolute(), 0.5)
    weight = 0.5
    for _ in range(200):
        gains = (chance.uniform(-1, 1), chance.uniform(-1, 1))
        peer.learn_one(  # type: ignore[no-untyped-call]
            {"old": (1 - gains[0]) / 2, "new": (1 - gains[1]) / 2}, 0.0
        )
        weight = hedge(FREE, weight, gains)
        assert weight == pytest.approx(peer.weights[1], abs=1e-12)


def test_the_loss_stays_within_the_bound_of_hedge() -> None:
    """sqrt(T ln N / 2) for losses in [0, 1] at the rate sqrt(8 ln N / T)."""
    count = 250
    rate = math.sqrt(8 * math.log(2) / count)
    settings = Performance(learning_rate=rate, sharing=0.0, scale=1.0, step=1.0)
    chance = random.Random(3)
    weight, own, losses = 0.5, 0.0, [0.0, 0.0]
    for _ in range(count):
        gains = (chance.choice((-1.0, 1.0)), chance.choice((-1.0, 0.0, 1.0)))
        each = [(1 - gain) / 2 for gain in gains]
        own += (1 - weight) * each[0] + weight * each[1]
        losses = [total + loss for total, loss in zip(losses, each, strict=True)]
        weight = hedge(settings, weight, gains)
    assert rate == pytest.approx(0.149, abs=5e-4)
    assert own - min(losses) <= math.sqrt(count * math.log(2) / 2)


def test_from_a_half_to_99_per_cent_takes_as_many_updates_as_reckoned() -> None:
    """ln(99) / (rate * difference of losses): 46 at a rate of 1 and a difference of 0.1."""
    settings = Performance(learning_rate=1.0, sharing=0.0, scale=1.0, step=1.0)
    weight, updates = 0.5, 0
    while weight < 0.99:
        weight, updates = hedge(settings, weight, (0.0, 0.2)), updates + 1
    assert updates == 46


def test_sharing_keeps_a_leg_that_lost_for_long_within_reach() -> None:
    weight = 0.5
    settings = Performance(learning_rate=1.0, sharing=0.02, scale=1.0, step=1.0)
    for _ in range(1000):
        weight = hedge(settings, weight, (1.0, -1.0))
    assert 0.01 < weight < 0.02


def test_it_moves_by_no_more_than_a_step_and_stays_in_its_range() -> None:
    settings = Performance(learning_rate=50.0, scale=1.0, step=0.05, least=0.2, most=0.7)
    weights = [0.5]
    for gains in [(-1.0, 1.0)] * 8 + [(1.0, -1.0)] * 20:
        weights.append(hedge(settings, weights[-1], gains))
    steps = [abs(b - a) for a, b in pairwise(weights)]
    assert max(steps) <= 0.05 + 1e-12
    assert max(weights) == pytest.approx(0.7)
    assert min(weights) == pytest.approx(0.2)


def performing(**settings: float) -> Desk:
    own = {"every_s": 0.0, "scale": 0.01, "step": 1.0, **settings}
    return Desk(Settings(mode=Mode.PERFORMANCE, performance=Performance(**own)), 99_000)


def test_a_look_is_weighted_by_what_was_wanted_before_the_move_not_after() -> None:
    """No look-ahead: what a leg asks for now does not gain from the move up to now."""
    one, other = performing(), performing()
    for desk in (one, other):
        desk.look(0.5, 0.5)
    assert one.look(0.5, 1.0, move=0.01).candidate.weight == (
        other.look(0.5, -1.0, move=0.01).candidate.weight
    )


def test_returns_are_net_of_costs() -> None:
    """The candidate turns over for nothing: the same gross return, less the cost."""
    desk = performing(cost=0.001)
    for sign in (1, -1) * 10:
        weight = desk.look(0.0, 0.1 * sign, move=0.0).candidate.weight
    assert weight < 0.5


def test_weights_move_on_a_slow_clock() -> None:
    desk = performing(every_s=180.0)
    weights = [desk.look(0.1, 0.4, move=0.01).candidate.weight for _ in range(8)]
    assert weights[:4] == [0.5] * 4
    assert len(set(weights)) == 3


def test_a_bar_on_which_one_leg_had_no_target_teaches_nothing() -> None:
    desk = performing()
    desk.look(0.5, None)
    assert desk.look(0.5, 0.5, move=0.05).state.learned.weight is None


@pytest.mark.parametrize("move", [float("nan"), float("inf"), None])
def test_a_move_that_is_none_teaches_nothing(move: float | None) -> None:
    desk = performing()
    desk.look(0.5, 0.1)
    assert desk.look(0.5, 0.1, move=move).state.learned.weight is None


def test_brier_is_the_mean_squared_error_of_a_confidence() -> None:
    desk = Desk(Settings(mode=Mode.CONFIDENCE))
    moves = (0.01, -0.01, 0.01, 0.0, 0.02)
    desk.look(0.0, Signal(0.5, 0.7))
    for move in moves:
        desk.look(0.0, Signal(0.5, 0.7), move=move)
    record = desk.state.learned.candidate
    assert record.outcomes == 4
    assert record.brier == pytest.approx((3 * 0.3**2 + 0.7**2) / 4)
