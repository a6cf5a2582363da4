"""Plans by hash: from the store's text, compiled once, whatever happens to the file."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.plans import POLICY, T0

from controller.run.plans import Plans, PolicyBroken
from controller.store import open_store
from controller.store.base import StoreError

PATH = Path("/policies/signal.yaml")


def test_a_plan_is_compiled_once() -> None:
    with open_store("sqlite://") as store:
        plans = Plans(store, {})
        digest = plans.save(plans.read(POLICY, PATH), T0).plan.digest
        assert plans.plan(digest, T0) is plans.plan(digest, T0 + timedelta(days=1))


def test_another_process_finds_the_plan_by_its_hash() -> None:
    with open_store("sqlite://") as store:
        saved = Plans(store, {})
        known = saved.save(saved.read(POLICY, PATH), T0)
        found = Plans(store, {}).known(known.plan.digest, T0)
        assert found.policy == known.policy
        assert found.path == PATH


def test_a_text_with_errors_is_neither_compiled_nor_saved() -> None:
    with open_store("sqlite://") as store:
        plans = Plans(store, {})
        loaded = plans.read(POLICY.replace("candidate.accuracy", "candidate.acuracy", 1), PATH)
        with pytest.raises(PolicyBroken, match=r"signal\.yaml:.*acuracy"):
            plans.save(loaded, T0)
        with pytest.raises(StoreError):
            store.policy_text(loaded.digest)


def test_a_plan_gets_a_longer_calendar_in_time() -> None:
    with open_store("sqlite://") as store:
        plans = Plans(store, {})
        text = POLICY.replace("{tick: 30s}", "{tick: 30s, calendar: XNYS}")
        known = plans.save(plans.read(text, PATH), T0)
        later = known.span.until + timedelta(days=1)
        grown = plans.plan(known.plan.digest, later)
        assert grown is not known.plan
        assert grown.machine is known.plan.machine
        assert grown.calendar.open_ms(T0, later) > 0
        assert plans.plan(known.plan.digest, later) is grown
