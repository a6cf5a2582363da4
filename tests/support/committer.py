"""A program that commits until it is killed, or each time it is told to.

`python -m support.committer loop PATH`: batches over all rollouts of the store, without end; after
each commit that returned, a line with its seq. `python -m support.committer race PATH NAME`: reads
the one rollout, says `ready`, waits for a line, commits from what it read, says what came of it.
"""

import sys
from datetime import timedelta

from controller.core.event import Acknowledgement, Command
from controller.store import open_store
from controller.store.base import Commit, Rollout, Store
from support.commits import STEP, T0, alert, commit, set_share

LEASE = timedelta(seconds=5)


def loop(store: Store) -> None:
    """One round: a batch for all, what it asked for delivered, half of that acknowledged."""
    while True:
        batch = [_next(rollout) for rollout in store.rollouts()]
        assert all(store.commit(batch))
        _say(str(batch[0].decision.state.seq))
        for n, delivery in enumerate(store.claim_outbox(T0 + STEP * 10**6, "loop", LEASE)):
            key = delivery.effect.key
            if n % 3 == 0:
                store.failed(key, T0, "no answer", T0)
            elif n % 3 == 1:
                store.delivered(key, T0, "done")
        acknowledged = [_answer(store, rollout) for rollout in store.rollouts()]
        assert all(store.commit(acknowledged))
        _say(str(acknowledged[0].decision.state.seq))


def _next(rollout: Rollout) -> Commit:
    state = rollout.state
    key = f"{state.rollout}:{state.seq + 1}"
    if state.seq % 3:
        return commit(state)
    effects = (set_share(f"{key}:share"), alert(f"{key}:alert"))
    return commit(state, *effects, name=f"step-{state.seq}")


def _answer(store: Store, rollout: Rollout) -> Commit:
    waiting = store.outbox(rollout.state.rollout)
    key = waiting[-1].effect.key if waiting else "nothing"
    return commit(rollout.state, event=Acknowledgement(key, ok=True))


def race(store: Store, name: str) -> None:
    """One commit for each line that comes in."""
    while True:
        rollout = store.rollout("r")
        assert rollout is not None
        _say("ready")
        if not sys.stdin.readline():
            return
        order = Command("pause", by=name)
        (won,) = store.commit([commit(rollout.state, event=order)])
        _say("won" if won else "lost")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    with open_store(sys.argv[2], create=False) as opened:
        if sys.argv[1] == "loop":
            loop(opened)
        else:
            race(opened, sys.argv[3])
