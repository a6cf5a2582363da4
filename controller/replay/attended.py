"""Processes that obey at once, in the place of those that a scenario does not have.

They speak through the real client, so what the target hears is what it would hear of them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from controller.client.handover import Handover
from controller.client.parameters import ParameterFile
from controller.core.effect import Effect
from controller.effects.base import NotYet, Target
from controller.effects.config import ConfigFile
from controller.effects.handover import HandoverFile
from controller.traffic.route import Side
from controller.traffic.snapshot import Account, Holding

Clock = Callable[[], datetime]


def attended(target: Target, clock: Clock) -> Target:
    """`target`, where processes have to answer, with such as do."""
    if isinstance(target, ConfigFile):
        return _Configured(target)
    return _Seated(target, clock) if isinstance(target, HandoverFile) else target


class _Configured:
    """A configuration whose readers take on at once what is published."""

    def __init__(self, target: ConfigFile) -> None:
        self._target = target

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        try:
            return self._target.deliver(effect)
        except NotYet:
            processes = self._target.processes
            assert processes is not None, "nobody else is waited for"
            for name in processes.names:
                reader = ParameterFile(self._target.path, processes.directory, name)
                found = reader.newest()
                assert found is not None, "what is published can be read"
                reader.acknowledge(found)
            return self._target.deliver(effect)


class _Seated:
    """A handover whose processes are warm, agree, hold nothing, and do what they are told."""

    def __init__(self, target: HandoverFile, clock: Clock) -> None:
        self._target, self._clock = target, clock

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        try:
            words = self._target.deliver(effect)
        except NotYet:
            self._turn()
            return self._target.deliver(effect)
        self._turn()
        return words

    def _turn(self) -> None:
        """A turn of both."""
        order = self._target.read()
        assert order is not None, "an order was delivered"
        needs = (order.terms.bars, order.terms.decisions)
        for name, side in ((order.baseline, Side.BASELINE), (order.candidate, Side.CANDIDATE)):
            directory = self._target.directory
            process = Handover(directory, name, name, _Obedient(needs), side=side)
            process.turn(self._clock())


class _Obedient:
    """An engine of nothing. It fits `client.handover.Engine`."""

    def __init__(self, needs: tuple[int, int]) -> None:
        self._needs = needs

    def ready(self) -> tuple[int, int]:
        """As warm as it has to be."""
        return self._needs

    def targets(self) -> Mapping[str, float]:
        """Flat in everything that there is."""
        return {"all": 0.0}

    def holding(self) -> Holding:
        """An account of 1 that has never moved."""
        return Holding(Account(1.0, 1.0, 1.0, 1.0), {"all": 0.0})

    def adopt(self, holding: Holding) -> None:
        """What it is given is what it has."""
