"""What people do to a rollout, with or without a controller running.

A command is decided on and committed like every other event; then its own effects are carried
out here and now, so that a rollback ordered by hand does not wait for anybody.
"""

from datetime import datetime
from pathlib import Path

from controller.core.decision import Decision
from controller.core.event import Command
from controller.core.state import State
from controller.policy.load import LoadedPolicy
from controller.policy.publisher import HaproxyPublisher, Publisher, WebhookPublisher
from controller.run.dispatch import Dispatcher
from controller.run.plans import Known, Plans
from controller.run.unit import handle
from controller.store.base import Store


def submit_command(
    store: Store,
    plans: Plans,
    dispatcher: Dispatcher,
    rollout: str,
    command: Command,
    now: datetime,
) -> Decision:
    """Decide on `command` at `now`, then deliver what waits in the rollout's outbox. A refused
    command is a decision too (`refused` says why). Raises UnknownRollout, Contended, StoreError,
    PolicyBroken and CalendarError; targets that fail are retried by the controller."""
    decision = handle(store, plans.plan, rollout, command, now)
    dispatcher.dispatch(now, rollout)
    return decision


def left_behind(old: Known, new: Known) -> tuple[str, ...]:
    """Publishers of `old` that `new` does not write to the same place any more: what they hold
    now they would hold for ever."""
    there = _places(new)
    return tuple(name for name, place in _places(old).items() if there.get(name) != place)


def _places(known: Known) -> dict[str, tuple[object, ...]]:
    """By name: the kind of publisher and where it writes; the controller's own place is none."""
    base = known.path.parent
    places = {name: _place(target, base) for name, target in known.policy.publish.items()}
    for name in known.plan.share_targets:
        places.setdefault(name, ("FilePublisher",))
    return places


def _place(target: Publisher, base: Path) -> tuple[object, ...]:
    kind = type(target).__name__
    match target:
        case HaproxyPublisher():
            return kind, target.socket, target.backend, frozenset(target.candidate)
        case WebhookPublisher():
            return kind, target.url
        case _:
            return kind, (base / target.path).absolute()


def register(store: Store, plans: Plans, loaded: LoadedPolicy, now: datetime) -> bool:
    """Make a policy's rollout known, as `pending`; False if there is one of that name already.
    Raises PolicyBroken, CalendarError, StoreError."""
    plan = plans.save(loaded, now).plan
    return store.create(State(rollout=plan.rollout, policy=plan.digest), str(loaded.path))
