"""The unit of work: load, decide, commit. If somebody was faster, decide again from there.

Commands of people, acknowledgements and edits take this way one by one; the round of ticks takes
the same steps for all due rollouts together (`controller`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from controller.core.clocks import next_due
from controller.core.decide import decide
from controller.core.decision import Decision
from controller.core.event import Command, Event, PolicyEdit, Tick
from controller.core.plan import Plan
from controller.core.state import State
from controller.policy.findings import did_you_mean
from controller.store.base import Commit, Store

TRIES = 20
"""How often a decision is made again because another one was committed first."""
LONGEST_ROUND = timedelta(minutes=1)
"""An event may be this much older than what was decided meanwhile."""

PlanOf = Callable[[str, datetime], Plan]
"""The plan of a policy's hash, good at a time (`Plans.plan`)."""


class UnknownRollout(Exception):
    """There is no rollout of that name; the message says which there are."""


class Contended(Exception):
    """Others committed first, every time; nothing was written."""


def handle(store: Store, plan_of: PlanOf, rollout: str, event: Event, now: datetime) -> Decision:
    """Decide on `event` at `now` and make it durable. The decision may say `refused`; that is
    journaled too. Raises UnknownRollout, Contended, StoreError, and what `plan_of` raises."""
    for _ in range(TRIES):
        row = store.rollout(rollout)
        if row is None:
            raise UnknownRollout(no_such(store, rollout))
        at = not_before(row.state, now)
        plan = plan_of(policy_for(event, row.state), at)
        decision = decide(plan, row.state, event, at)
        due = due_after(plan, row.state, row.next_due, event, decision)
        if store.commit([Commit(row.state, event, decision, due)])[0]:
            return decision
    raise Contended(f"{rollout}: others were faster {TRIES} times in a row; try again")


def policy_for(event: Event, state: State) -> str:
    """The hash of the policy that decides on `event`: the new one where it brings one along."""
    if isinstance(event, PolicyEdit) or (isinstance(event, Command) and event.name == "apply"):
        return event.policy
    return state.policy


def not_before(state: State, now: datetime) -> datetime:
    """When an event that comes between looks happened. The round that carries it may have begun
    before somebody else's last event: then it comes right after that one. A clock that went back
    further than a round can take is told to the core as it is."""
    if state.at is not None and now < state.at <= now + LONGEST_ROUND:
        return state.at
    return now


def due_after(
    plan: Plan, before: State, was_due: datetime | None, event: Event, decision: Decision
) -> datetime | None:
    """When to look next. What happens between two looks does not put the next one off: a look
    that is due already stays due."""
    due = next_due(plan, decision.state, decision.at)
    scheduled = isinstance(event, Tick) and event.scheduled
    restarted = decision.state.started_at != before.started_at
    if due is None or was_due is None or scheduled or restarted:
        return due
    return min(due, was_due)


def no_such(store: Store, name: str) -> str:
    """Words for a rollout that is not there, with those that are."""
    names = [row.state.rollout for row in store.rollouts()]
    return f"no rollout {name[:64]!r}; {did_you_mean(name, names)}"
