"""What controllers tell of what they could not take."""

from datetime import timedelta

from support.plans import T0

from controller.run.heartbeat import Beat, Refusals, note, refusals

SECOND = timedelta(seconds=1)


def beat(owner: str, ago: int, **told: Refusals) -> Beat:
    return owner, T0 - ago * SECOND, note("running", {"rounds": 1}, told)


def test_controllers_that_run_together_are_added_up_and_those_of_before_left_out() -> None:
    beats = [
        ("doctor", T0, "looked"),
        beat("one", 1, signals=Refusals(2, "the newest")),
        beat("two", 30, signals=Refusals(3, "older"), ops=Refusals(1, "its own")),
        beat("dead", 3600, signals=Refusals(100, "long ago")),
    ]
    assert refusals(beats) == {
        "signals": Refusals(5, "the newest"),
        "ops": Refusals(1, "its own"),
    }


def test_nothing_refused_is_nothing_told() -> None:
    assert refusals([]) == {}
    assert refusals([beat("one", 1)]) == {}
