"""A real controller process that can be told where to die: `serve.py [KILL_POINT]`.

Settings come from the environment and the working directory, as for `rollout run`. At the kill
point the process sends itself SIGKILL: no handler, no `finally`, nothing flushed.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from controller.core.effect import Effect, SetShare
from controller.core.event import Acknowledgement
from controller.core.share import NONE
from controller.effects.file import ShareFile
from controller.run.service import run_forever
from controller.run.settings import read_settings
from controller.store.base import Commit
from controller.store.sql import SqlStore

KILL_POINTS = ("before delivery", "before its answer", "after its answer", "before it is settled")


BEFORE_DECISION = "before its decision"


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def arm(point: str) -> None:
    """Die at `point` of a rollback: before its first commit, or of the delivery of the share of
    0 that takes work back."""
    deliver, commit, settle = ShareFile.deliver, SqlStore.commit, SqlStore.settle

    def going_back(effect: Effect) -> bool:
        return isinstance(effect, SetShare) and effect.share == NONE and effect.epoch > 1

    def delivering(self: ShareFile, effect: Effect) -> str:
        if point == "before delivery" and going_back(effect):
            die()
        answer = deliver(self, effect)
        if point == "before its answer" and going_back(effect):
            die()
        return answer

    def committing(self: SqlStore, commits: Sequence[Commit]) -> list[bool]:
        if point == BEFORE_DECISION and any(
            item.decision.state.epoch > 1 and item.before.epoch == 1 for item in commits
        ):
            die()
        accepted = commit(self, commits)
        if point == "after its answer" and any(
            isinstance(item.event, Acknowledgement)
            and item.before.name == "rolling_back.baseline_traffic"
            for item in commits
        ):
            die()
        return accepted

    def settling(self: SqlStore, at: object, delivered: object, failed: object) -> None:
        if point == "before it is settled" and "rolling_back" in str(self.rollouts()):
            die()
        settle(self, at, delivered, failed)  # type: ignore[arg-type]

    ShareFile.deliver = delivering  # type: ignore[method-assign]
    SqlStore.commit = committing  # type: ignore[method-assign]
    SqlStore.settle = settling  # type: ignore[method-assign]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        arm(sys.argv[1])
    sys.exit(run_forever(read_settings()))
