"""The scheduler's one job, its trigger, and the watch over its clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from controller.replay.stepped import SteppedScheduler
from controller.run.scheduler import Every, Reading, TickScheduler, clock_step

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Told:
    """Writes down what the scheduler tells."""

    rounds: list[datetime] = field(default_factory=list)
    overlaps: int = 0
    errors: list[BaseException] = field(default_factory=list)
    steps: list[timedelta] = field(default_factory=list)

    def round(self) -> None:
        self.rounds.append(datetime.now(UTC))

    def overlap(self) -> None:
        self.overlaps += 1


class Clocks:
    """A monotonic clock that the test moves, beside the frozen wall clock."""

    def __init__(self) -> None:
        self.monotonic = 1000.0

    def read(self) -> Reading:
        return Reading(datetime.now(UTC), self.monotonic)


def stepped(told: Told, clocks: Clocks, resolution: timedelta = 10 * SECOND) -> TickScheduler:
    return TickScheduler(
        told.round,
        resolution,
        on_overlap=told.overlap,
        on_error=told.errors.append,
        on_clock_step=told.steps.append,
        scheduler=SteppedScheduler(),
        read=clocks.read,
    )


@given(
    st.timedeltas(min_value=timedelta(milliseconds=10), max_value=timedelta(days=2)),
    st.timedeltas(min_value=timedelta(days=-9000), max_value=timedelta(days=50_000)),
    st.timedeltas(min_value=-timedelta(days=400), max_value=timedelta(days=40_000)),
)
def test_the_next_moment_is_the_first_multiple_after_the_last_and_now(
    interval: timedelta, at: timedelta, later: timedelta
) -> None:
    previous = START + at
    now = previous + later
    found = Every(interval).get_next_fire_time(previous, now)
    assert max(previous, now) < found <= max(previous, now) + interval
    assert (found - datetime(1970, 1, 1, tzinfo=UTC)) % interval == timedelta(0)


@pytest.mark.parametrize(
    ("wall", "monotonic", "step"),
    [
        (10.0, 10.0, None),
        (11.9, 10.0, None),
        (8.1, 10.0, None),
        (12.1, 10.0, 2.1),
        (-3590.0, 10.0, -3600.0),
        (3610.0, 10.0, 3600.0),
    ],
)
def test_a_clock_is_set_when_it_leaves_the_monotonic_one_by_more_than_the_tolerance(
    wall: float, monotonic: float, step: float | None
) -> None:
    before = Reading(START, 50.0)
    after = Reading(START + timedelta(seconds=wall), 50.0 + monotonic)
    found = clock_step(before, after, timedelta(seconds=2))
    assert found == (None if step is None else timedelta(seconds=step))


def test_a_clock_set_back_an_hour_does_not_stop_the_rounds() -> None:
    told, clocks = Told(), Clocks()
    with freeze_time(START) as frozen:
        ticks = stepped(told, clocks)
        ticks.start(watch=False)
        assert isinstance(ticks.scheduler, SteppedScheduler)
        ticks.scheduler.advance_to(frozen, START + timedelta(seconds=25))
        clocks.monotonic += 25
        assert ticks.check_clock() is None

        frozen.move_to(START - timedelta(hours=1))
        clocks.monotonic += 1
        ticks.scheduler.step()
        assert len(told.rounds) == 2, "the scheduler by itself waits for the old time"

        ticks.check_clock()
        back = START - timedelta(hours=1)
        ticks.scheduler.advance_to(frozen, back + timedelta(seconds=20))
        ticks.stop()
    assert told.steps == [timedelta(hours=-1, seconds=-26)]
    assert told.rounds[2:] == [back, back + timedelta(seconds=10), back + timedelta(seconds=20)]


def test_a_leap_of_a_century_is_one_round() -> None:
    told, clocks = Told(), Clocks()
    with freeze_time(START) as frozen:
        ticks = stepped(told, clocks)
        ticks.start(watch=False)
        frozen.move_to(START + timedelta(days=36_500))
        assert isinstance(ticks.scheduler, SteppedScheduler)
        ticks.scheduler.step()
        ticks.stop()
    assert told.rounds == [START + timedelta(days=36_500)]


def test_a_round_that_raises_is_told_and_the_next_one_runs() -> None:
    told, clocks = Told(), Clocks()
    with freeze_time(START) as frozen:

        def fail() -> None:
            told.round()
            raise RuntimeError("no luck")

        ticks = TickScheduler(
            fail, 10 * SECOND, on_overlap=told.overlap, on_error=told.errors.append,
            on_clock_step=told.steps.append, scheduler=SteppedScheduler(), read=clocks.read,
        )  # fmt: skip
        ticks.start(watch=False)
        assert isinstance(ticks.scheduler, SteppedScheduler)
        ticks.scheduler.advance_to(frozen, START + timedelta(seconds=20))
        ticks.stop()
    assert [str(error) for error in told.errors] == ["no luck", "no luck"]


def test_a_round_that_outlasts_the_interval_is_not_run_twice_at_once() -> None:
    """In real threads: the round waits until the scheduler has told of the overlap."""
    overlapped, running = Event(), []

    def long_round() -> None:
        running.append(1)
        assert len(running) == 1
        assert overlapped.wait(30)
        running.clear()

    ticks = TickScheduler(
        long_round, timedelta(milliseconds=20), on_overlap=overlapped.set,
        on_error=lambda error: pytest.fail(str(error)), on_clock_step=lambda step: None,
    )  # fmt: skip
    ticks.start()
    assert overlapped.wait(30)
    ticks.stop()
    assert not running


def test_a_round_that_was_asked_for_just_before_one_is_due_is_no_overlap() -> None:
    """In real threads, with a monotonic clock that stands still: the round has only just begun."""
    skipped, overlapped = Event(), list[int]()
    ticks = TickScheduler(
        lambda: skipped.wait(30), timedelta(milliseconds=20),
        on_overlap=lambda: overlapped.append(1), on_error=lambda error: pytest.fail(str(error)),
        on_clock_step=lambda step: None, read=Clocks().read,
    )  # fmt: skip
    ticks.scheduler.add_listener(lambda event: skipped.set(), EVENT_JOB_MAX_INSTANCES)
    ticks.start(watch=False)
    assert skipped.wait(30)
    ticks.stop()
    assert overlapped == []
