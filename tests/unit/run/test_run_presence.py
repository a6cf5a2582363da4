"""Who is at work, and what controllers tell of what they could not take."""

from datetime import timedelta

from support.plans import T0

from controller.run.presence import Refusals, controllers, note, refusals
from controller.store.sql import SqlStore

SECOND = timedelta(seconds=1)


def beat(store: SqlStore, owner: str, ago: int, **told: Refusals) -> None:
    store.beat(owner, T0 - ago * SECOND, note("running", {"rounds": 1}, told))


def test_controllers_that_run_together_are_added_up_and_those_of_before_left_out(
    store: SqlStore,
) -> None:
    store.beat("doctor", T0, note("looking"))
    beat(store, "one", 1, signals=Refusals(2, "the newest"))
    beat(store, "two", 30, signals=Refusals(3, "older"), ops=Refusals(1, "its own"))
    beat(store, "dead", 3600, signals=Refusals(100, "long ago"))
    assert refusals(controllers(store)) == {
        "signals": Refusals(5, "the newest"),
        "ops": Refusals(1, "its own"),
    }


def test_nothing_refused_is_nothing_told(store: SqlStore) -> None:
    assert refusals(controllers(store)) == {}
    beat(store, "one", 1)
    assert refusals(controllers(store)) == {}


def test_the_doctor_is_no_controller_and_one_that_stopped_is_not_at_work(store: SqlStore) -> None:
    store.beat("doctor", T0, note("looking"))
    store.beat("gone", T0, note("stopped"))
    beat(store, "here", 2)
    at_work = {one.owner for one in controllers(store) if one.is_at_work(T0, 5 * SECOND)}
    assert at_work == {"here"}
