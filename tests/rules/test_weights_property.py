"""Weights for a share: none come nearer, the ends are exact, more share is never less weight."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from controller.core.share import NONE, WHOLE, Share
from controller.traffic.weights import share_of, split

MOST = 256
shares = st.integers(1, WHOLE - 1).map(Share)
proportions = st.lists(st.integers(0, MOST), min_size=1, max_size=6).filter(any)


def actual(share: Share, baseline: list[int], candidate: list[int]) -> float:
    ours, theirs = split(share, baseline, candidate, MOST)
    return share_of(sum(ours), sum(theirs))


@given(shares, proportions, proportions)
def test_every_weight_is_one_that_a_server_can_have_and_both_versions_have_some(
    share: Share, baseline: list[int], candidate: list[int]
) -> None:
    ours, theirs = split(share, baseline, candidate, MOST)
    assert len(ours) == len(baseline) and len(theirs) == len(candidate)
    assert all(0 <= weight <= MOST for weight in (*ours, *theirs))
    assert sum(ours) > 0 and sum(theirs) > 0


@given(shares, st.integers(1, 3), st.integers(1, 3))
def test_no_other_weights_come_nearer(share: Share, ours: int, theirs: int) -> None:
    most = 8
    found = split(share, [1] * ours, [1] * theirs, most)
    error = abs(share_of(sum(found[0]), sum(found[1])) - share / WHOLE)
    others = product(range(1, most * ours + 1), range(1, most * theirs + 1))
    assert error == min(abs(share_of(b, c) - share / WHOLE) for b, c in others)


@given(proportions, proportions)
def test_nothing_and_everything_are_exact(baseline: list[int], candidate: list[int]) -> None:
    assert split(NONE, baseline, candidate, MOST) == (tuple(baseline), (0,) * len(candidate))
    assert split(WHOLE, baseline, candidate, MOST) == ((0,) * len(baseline), tuple(candidate))


@given(shares, shares, proportions, proportions)
def test_a_larger_share_is_never_a_smaller_one(
    one: Share, other: Share, baseline: list[int], candidate: list[int]
) -> None:
    less, more = sorted((one, other))
    assert actual(less, baseline, candidate) <= actual(more, baseline, candidate)


@given(shares, proportions, proportions)
def test_each_version_keeps_its_proportions_to_less_than_one(
    share: Share, baseline: list[int], candidate: list[int]
) -> None:
    for weights, asked in zip(
        split(share, baseline, candidate, MOST), (baseline, candidate), strict=True
    ):
        total = sum(weights)
        for weight, part in zip(weights, asked, strict=True):
            assert abs(weight - total * part / sum(asked)) < 1


@given(st.integers(1_000, 99_000).map(Share))
def test_one_server_each_is_enough_for_a_hundredth_of_the_smaller_side(share: Share) -> None:
    off = abs(actual(share, [1], [1]) - share / WHOLE)
    assert off <= 0.01 * min(share, WHOLE - share) / WHOLE
