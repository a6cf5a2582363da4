"""Routes: by share, by pin, mirrored; and who acts when nobody can say."""

from typing import Any

import pytest
from support.publishing import state

from controller.traffic.published import Pins
from controller.traffic.route import Reason, Router, Side, Unroutable

KEYS = [f"key-{number}" for number in range(2_000)]
PINS = Pins(
    baseline={"key": ("key-1",), "account": ("A1", "17")},
    candidate={"key": ("key-1", "key-2"), "account": ("A2",), "instrument": ("NQ",)},
)


def sides(router: Router, **attributes: object) -> list[Side]:
    return [router.route(key, attributes).side for key in KEYS]


def test_nobody_is_the_candidates_at_0_and_everybody_at_100() -> None:
    assert set(sides(Router(state(0)))) == {Side.BASELINE}
    assert set(sides(Router(state(100_000)))) == {Side.CANDIDATE}


def test_an_answer_names_the_version_the_reason_and_the_decision() -> None:
    found = Router(state(100_000)).route("a")
    assert (str(found), found.version, found.reason) == ("v3", "v3", Reason.SHARE)
    assert (found.epoch, found.token, found.mirror) == (1, 7, None)


def test_mirrored_work_is_acted_on_by_the_baseline_and_seen_by_the_candidate() -> None:
    shadow = Router(state(0, mirror=True)).route("a")
    assert (shadow.version, shadow.mirror) == ("v1", "v3")
    routed = Router(state(100_000, mirror=True)).route("a")
    assert (routed.version, routed.mirror) == ("v3", None)


@pytest.mark.parametrize(
    ("key", "attributes", "acts", "reason"),
    [
        ("key-1", {"account": "A9"}, "v1", Reason.PIN),
        ("key-2", {"account": "A9"}, "v3", Reason.PIN),
        ("key-2", {"account": "A1"}, "v1", Reason.PIN),
        ("other", {"account": 17}, "v1", Reason.PIN),
        ("other", {"account": "A2"}, "v3", Reason.PIN),
        ("other", {"account": "A9", "instrument": "NQ"}, "v3", Reason.PIN),
        ("other", {"account": "A9", "instrument": ["NQ"]}, "v1", Reason.SHARE),
    ],
)
def test_a_pinned_key_does_not_follow_the_share_and_the_baselines_pin_outranks_the_candidates(
    key: str, attributes: dict[str, object], acts: str, reason: Reason
) -> None:
    found = Router(state(1, pins=PINS)).route(key, attributes)
    assert (found.version, found.reason) == (acts, reason)


def test_the_baselines_pins_hold_at_100_too() -> None:
    assert Router(state(100_000, pins=PINS)).route("any", {"account": "A1"}).version == "v1"


@pytest.mark.parametrize("key", ["key-1", "key-2", "other"])
def test_after_a_rollback_nobody_is_the_candidates_whatever_is_pinned(key: str) -> None:
    assert Router(state(0, pins=PINS)).route(key, {"account": "A2"}).version == "v1"
    assert Router(state(0, pins=PINS)).route(key).version == "v1"


@pytest.mark.parametrize(
    "attributes", [None, {}, {"account": None}, {"account": ""}, {"account": True}, "account",
                   {"account": 1.5}, {"account": 10**5000}, {"account": {}}],
    ids=lambda value: repr(value)[:20] if value != {"account": 10**5000} else "huge",
)  # fmt: skip
def test_who_may_be_pinned_to_the_baseline_and_does_not_say_is_not_routed(attributes: Any) -> None:
    with pytest.raises(Unroutable, match="account is not given") as doubt:
        Router(state(100_000, pins=PINS)).route("other", attributes)
    assert doubt.value.reason is Reason.NO_ATTRIBUTE


@pytest.mark.parametrize("key", ["", None, 17, "\ud800", "k" * 70_000])
@pytest.mark.parametrize("share", [0, 100_000])
def test_what_is_no_key_is_not_routed(key: Any, share: int) -> None:
    with pytest.raises(Unroutable) as doubt:
        Router(state(share)).route(key)
    assert doubt.value.reason is Reason.BAD_KEY


@pytest.mark.parametrize("share", [0, 1, 5_000, 50_000, 100_000])
@pytest.mark.parametrize("pins", [Pins(), PINS], ids=["no pins", "pins"])
def test_many_keys_go_where_each_of_them_goes(share: int, pins: Pins) -> None:
    router = Router(state(share, pins=pins))
    keys = [*KEYS, "", "k" * 300]
    accounts = ["A1", "A2", "A9", None] * (len(keys) // 4 + 1)
    candidate, doubts = router.route_many(keys, {"account": accounts[: len(keys)]})
    wanted, doubted = [], 0
    for key, account in zip(keys, accounts, strict=False):
        try:
            wanted.append(router.route(key, {"account": account}).side is Side.CANDIDATE)
        except Unroutable:
            wanted.append(False)
            doubted += 1
    assert candidate.tolist() == wanted
    assert sum(doubts.values()) == doubted


def test_the_buckets_of_a_layer_are_prepared_once() -> None:
    first = Router(state(5_000))
    assert Router(state(25_000), first.buckets).buckets is first.buckets
    assert Router(state(25_000, layer="other"), first.buckets).buckets.layer == "other"
