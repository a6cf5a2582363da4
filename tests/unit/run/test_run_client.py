"""From the policy to the key and back: a real controller, its files, and a client of them."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from support.plans import POLICY, T0
from support.running import Shop

from controller.client import Client, Reason, Side
from controller.client.feed import FileFeed
from controller.core.event import Command
from controller.replay.stepped import SteppedScheduler
from controller.run.service import Service
from controller.run.settings import Settings
from controller.run.unit import UnknownRollout

MINUTE = timedelta(minutes=1)
ROUTING = """
publish:
  out: {type: file, path: live/share.json}
routing:
  max_age: 10m
  pin: {baseline: {account: [PENSION]}, candidate: {account: [PAPER]}}
"""
WATCHED = (
    re.sub(r"hold: \w+", "hold: 6m", POLICY)
    .replace("min_samples: 100", "min_samples: 1")
    .replace("{type: push}", "{type: push, directory: inbox}")
    + ROUTING
)
BOOKS = [f"book-{number:03d}" for number in range(200)]


class Floor:
    """A service that is stepped by a frozen clock, and a desk that trades beside it."""

    def __init__(self, place: Path, frozen: Any) -> None:
        self.frozen, self.scheduler = frozen, SteppedScheduler()
        self.policies = place / "policies"
        self.policies.mkdir()
        self.policies.joinpath("signal.yaml").write_text(WATCHED)
        settings = Settings(
            state_dir=place / "state", policies=self.policies, resolution=timedelta(seconds=30)
        )
        self.service = Service(settings, environment={}, scheduler=self.scheduler, seed=1)
        self.service.start()
        self.go(MINUTE)
        self.share_file = self.policies / "live" / "share.json"
        self.desk = Client.from_file(
            self.share_file, baseline="v1", watch=None, observations=self.policies / "inbox"
        )

    def go(self, span: timedelta) -> None:
        self.scheduler.advance_to(self.frozen, datetime.now(UTC) + span)

    def command(self, name: Any) -> None:
        assert not self.service.command("signal", Command(name, "kim", reason="tried")).refused

    def state(self) -> str:
        row = self.service.store.rollout("signal")
        assert row is not None
        return row.state.name

    def trade(self, pnl: float = 1.0) -> dict[str, Side]:
        """One round of every book; both versions say what they saw."""
        self.desk.refresh()
        routed = {book: self.desk.assign(book, {"account": "OWN"}) for book in BOOKS}
        for version in ("v1", "v3"):
            self.desk.record(version, at=datetime.now(UTC), correct=True, failed=False, pnl=pnl)
        return {book: answer.side for book, answer in routed.items()}

    def to(self, name: str) -> None:
        for _ in range(60):
            if self.state() == name:
                return
            if self.state().endswith(".approval"):
                self.command("approve")
            self.trade()
            self.go(MINUTE)
        raise AssertionError(f"never came to {name}, stands in {self.state()}")


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with freeze_time(T0) as frozen:
        floor = Floor(tmp_path, frozen)
        yield floor
        floor.desk.close()
        floor.service.stop()


def candidates(routed: dict[str, Side]) -> set[str]:
    return {book for book, side in routed.items() if side is Side.CANDIDATE}


def test_books_follow_the_share_and_what_the_desk_records_takes_them_all_back(
    floor: Floor,
) -> None:
    assert candidates(floor.trade()) == set()
    floor.command("start")
    floor.to("shadow")
    floor.desk.refresh()
    assert floor.desk.assign("book-001", {"account": "OWN"}).mirror == "v3"
    floor.to("canary")
    at_5 = candidates(floor.trade())
    assert 0 < len(at_5) < 30
    floor.to("ramp-25")
    at_25 = candidates(floor.trade())
    assert at_5 < at_25
    assert floor.desk.assign("book-001", {"account": "PENSION"}).version == "v1"
    assert floor.desk.assign("book-001", {"account": "PAPER"}).version == "v3"
    floor.trade(pnl=-50_000.0)
    floor.go(timedelta(seconds=30))
    assert floor.state() == "rolling_back.verify"
    assert candidates(floor.trade()) == set()
    assert floor.desk.assign("book-001", {"account": "PAPER"}).version == "v1"
    assert floor.desk.counts == {"missing": 1, "no_state": len(BOOKS)}


def test_every_tick_of_a_live_rollout_is_a_sign_of_life(floor: Floor) -> None:
    floor.command("start")
    floor.to("canary")
    os.utime(floor.share_file, (1000, 1000))
    floor.go(MINUTE)
    assert floor.share_file.stat().st_mtime > 1000


def test_a_share_that_a_rollback_could_not_take_back_is_left_to_grow_old(floor: Floor) -> None:
    floor.command("start")
    floor.to("canary")
    stuck = floor.share_file.read_bytes()
    floor.command("rollback")
    floor.share_file.write_bytes(stuck)
    os.utime(floor.share_file, (1000, 1000))
    floor.go(MINUTE)
    assert floor.state() == "rolling_back.verify"
    assert floor.share_file.stat().st_mtime == 1000


def test_when_the_controller_is_gone_the_baseline_acts_after_max_age(floor: Floor) -> None:
    floor.command("start")
    floor.to("canary")
    now = [0.0]
    client = Client(
        FileFeed(floor.service.share_file("signal")), baseline="v1", watch=None,
        clock=lambda: now[0], wall=lambda: floor.share_file.stat().st_mtime + now[0],
    )  # fmt: skip
    book = next(book for book in BOOKS if client.assign(book, {"account": "OWN"}).version == "v3")
    now[0] = 599.0
    client.refresh()
    assert client.assign(book, {"account": "OWN"}).version == "v3"
    now[0] = 600.0
    assert client.assign(book, {"account": "OWN"}).reason is Reason.TOO_OLD
    os.utime(floor.share_file, (1000, 1000))
    floor.go(MINUTE)
    client.refresh()
    assert client.assign(book, {"account": "OWN"}).version == "v3"


def test_a_completed_rollout_is_settled_and_does_not_fall_back(floor: Floor) -> None:
    floor.command("start")
    floor.to("completed")
    floor.desk.refresh()
    published = floor.desk.published
    assert published is not None
    assert (published.settled, published.share) == (True, 100_000)
    assert floor.desk.health().max_age_s is None
    row = floor.service.store.rollout("signal")
    assert row is not None
    assert row.state.unacknowledged == ()


def test_a_client_in_the_process_of_the_controller_reads_what_was_published(floor: Floor) -> None:
    with pytest.raises(UnknownRollout):
        Client.in_process(floor.service, "other", baseline="v1")
    floor.command("start")
    floor.to("canary")
    client = Client.in_process(floor.service, "signal", baseline="v1", watch=None)
    assert client.published is not None
    assert client.published.share == 5_000


def test_only_rollouts_whose_share_can_grow_old_are_renewed(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rollout.db")
    shop.register()
    shop.command("start")
    shop.tick()
    assert shop.wires.renewed == []
    shop.close()
