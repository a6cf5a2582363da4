"""What is published can be read back; no late message brings the candidate back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import STATE, state

from controller.traffic.published import Fence, Pins, Published, Refusal, decode, encode


@pytest.mark.parametrize(
    "published",
    [STATE, state(0, mirror=True), state(settled=True, max_age_s=600.0),
     state(pins=Pins({"key": ("a",)}, {"account": ("b", "c")}))],
)  # fmt: skip
def test_what_is_written_is_what_is_read(published: Published) -> None:
    assert decode(encode(published)) == published


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"share": 5}', encode(STATE)[:-20],
        encode(STATE).replace(b"5000", b"-1"), encode(STATE).replace(b"5000", b"100001"),
        encode(STATE).replace(b"5000", b"1e3"), encode(STATE).replace(b"5000", b'"5000"'),
        encode(STATE).replace(b"5000", b"true"), encode(STATE).replace(b"5000", b"NaN"),
        encode(state(max_age_s=7.0)).replace(b"7.0", b"-7.0"), b"[" * 100_000,
    ],
    ids=lambda content: content[:16].decode("latin-1"),
)  # fmt: skip
def test_what_is_damaged_is_not_a_state(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a published share"):
        decode(content)


def test_a_state_older_than_one_seen_is_refused() -> None:
    fence = Fence("v1")
    assert fence.admit(state(5_000, token=9)) is None
    assert fence.admit(state(25_000, token=8)) is Refusal.OLDER
    assert fence.admit(state(0, token=8, mirror=True)) is Refusal.OLDER
    assert fence.current == state(5_000, token=9)


def test_the_baseline_gets_through_by_any_token_and_reopens_nothing() -> None:
    fence = Fence("v1")
    fence.admit(state(50_000, token=9))
    assert fence.admit(state(0, token=3)) is None
    assert fence.admit(state(50_000, token=8)) is Refusal.OLDER
    assert fence.admit(state(5_000, token=10)) is None


def test_an_older_epoch_is_refused_whatever_its_token() -> None:
    fence = Fence("v1")
    fence.admit(state(0, epoch=2, token=9))
    assert fence.admit(state(5_000, epoch=1, token=12)) is Refusal.OLDER


def test_two_stores_do_not_take_the_work_from_each_other_here_either() -> None:
    fence = Fence("v1")
    fence.admit(state(5_000, token=9))
    assert fence.admit(state(5_000, token=50, store="else")) is Refusal.OTHER_STORE
    assert fence.admit(state(0, token=50, store="else")) is None
    assert fence.admit(state(5_000, token=51, store="else")) is None
    assert fence.admit(state(0, token=4)) is None
    assert fence.admit(state(5_000, token=8)) is Refusal.OLDER


def test_a_state_of_another_rollout_or_with_another_baseline_is_refused() -> None:
    fence = Fence("v1")
    assert fence.admit(state(0, baseline="v2")) is Refusal.OTHER_BASELINE
    fence.admit(state(0))
    assert fence.admit(state(0, rollout="other", token=9)) is Refusal.OTHER_ROLLOUT


@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0, 0, 5_000, 50_000])), min_size=1).map(
        lambda drawn: [state(share, token=token) for token, share in drawn]
    )
)
def test_in_whatever_order_messages_come_the_candidate_never_acts_by_one_older_than_seen(
    messages: list[Published],
) -> None:
    fence, newest = Fence("v1"), 0
    for message in messages:
        fence.admit(message)
        newest = max(newest, message.token)
        assert fence.current is not None
        assert fence.current.is_baseline or fence.current.token == newest
