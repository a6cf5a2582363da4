"""Measurements that may take long, asked ahead: nobody else's decision waits for them.

A rollout whose sources are slow is asked in a thread of its own. What has answered within a short
patience is decided on in the same round, the rest in the round after its answer. A rollout is never
asked twice at the same time.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta

from controller.core.measurement import Measurement
from controller.core.state import State

Answer = Future[dict[str, Measurement]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: one state of a rollout."""

    policy: str
    seq: int
    answer: Answer


class Ahead:
    """Questions under way, by rollout. For one thread: that of the round."""

    def __init__(self, workers: int, patience: timedelta) -> None:
        """`workers`: rollouts asked at the same time. `patience`: how long a round waits."""
        self._pool = ThreadPoolExecutor(workers, "sources")
        self._patience = patience.total_seconds()
        self._asked: dict[str, _Asked] = {}

    def ask(self, state: State, measure: Callable[[], dict[str, Measurement]]) -> None:
        """Ask, unless this very state is being asked for already. An answer for an older state
        is of no use any more; it is asked anew once that one is there."""
        asked = self._asked.get(state.rollout)
        if asked is not None:
            same = (asked.policy, asked.seq) == (state.policy, state.seq)
            if same or not (asked.answer.done() or asked.answer.cancel()):
                return
        answer = self._pool.submit(measure)
        self._asked[state.rollout] = _Asked(state.policy, state.seq, answer)

    def answers(self, states: Iterable[State]) -> dict[str, Answer]:
        """Those of `states` that have an answer by now, or within the patience, by rollout."""
        wanted = {state.rollout: state for state in states}
        for name in [name for name, asked in self._asked.items() if asked.answer.done()]:
            if name not in wanted:
                del self._asked[name]
        wait([self._asked[name].answer for name in wanted], timeout=self._patience)
        found: dict[str, Answer] = {}
        for name, state in wanted.items():
            asked = self._asked[name]
            if asked.answer.done():
                del self._asked[name]
                if (asked.policy, asked.seq) == (state.policy, state.seq):
                    found[name] = asked.answer
        return found

    def close(self) -> None:
        """Ask nothing more; wait for what is under way."""
        self._pool.shutdown(cancel_futures=True)
