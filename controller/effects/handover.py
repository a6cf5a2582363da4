"""Who writes orders, told to two processes by a file, and what both say of it."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from controller.core.effect import Effect, HandOver, Phase
from controller.effects.base import EffectError, NotYet
from controller.effects.files import replace_file
from controller.policy import handover as policy
from controller.traffic.handover import (
    LARGEST,
    LOCK,
    ORDER,
    UNKNOWN,
    WRITING,
    Order,
    Report,
    Terms,
    decode_order,
    decode_report,
    encode,
    lacks,
    refusal,
)

PATIENCE = 0.2
"""Seconds that the lock is waited for: a writer holds it while it sends."""
AGAIN = 0.001


def terms(said: policy.Handover, tick: timedelta) -> Terms:
    """What the policy asks, as both processes read it."""
    return Terms(
        bars=said.ready.bars,
        decisions=said.ready.decisions,
        position=said.reproduce.position,
        risk=said.reproduce.risk / 100,
        band=said.band or 0.0,
        ramp_s=policy.span_of(said.ramp, tick).total_seconds() if policy.may_ramp(said) else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Seats:
    """Whose orders these are, and the two processes."""

    store: str
    rollout: str
    baseline: str
    candidate: str
    terms: Terms


class HandoverFile:
    """The target of a handover. Guarantee: a new order is written only while nobody writes to the
    market, so that no two processes ever do; the candidate's comes by no token lower than the one
    there, nor past another store; the baseline's gets through whatever is there."""

    def __init__(self, directory: Path, seats: Seats) -> None:
        self.directory, self._seats = directory, seats
        self.path = directory / ORDER

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        if not isinstance(effect, HandOver):
            raise EffectError(f"{self.path}: a handover takes no {type(effect).__name__}")
        order = self._publish(effect)
        lacking = lacks(order, self._report(order.baseline), self._report(order.candidate))
        if lacking:
            raise NotYet(f"{order.phase.value}: {'; '.join(lacking)}")
        return f"{order.writer or 'nobody'} writes ({order.phase.value}, decision {order.token})"

    def read(self) -> Order | None:
        """The order that is there. Raises EffectError for one that cannot be read."""
        try:
            with self.path.open("rb") as file:
                return decode_order(file.read(LARGEST))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise EffectError(f"{self.path}: {error}") from error

    def _publish(self, effect: HandOver) -> Order:
        """The order of `effect`, put there if it is not."""
        there = self._there()
        if there is not None and _says(there, effect, self._seats) and not there.barred:
            return there
        wanted = self._order(effect, there)
        if there is not None and (why := refusal(there, wanted)):
            raise EffectError(f"{self.path}: {why}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with self._alone() as alone:
                if not alone:
                    self._bar(wanted)
                replace_file(self.path, encode(wanted))
        except OSError as error:
            raise EffectError(f"{self.path}: {error.strerror or error}") from error
        if self.read() != wanted:
            raise EffectError(f"{self.path}: read back something else than what was written")
        return wanted

    def _bar(self, wanted: Order) -> None:
        """Somebody is writing to the market and does not end: nobody may begin to any more, and the
        new writer waits until that one has ended or died. Raises NotYet."""
        replace_file(self.path, encode(replace(wanted, barred=True)))
        raise NotYet(
            f"{wanted.phase.value}: somebody has been writing for {PATIENCE:g} s and holds "
            f"{self.directory / LOCK}; if that process hangs, end it"
        )

    def _order(self, effect: HandOver, there: Order | None) -> Order:
        seats = self._seats
        return Order(
            seats.store, seats.rollout, seats.baseline, seats.candidate,
            effect.phase, effect.epoch, effect.token, seats.terms,
            ramps=effect.ramps, takes=self._takes(effect, there), since=self._since(effect, there),
        )  # fmt: skip

    def _takes(self, effect: HandOver, there: Order | None) -> str:
        """Whose state the new writer takes over: forward what the baseline held when it stopped,
        back what the candidate held if it has written."""
        if effect.phase in (Phase.WRITE, Phase.RETIRE):
            if there is not None and there.since:
                return there.takes
            said = self._report(self._seats.baseline)
            return said.sha256 if said is not None else UNKNOWN
        if effect.phase is not Phase.BACK:
            return ""
        if there is not None and there.phase is Phase.BACK:
            return there.takes
        said = self._report(self._seats.candidate)
        if there is None:
            return said.sha256 if said is not None and said.role in WRITING else ""
        if not there.since:
            return ""
        if said is None:
            return UNKNOWN
        return said.sha256 if said.store == there.store and said.held >= there.since else ""

    def _since(self, effect: HandOver, there: Order | None) -> int:
        """The first token of the orders by which the candidate writes."""
        if effect.phase not in (Phase.WRITE, Phase.RETIRE):
            return 0
        return there.since if there is not None and there.since else effect.token

    def _there(self) -> Order | None:
        """What is there, if it can be read: a damaged order is replaced, not kept."""
        try:
            return self.read()
        except EffectError:
            if self.path.is_file():
                return None
            raise

    def _report(self, process: str) -> Report | None:
        """What a process says; None: nothing that can be read. Raises EffectError for a file that
        is there and cannot."""
        path = self.directory / f"{process}.json"
        try:
            with path.open("rb") as file:
                return decode_report(file.read(LARGEST + 1), process)
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise EffectError(f"{path}: {error.strerror or error}") from error

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody writes to the market, and nobody begins to within the block."""
        with (self.directory / LOCK).open("wb") as lock:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() >= until:
                        yield False
                        return
                    time.sleep(AGAIN)
                else:
                    yield True
                    return


def _says(there: Order, effect: HandOver, seats: Seats) -> bool:
    """Whether the order is there already. Of two that give the writing back, the newer says it."""
    if (there.store, there.rollout, there.epoch) != (seats.store, seats.rollout, effect.epoch):
        return False
    if there.phase is not effect.phase:
        return False
    newer = effect.phase is Phase.BACK and there.token > effect.token
    return newer or there.token == effect.token
