"""The service as a whole, in frozen time: real scheduler, store, files and sources."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from freezegun import freeze_time
from support.plans import POLICY, T0

from controller.core.event import Command, Tick
from controller.core.state import State
from controller.replay.stepped import SteppedScheduler
from controller.run.scheduler import Reading
from controller.run.service import Service, utc_now
from controller.run.settings import Settings

MINUTE = timedelta(minutes=1)
PUBLISHING = POLICY.replace("min_samples: 100", "min_samples: 1").replace(
    "stages:", "publish:\n  out: {type: file, path: out.json}\nstages:", 1
)


class Desk:
    """A service that is stepped from one round to the next by a frozen clock."""

    def __init__(self, place: Path, frozen: Any) -> None:
        self.place, self.frozen = place, frozen
        self.policies = place / "policies"
        self.policies.mkdir(exist_ok=True)
        self.scheduler = SteppedScheduler()
        settings = Settings(
            database=f"sqlite:///{place / 'rollout.db'}?timeout=0.01",
            policies=self.policies,
            resolution=timedelta(seconds=10),
            owner="desk",
        )
        self.service = Service(settings, environment={}, scheduler=self.scheduler, seed=1)
        self.offset = timedelta(0)
        self.service.ticks._read = self.clocks

    def clocks(self) -> Reading:
        """The monotonic clock does not follow a wall clock that is set."""
        return Reading(utc_now(), (utc_now() - self.offset - T0).total_seconds())

    def go(self, span: timedelta) -> None:
        self.scheduler.advance_to(self.frozen, datetime.now(UTC) + span)

    def command(self, name: Any) -> None:
        assert not self.service.command("signal", Command(name, "kim")).refused

    def state(self) -> State:
        row = self.service.store.rollout("signal")
        assert row is not None
        return row.state

    def share(self) -> int:
        return int(msgspec.json.decode(self.policies.joinpath("out.json").read_bytes())["share"])

    def alerts(self) -> list[str]:
        log = self.place / "alerts.jsonl"
        return [msgspec.json.decode(line)["title"] for line in log.read_bytes().splitlines()]

    def push(self, **fields: object) -> None:
        for version in ("v1", "v3"):
            self.service.push(
                "signal",
                "signals",
                [{"version": version, "correct": True, "failed": False} | fields],
            )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with freeze_time(T0) as frozen:
        desk = Desk(tmp_path, frozen)
        desk.policies.joinpath("signal.yaml").write_text(PUBLISHING)
        desk.service.start()
        yield desk
        if desk.scheduler.running:
            desk.service.stop()


def started(desk: Desk) -> None:
    desk.go(MINUTE)
    desk.command("start")


def to_canary(desk: Desk) -> None:
    started(desk)
    for _ in range(12):
        desk.push(pnl=1.0)
        desk.go(MINUTE)
    assert desk.state().name == "canary"


def test_a_policy_file_becomes_a_rollout_that_moves_and_publishes(desk: Desk) -> None:
    to_canary(desk)
    assert desk.share() == 5000
    assert desk.state().unacknowledged == ()
    assert "signal is in canary at 5%" in desk.alerts()


def test_an_observation_that_breaks_a_hard_limit_takes_the_share_back_at_once(desk: Desk) -> None:
    to_canary(desk)
    before = desk.state().seq
    desk.push(pnl=-50_000.0)
    assert desk.state().name == "rolling_back.verify"
    assert desk.share() == 0
    assert desk.state().seq > before


def test_a_clock_set_back_an_hour_stops_nothing(desk: Desk) -> None:
    to_canary(desk)
    dwelt = desk.state().dwell_ms
    desk.frozen.move_to(datetime.now(UTC) - timedelta(hours=1))
    desk.offset = -timedelta(hours=1)
    assert desk.service.ticks.check_clock() == -timedelta(hours=1)
    desk.scheduler.step()
    seen = desk.state().seq
    for _ in range(4):
        desk.push(pnl=1.0)
        desk.go(timedelta(seconds=30))
    assert desk.state().seq >= seen + 4
    assert dwelt < desk.state().dwell_ms <= dwelt + 150_000
    assert "the clock went back by 1h" in desk.alerts()


def test_a_locked_store_is_told_once_and_the_rounds_go_on(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    started(desk)
    before = desk.state()
    with closing(sqlite3.connect(desk.place / "rollout.db", isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        desk.go(MINUTE)
    locked = [r for r in caplog.records if "locked by another program" in r.getMessage()]
    assert len(locked) == 1
    assert desk.service.controller.totals.errors > 1
    desk.go(MINUTE)
    assert desk.state().seq > before.seq
    assert any("the store can be used again" in r.getMessage() for r in caplog.records)


def test_stopping_says_so_and_lets_go(desk: Desk) -> None:
    started(desk)
    desk.service.stop()
    with closing(sqlite3.connect(desk.place / "rollout.db")) as store:
        ((owner, note),) = store.execute("select owner, note from controllers").fetchall()
    assert owner == "desk"
    assert msgspec.json.decode(note)["state"] == "stopped"


def test_what_was_dropped_while_nobody_looked_is_part_of_the_first_look(desk: Desk) -> None:
    text = PUBLISHING.replace("type: push", "type: push, directory: inbox")
    desk.policies.joinpath("signal.yaml").write_text(text)
    desk.policies.joinpath("inbox").mkdir()
    started(desk)
    line = b'{"version": "v3", "correct": true, "failed": false, "pnl": 1}\n'
    desk.policies.joinpath("inbox", "today.jsonl").write_bytes(line * 7)
    desk.go(timedelta(seconds=40))
    first = next(e for e in desk.service.store.journal("signal") if isinstance(e.event, Tick))
    assert isinstance(first.event, Tick)
    assert first.event.measurements["candidate.accuracy"].samples == 7


def test_policies_are_read_before_rounds_begin_to_count(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "signal.yaml").write_text(PUBLISHING)
    settings = Settings(
        state_dir=tmp_path, policies=tmp_path / "policies", resolution=timedelta(minutes=1)
    )
    seen: list[tuple[bool, int]] = []
    service = Service(
        settings,
        on_round=lambda _: seen.append(
            (service.ticks.scheduler.running, len(service.store.rollouts()))
        ),
    )
    service.start()
    try:
        assert seen[0] == (False, 1)
    finally:
        service.stop()
    assert service.controller.totals.overlapped == 0


def test_a_second_controller_on_one_store_names_the_first(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.go(MINUTE)
    settings = desk.service.settings.model_copy(update={"owner": "other"})
    other = Service(settings, environment={}, scheduler=SteppedScheduler())
    with caplog.at_level("INFO"):
        other.round()
    other.stop()
    assert "desk on this store as well: each look is taken by one of us" in caplog.messages


def test_the_clock_of_the_rollouts_need_not_be_the_wall_clock(tmp_path: Path) -> None:
    desk_time = [datetime(2031, 7, 1, tzinfo=UTC)]
    with freeze_time(T0):
        place = tmp_path / "state"
        tmp_path.joinpath("policies").mkdir()
        tmp_path.joinpath("policies", "signal.yaml").write_text(PUBLISHING)
        settings = Settings(state_dir=place, policies=tmp_path / "policies")
        service = Service(
            settings, clock=lambda: desk_time[0], environment={}, scheduler=SteppedScheduler()
        )
        service.start()
        assert service.round() is not None
        service.command("signal", Command("start", "kim"))
        desk_time[0] += timedelta(seconds=30)
        report = service.round()
        assert report is not None and report.decided == 1
        service.stop()
