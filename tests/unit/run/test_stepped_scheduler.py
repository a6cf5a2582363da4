"""The canary of what APScheduler keeps to itself and `SteppedScheduler` uses."""

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.interval import IntervalTrigger
from freezegun import freeze_time

from controller.replay.stepped import SteppedScheduler

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def test_every_job_runs_at_its_own_moment_on_the_way() -> None:
    seen: list[tuple[str, datetime]] = []
    with freeze_time(START) as frozen:
        scheduler = SteppedScheduler()
        for name, seconds in (("a", 20), ("b", 30)):
            scheduler.add_job(
                lambda name=name: seen.append((name, datetime.now(UTC))),
                IntervalTrigger(seconds=seconds, timezone=UTC),
                id=name,
            )
        scheduler.start()
        scheduler.advance_to(frozen, START + timedelta(seconds=65))
        assert datetime.now(UTC) == START + timedelta(seconds=65)
        scheduler.shutdown()
    assert [(name, (at - START).total_seconds()) for name, at in seen] == [
        ("a", 20), ("b", 30), ("a", 40), ("a", 60), ("b", 60),
    ]  # fmt: skip


def test_a_job_that_is_overdue_runs_at_the_time_the_clock_shows() -> None:
    seen: list[datetime] = []
    with freeze_time(START) as frozen:
        scheduler = SteppedScheduler()
        scheduler.add_job(
            lambda: seen.append(datetime.now(UTC)),
            IntervalTrigger(seconds=10, timezone=UTC),
            misfire_grace_time=None,
            coalesce=True,
        )
        scheduler.start()
        frozen.move_to(START + timedelta(seconds=35))
        scheduler.advance_to(frozen, START + timedelta(seconds=40))
        scheduler.shutdown()
    assert [(at - START).total_seconds() for at in seen] == [35, 40]


def test_without_a_job_the_clock_moves_all_the_same() -> None:
    with freeze_time(START) as frozen:
        scheduler = SteppedScheduler()
        scheduler.start()
        assert scheduler.next_wakeup() is None
        scheduler.advance_to(frozen, START + timedelta(days=1))
        assert datetime.now(UTC) == START + timedelta(days=1)
        scheduler.shutdown()
