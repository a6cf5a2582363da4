"""Targets that others may change or restart, read back at every look.

Nobody's decision waits for their network: with several workers a look is asked in a thread, and the
round that has the answer tells the rollout. What is found to have changed is an event of its own
(`Drift`) and goes through `decide` like every other.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from controller.core.back import is_settled
from controller.core.effect import Effect, Verify
from controller.core.event import Drift
from controller.core.plan import Plan
from controller.core.state import State
from controller.effects.base import EffectError, Target

log = logging.getLogger(__name__)

TargetOf = Callable[[State, Effect, datetime], Target]
Found = list[Drift]


class ReadBack:
    """Looks under way, by rollout. For one thread: that of the round."""

    def __init__(self, target_of: TargetOf, workers: int) -> None:
        """`workers`: rollouts looked at at the same time; with 1 in the caller's thread."""
        self._target_of = target_of
        self._pool = ThreadPoolExecutor(workers, "readback") if workers > 1 else None
        self._asked: dict[str, Future[Found]] = {}

    def ask(self, plan: Plan, state: State, now: datetime) -> None:
        """Look whether the live targets serve what `state` says, unless they are still being
        told, or looked at."""
        if not plan.live_targets or not is_settled(plan, state) or state.rollout in self._asked:
            return
        if self._pool is not None:
            self._asked[state.rollout] = self._pool.submit(self._look, plan, state, now)
        else:
            done: Future[Found] = Future()
            done.set_result(self._look(plan, state, now))
            self._asked[state.rollout] = done

    def found(self) -> list[tuple[str, Drift]]:
        """What has changed, by rollout, of the looks that are done."""
        done = {name: asked for name, asked in self._asked.items() if asked.done()}
        for name in done:
            del self._asked[name]
        return [(name, drift) for name, asked in done.items() for drift in asked.result()]

    def close(self) -> None:
        """Look at nothing more; wait for what is under way."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _look(self, plan: Plan, state: State, now: datetime) -> Found:
        step = plan.step(state.name)
        mirror = step is not None and step.mirror
        found: Found = []
        for name in plan.live_targets:
            look = Verify(f"{state.rollout}/look", name, state.share, mirror)
            try:
                self._target_of(state, look, now).deliver(look)
            except EffectError as error:
                found.append(Drift(name, state.share, state.epoch, str(error)))
            except Exception as error:
                log.exception("%s: %s cannot be looked at", state.rollout, name)
                words = f"{type(error).__name__}: {error}"
                found.append(Drift(name, state.share, state.epoch, words))
        return found
