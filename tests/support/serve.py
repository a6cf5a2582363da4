"""A real controller process, scheduler and all: `serve.py [BEFORE_DELIVERY]`.

Settings come from the environment and the working directory, as for `rollout run`. If it is told
so, the process sends itself SIGKILL before the delivery of the share of 0 that takes work back: no
handler, no `finally`, nothing flushed. Every other point to die at is in `life`.
"""

import os
import signal
import sys

from controller.core.effect import Effect, SetShare
from controller.core.share import NONE
from controller.effects.file import ShareFile
from controller.run.service import run_forever
from controller.run.settings import read_settings

BEFORE_DELIVERY = "before delivery"


def arm() -> None:
    """Die before the delivery that takes work back."""
    deliver = ShareFile.deliver

    def delivering(self: ShareFile, effect: Effect) -> str:
        if isinstance(effect, SetShare) and effect.share == NONE and effect.epoch > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return deliver(self, effect)

    ShareFile.deliver = delivering  # type: ignore[method-assign]


if __name__ == "__main__":
    if BEFORE_DELIVERY in sys.argv:
        arm()
    sys.exit(run_forever(read_settings()))
