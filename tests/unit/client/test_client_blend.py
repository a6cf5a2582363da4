"""A client blends by what is published, and by nothing where it cannot know."""

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from support.publishing import Line, client_of, state

from controller.blend.settings import Mode, Settings
from controller.client import Client, ClientError, Reason, Signal, Signals
from controller.traffic.published import Pins, Published, decode, encode

WEIGHTED = Settings()
NOW = 1_772_461_800.0


def blending(share: int = 25_000, settings: Settings = WEIGHTED, **changes: Any) -> Published:
    return state(share, blend=settings, **changes)


def test_it_blends_by_the_published_policy_and_share() -> None:
    client = client_of(blending())
    answer = client.blend(0.8, 0.4, instrument="NQ")
    assert answer.target == pytest.approx(0.7)
    assert (str(answer), answer.basis.token, client.counts) == ("v3", 7, {})


def test_a_new_share_counts_at_the_next_call_and_a_rollback_leaves_nothing_of_the_candidate() -> (
    None
):
    line = Line()
    settings = Settings(band=0.5, min_hold_s=3600.0)
    line.put(blending(75_000, settings))
    client = Client(line, baseline="v1", watch=None)
    assert client.blend(0.2, 1.0).target == pytest.approx(0.8)
    line.put(blending(0, settings, token=8, epoch=2))
    client.refresh()
    answer = client.blend(0.25, 1.0)
    assert (answer.target, answer.candidate.weight) == (0.25, 0.0)


@pytest.mark.parametrize(
    ("published", "reason"), [(None, Reason.NO_STATE), (state(25_000), Reason.NO_BLEND)]
)
def test_without_a_state_or_a_policy_for_it_the_baseline_is_held(
    published: Published | None, reason: Reason
) -> None:
    line = Line()
    if published is not None:
        line.put(published)
    client = Client(line, baseline="v1", watch=None)
    answer = client.blend(0.8, 0.4)
    assert (answer.target, answer.basis.doubt, str(answer)) == (0.8, reason.value, "v1")
    assert client.counts[reason.value] == 1
    strict = Client(line, baseline="v1", watch=None, strict=True)
    with pytest.raises(ClientError):
        strict.blend(0.8, 0.4)


def test_a_state_that_is_too_old_blends_nothing() -> None:
    line, clock = Line(), [0.0]
    line.put(blending(75_000))
    client = Client(
        line, baseline="v1", watch=None, max_age=timedelta(seconds=60),
        clock=lambda: clock[0], wall=lambda: line.written_at,
    )  # fmt: skip
    assert client.blend(0.2, 1.0).target == pytest.approx(0.8)
    clock[0] = 60.0
    answer = client.blend(0.2, 1.0)
    assert (answer.target, answer.basis.doubt) == (0.2, "too_old")
    assert client.blend_many(Signals(np.array([0.2])), Signals(np.array([1.0]))).target == [0.2]


def test_each_instrument_has_a_past_of_its_own() -> None:
    client = client_of(blending(50_000, Settings(band=0.3)))
    client.blend(Signal(0.5, instrument="NQ"), Signal(0.5, instrument="NQ"))
    assert client.blend(0.6, 0.6, instrument="NQ").target == 0.5
    assert client.blend(0.6, 0.6, instrument="ES").target == 0.6


def test_signals_of_two_instruments_are_never_blended() -> None:
    """One strike and another make no third."""
    client = client_of(blending(75_000))
    answer = client.blend(
        Signal(0.5, instrument="NQ 21350 C"), Signal(0.9, instrument="NQ 21400 C")
    )
    assert (answer.target, answer.candidate.status) == (0.5, "other_instrument")
    assert client.counts == {"no_candidate_signal": 1}


def test_a_switch_follows_the_version_that_acts_on_the_key() -> None:
    client = client_of(blending(50_000, Settings(mode=Mode.SWITCH)))
    names = [f"NQ-{number}" for number in range(200)]
    targets = [client.blend(0.2, 0.9, instrument=name).target for name in names]
    acts = [client.assign(name).version == "v3" for name in names]
    assert targets == [0.9 if it else 0.2 for it in acts]
    assert 60 < sum(acts) < 140
    many = client.blend_many(
        Signals(np.full(200, 0.2)), Signals(np.full(200, 0.9)), instruments=names
    )
    assert many.target.tolist() == targets
    assert client.blend(0.2, 0.9).basis.doubt == "bad_key"


def test_pins_hold_for_blends_too() -> None:
    pins = Pins({"account": ("PENSION",)}, {"key": ("PAPER",)})
    client = client_of(blending(50_000, pins=pins))

    def target(instrument: str, **attributes: str) -> float:
        return client.blend(0.2, 1.0, instrument=instrument, attributes=attributes).target

    assert target("NQ", account="PENSION") == 0.2
    assert target("PAPER", account="A1") == 1.0
    assert target("ES", account="A1") == pytest.approx(0.6)
    assert target("ES") == 0.2
    assert target("", account="A1") == 0.2
    assert client.counts == {"no_attribute": 1, "bad_key": 1}
    many = client.blend_many(
        Signals(np.full(3, 0.2)), Signals(np.full(3, 1.0)), instruments=["a", "PAPER", "b"],
        attributes={"account": ["PENSION", "A1", "A1"]},
    )  # fmt: skip
    assert many.target.tolist() == pytest.approx([0.2, 1.0, 0.6])


def test_what_is_really_held_may_be_told() -> None:
    client = client_of(blending(50_000, Settings(band=0.2)))
    first = client.blend(0.5, 0.5, held=0.45)
    assert (first.target, first.trade) == (0.45, False)
    second = client.blend(0.5, 0.5, held=0.1)
    assert second.target == 0.5
    assert second.turnover == pytest.approx(0.4)


@pytest.mark.parametrize(
    "junk", ["x", float("nan"), [], object()], ids=lambda value: type(value).__name__
)
def test_what_no_call_should_be_given_raises_nothing_and_is_counted(junk: Any) -> None:
    client = client_of(blending())
    answer = client.blend(0.8, junk, instrument=junk, at=junk, move=junk, held=junk)
    assert answer.target == 0.8
    assert client.counts == {"no_candidate_signal": 1, "at": 1, "move": 1, "held": 1}


def test_so_many_instruments_are_remembered_and_the_first_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.client.blending.MOST", 2)
    client = client_of(blending(50_000, Settings(band=0.3)))
    for name in ("NQ", "ES", "RTY"):
        client.blend(0.5, 0.5, instrument=name)
    assert client.blend(0.6, 0.6, instrument="ES").target == 0.5
    assert client.blend(0.6, 0.6, instrument="NQ").target == 0.6


def test_a_process_that_takes_over_goes_on_from_what_was_left() -> None:
    settings = Settings(mode=Mode.PERFORMANCE, min_hold_s=3600.0)
    first = client_of(blending(75_000, settings), wall=lambda: NOW)
    first.blend(0.5, 0.1, instrument="NQ", move=0.01)
    second = client_of(blending(75_000, settings), wall=lambda: NOW + 60.0)
    assert second.blends.restore(first.blends.export()) == 1
    answer = second.blend(-0.5, -0.5, instrument="NQ")
    assert (answer.friction, answer.trade) == ("min_hold", False)
    with pytest.raises(ValueError, match="not an export"):
        second.blends.restore(b"[]")


def test_what_it_says_can_be_recorded_and_no_unknown_is_made_up() -> None:
    client = client_of(blending())
    fields = client.blend(0.8, -0.4, instrument="NQ").fields()
    assert fields == {
        "target": pytest.approx(0.5), "turnover": pytest.approx(0.5), "weight": 0.25,
        "fallback": False, "conflict": True, "agreed": False, "gap": pytest.approx(1.2),
    }  # fmt: skip
    missing = client.blend(0.8, None, instrument="NQ").fields()
    assert missing["fallback"] is True
    assert missing.keys().isdisjoint({"conflict", "agreed", "gap", "brier"})


def test_a_blend_is_published_and_read_back_whole_and_a_damaged_one_is_none() -> None:
    published = blending(settings=Settings(mode=Mode.PERFORMANCE, band=0.05))
    assert decode(encode(published)) == published
    assert decode(encode(state())).blend is None
    for old, new in ((b"performance", b"profit"), (b"0.05", b"-0.05")):
        with pytest.raises(ValueError, match="not a published share"):
            decode(encode(published).replace(old, new))


def test_answers_are_plain_data() -> None:
    answer = client_of(blending(), wall=lambda: NOW).blend(0.8, 0.4, instrument="NQ")
    assert msgspec.json.decode(msgspec.json.encode(answer))["why"] == "blended"
