"""The client: what it keeps, when it falls back, what it refuses, and that it says so."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.publishing import Line, client_of, state

from controller.client import Client, ClientError, Reason, Side
from controller.client.feed import FeedError
from controller.traffic.published import Pins, Published, encode

TEN_MINUTES = timedelta(minutes=10)


class Clocks:
    """A monotonic clock and a wall clock that the test moves."""

    def __init__(self) -> None:
        self.monotonic, self.wall = 50.0, 1000.0

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def line() -> Line:
    return Line()


def client(line: Line, clocks: Clocks, **settings: Any) -> Client:
    return Client(
        line, baseline="v1", watch=None, clock=lambda: clocks.monotonic, wall=lambda: clocks.wall,
        **settings,
    )  # fmt: skip


def test_before_anything_is_published_the_baseline_acts_and_that_is_counted(
    line: Line, clocks: Clocks
) -> None:
    line.waiting = FeedError("missing", "there is no file share.json")
    found = client(line, clocks)
    assert found.assign("a").version == "v1"
    assert found.assign("a").reason is Reason.NO_STATE
    assert found.counts == {"missing": 1, "no_state": 2}
    health = found.health()
    assert (health.ok, health.trouble) == (False, "there is no file share.json")
    assert (found.age, found.published, health.rollout) == (None, None, None)


def test_a_new_state_counts_from_the_next_look_on(line: Line, clocks: Clocks) -> None:
    line.put(state(0))
    found = client(line, clocks)
    assert found.assign("a").version == "v1"
    line.put(state(100_000, token=8), after=5)
    assert found.assign("a").version == "v1"
    assert found.refresh()
    assert (found.assign("a").version, found.assign("a").token) == ("v3", 8)
    assert not found.refresh()


@pytest.mark.parametrize(
    ("seen", "kind", "said"),
    [
        (b"{half", "corrupt", "not a published share"),
        (b"", "corrupt", "not a published share"),
        (FeedError("missing", "there is no file"), "missing", "there is no file"),
        (FeedError("unreadable", "denied"), "unreadable", "denied"),
        (encode(state(5_000, token=3)), "refused", "older than one already seen"),
        (encode(state(5_000, rollout="other", token=9)), "refused", "another rollout"),
        (encode(state(5_000, baseline="v2", token=9)), "refused", "another version"),
        (encode(state(5_000, store="else", token=9)), "refused", "another store"),
    ],
    ids=lambda value: str(value)[:16],
)
def test_whatever_is_seen_instead_the_last_good_state_is_kept_and_the_trouble_told(
    line: Line, clocks: Clocks, seen: bytes | FeedError, kind: str, said: str
) -> None:
    line.put(state(100_000))
    found = client(line, clocks)
    for _ in range(3):
        line.waiting = seen
        assert not found.refresh()
    assert found.assign("a").version == "v3"
    assert found.counts == {kind: 1}
    assert not found.health().ok
    assert said in found.health().trouble
    line.put(state(100_000))
    found.refresh()
    assert found.health().ok


def test_a_late_message_never_brings_the_candidate_back(line: Line, clocks: Clocks) -> None:
    line.put(state(100_000, token=8))
    found = client(line, clocks)
    line.put(state(0, epoch=2, token=9))
    found.refresh()
    line.put(state(100_000, token=8))
    found.refresh()
    assert found.assign("a").version == "v1"


# Age --------------------------------------------------------------------------------------


def test_without_max_age_the_last_state_is_good_for_ever(line: Line, clocks: Clocks) -> None:
    line.put(state(100_000))
    found = client(line, clocks)
    clocks.pass_(1e9)
    assert found.assign("a").version == "v3"
    assert found.age == timedelta(seconds=1e9)


def test_a_state_that_is_too_old_gives_all_work_to_the_baseline_until_a_sign_of_life(
    line: Line, clocks: Clocks
) -> None:
    line.put(state(100_000, max_age_s=600.0))
    found = client(line, clocks)
    clocks.pass_(599)
    assert found.assign("a").version == "v3"
    clocks.pass_(1)
    late = found.assign("a")
    assert (late.version, late.reason, late.token) == ("v1", Reason.TOO_OLD, 7)
    assert found.assign_many(["a", "b"]).versions() == ["v1", "v1"]
    assert found.counts == {"too_old": 3}
    health = found.health()
    assert (health.ok, health.share, health.age_s, health.max_age_s) == (False, "0%", 600, 600)
    assert health.trouble == "no sign of life from the controller for 600 s"
    line.put(state(100_000, max_age_s=600.0), after=600)
    assert not found.refresh()
    assert found.assign("a").version == "v3"
    assert found.health().ok


@pytest.mark.parametrize(
    "published",
    [state(100_000, max_age_s=600.0, settled=True), state(0, max_age_s=600.0)],
    ids=["completed", "all baseline"],
)
def test_a_state_that_nothing_guards_any_more_does_not_grow_old(
    line: Line, clocks: Clocks, published: Published
) -> None:
    line.put(published)
    found = client(line, clocks)
    before = found.assign("a")
    clocks.pass_(1e6)
    assert found.assign("a") == before
    assert found.health().ok


@pytest.mark.parametrize(
    ("told", "own", "allowed"), [(600.0, 60.0, 60), (60.0, 600.0, 60), (0.0, 60.0, 60)]
)
def test_the_shorter_of_the_policys_and_the_clients_max_age_holds(
    line: Line, clocks: Clocks, told: float, own: float, allowed: int
) -> None:
    line.put(state(100_000, max_age_s=told))
    found = client(line, clocks, max_age=timedelta(seconds=own))
    clocks.pass_(allowed - 1)
    assert found.assign("a").version == "v3"
    clocks.pass_(1)
    assert found.assign("a").version == "v1"


def test_a_state_that_was_old_when_the_process_began_is_as_old_as_its_file(
    line: Line, clocks: Clocks
) -> None:
    clocks.wall += 700
    line.put(state(100_000, max_age_s=600.0))
    found = client(line, clocks)
    assert found.age == timedelta(seconds=700)
    assert found.assign("a").reason is Reason.TOO_OLD


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_is_set_makes_nothing_older_or_younger(
    line: Line, clocks: Clocks, step: float
) -> None:
    line.put(state(100_000, max_age_s=600.0))
    found = client(line, clocks)
    clocks.wall += step
    clocks.pass_(500)
    assert found.age == timedelta(seconds=500)
    line.put(state(100_000, max_age_s=600.0), after=step)
    found.refresh()
    assert found.age == timedelta(0)
    clocks.pass_(600)
    assert found.assign("a").version == "v1"


def test_a_state_from_the_future_is_counted_and_ages_from_now_on(
    line: Line, clocks: Clocks
) -> None:
    clocks.wall -= 3_600
    line.put(state(100_000, max_age_s=600.0))
    found = client(line, clocks)
    assert found.counts == {"clock": 1}
    assert found.age == timedelta(0)
    clocks.pass_(600)
    assert found.assign("a").version == "v1"


def test_seeing_the_same_file_again_is_no_sign_of_life(line: Line, clocks: Clocks) -> None:
    line.put(state(100_000, max_age_s=600.0))
    found = client(line, clocks)
    clocks.pass_(400)
    line.put(state(100_000, max_age_s=600.0))
    found.refresh()
    assert found.age == timedelta(seconds=400)


def test_what_is_refused_is_no_sign_of_life(line: Line, clocks: Clocks) -> None:
    line.put(state(100_000, max_age_s=600.0))
    found = client(line, clocks)
    clocks.pass_(600)
    line.put(state(100_000, token=3), after=600)
    found.refresh()
    assert found.assign("a").version == "v1"


# Keys, pins, batches ----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", None, 17, b"a", "\ud800", "k" * 1_000_000, ["a"]])
def test_what_is_no_key_is_the_baselines_and_raises_nothing(key: Any) -> None:
    found = client_of(state(100_000))
    answer = found.assign(key)
    assert (answer.version, answer.side, answer.reason) == ("v1", Side.BASELINE, Reason.BAD_KEY)
    assert found.assign_many([key, "good"]).versions() == ["v1", "v3"]
    assert found.counts == {"bad_key": 2}


def test_pins_that_cannot_be_looked_up_are_the_baselines_and_counted() -> None:
    found = client_of(state(100_000, pins=Pins(baseline={"account": ("A1",)})))
    assert found.assign("a", {"account": "A9"}).version == "v3"
    assert found.assign("a").reason is Reason.NO_ATTRIBUTE
    batch = found.assign_many(["a", "b", "c"], {"account": ["A1", "A9", None]})
    assert batch.to_candidate.tolist() == [False, True, False]
    assert found.counts == {"no_attribute": 2}


def test_a_batch_names_versions_and_the_mirror() -> None:
    batch = client_of(state(0, mirror=True)).assign_many(["a", "b"])
    assert (batch.versions(), batch.mirror, len(batch)) == (["v1", "v1"], "v3", 2)


def test_columns_that_do_not_fit_the_keys_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="account has 1 values for 2 keys"):
        client_of(state()).assign_many(["a", "b"], {"account": ["A1"]})


def test_a_strict_client_raises_what_others_count(line: Line, clocks: Clocks) -> None:
    found = client(line, clocks, strict=True)
    with pytest.raises(ClientError) as no_state:
        found.assign("a")
    line.put(state(100_000, max_age_s=600.0))
    found.refresh()
    with pytest.raises(ClientError, match="the key is empty") as bad_key:
        found.assign("")
    with pytest.raises(ClientError, match="1 of 2 keys"):
        found.assign_many(["a", ""])
    clocks.pass_(600)
    with pytest.raises(ClientError, match="no sign of life") as too_old:
        found.assign("a")
    assert [error.value.reason for error in (no_state, bad_key, too_old)] == [
        Reason.NO_STATE, Reason.BAD_KEY, Reason.TOO_OLD,
    ]  # fmt: skip
    assert found.counts == {"no_state": 1, "bad_key": 2, "too_old": 1}


# Those who want to know -------------------------------------------------------------------


def test_listeners_hear_of_every_new_state_and_one_that_fails_keeps_nobody(
    line: Line, clocks: Clocks
) -> None:
    line.put(state(0))
    found = client(line, clocks)
    heard: list[int] = []

    def broken(published: Published) -> None:
        raise RuntimeError("broken")

    found.subscribe(broken)
    found.subscribe(lambda published: heard.append(published.share))
    line.put(state(5_000, token=8))
    found.refresh()
    line.put(state(5_000, token=8), after=1)
    found.refresh()
    assert heard == [5_000]
    assert found.counts == {"listener": 1}
    assert found.health().share == "5%"


def test_changes_can_be_awaited_and_only_the_newest_is_kept(line: Line, clocks: Clocks) -> None:
    async def listen() -> list[int]:
        line.put(state(0))
        async with client(line, clocks) as found:
            changes = found.changes()
            heard: list[int] = [(await anext(changes)).share]
            for token, share in ((8, 5_000), (9, 25_000)):
                line.put(state(share, token=token))
                await asyncio.to_thread(found.refresh)
            heard.append((await anext(changes)).share)
            await changes.aclose()  # type: ignore[attr-defined]
            assert found._known._listeners == []
        return heard

    assert asyncio.run(listen()) == [0, 25_000]


def test_an_assignment_is_a_value_that_nobody_can_change() -> None:
    answer = client_of(state(100_000)).assign("a")
    with pytest.raises(AttributeError):
        answer.version = "v9"  # type: ignore[misc]
    assert replace(answer) == answer
