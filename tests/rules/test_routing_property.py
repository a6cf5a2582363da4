"""Rule 11: a key keeps its version for as long as the share allows, and shares are exact."""

import random
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import client_of, state

from controller.core.share import WHOLE, Share, from_percent
from controller.traffic.buckets import Buckets
from controller.traffic.route import Router, Side

SIGNALS = [f"signal-{number}" for number in range(10_000)]
SIGMAS = 5
"""A correct build fails one such comparison in 1.7 million."""


def candidates(share: int, keys: list[str], layer: str = "signal") -> set[str]:
    batch = client_of(state(share, layer=layer)).assign_many(keys)
    return {key for key, it in zip(keys, batch.to_candidate.tolist(), strict=True) if it}


def within(found: int, count: int, chance: float) -> bool:
    return abs(found - count * chance) <= SIGMAS * sqrt(count * chance * (1 - chance))


@given(key=st.text(min_size=1), low=st.integers(0, WHOLE), high=st.integers(0, WHOLE))
def test_raising_the_share_moves_keys_only_towards_the_candidate(
    key: str, low: int, high: int
) -> None:
    low, high = sorted((low, high))
    buckets = Buckets("signal")
    before = Router(state(low), buckets).route(key).side
    after = Router(state(high), buckets).route(key).side
    assert before is Side.BASELINE or after is Side.CANDIDATE


@given(st.text(min_size=1))
def test_the_ends_are_exact_for_any_key(key: str) -> None:
    assert Router(state(0)).route(key).version == "v1"
    assert Router(state(WHOLE)).route(key).version == "v3"


def test_ten_thousand_signals_at_5_per_cent_and_those_stay_at_25() -> None:
    at_5, at_25 = candidates(5_000, SIGNALS), candidates(25_000, SIGNALS)
    assert within(len(at_5), len(SIGNALS), 0.05)
    assert within(len(at_25), len(SIGNALS), 0.25)
    assert at_5 < at_25


@pytest.mark.parametrize("percent", [0.001, 0.01, 0.5, 1, 5, 33.333, 50, 99.999])
def test_any_share_is_hit_to_binomial_error(percent: float) -> None:
    count = 1_000_000
    batch = client_of(state(from_percent(percent))).assign_many([f"k{n}" for n in range(count)])
    assert within(int(batch.to_candidate.sum()), count, percent / 100)


def test_every_bucket_is_as_likely_as_any_other() -> None:
    """A chi-square over a thousand cells of a million keys of the dullest kind: 999 expected,
    with a standard deviation of 45."""
    places, _ = Buckets("signal").places([f"{number:06d}" for number in range(1_000_000)])
    cells = np.bincount(places.astype(np.uint64) * 1000 >> 32, minlength=1000)
    assert len(cells) == 1000
    chi_square = float(((cells - 1000.0) ** 2 / 1000.0).sum())
    assert abs(chi_square - 999) < SIGMAS * sqrt(2 * 999)


def test_two_layers_do_not_correlate_and_one_layer_does() -> None:
    first, second = candidates(20_000, SIGNALS, "first"), candidates(20_000, SIGNALS, "second")
    assert within(len(first & second), len(SIGNALS), 0.2 * 0.2)
    assert within(len(first - second), len(SIGNALS), 0.2 * 0.8)
    assert candidates(5_000, SIGNALS, "first") < first


@given(seed=st.integers(0, 2**32), share=st.integers(0, WHOLE))
def test_the_order_of_keys_changes_nobodys_version(seed: int, share: int) -> None:
    keys = SIGNALS[:200]
    shuffled = random.Random(seed).sample(keys, len(keys))
    assert candidates(Share(share), keys) == candidates(Share(share), shuffled)
