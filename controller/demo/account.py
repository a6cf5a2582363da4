"""Work that is blended: one account, in which the targets of both versions become one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controller.client import Client
from controller.demo.turnover import Day
from controller.demo.version import CAPITAL, COST_BPS, Held, Version

INSTRUMENT = "SPX"


@dataclass(slots=True)
class Account:
    """See `controller.demo.desk.Trading`. `parts` and `legs`: by version, its weight and its part
    of the position, which add up to the position."""

    position: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    legs: dict[str, float] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)

    def settle(self, move: float) -> dict[str, float]:
        """Each version's part of the position."""
        return {name: leg * move * CAPITAL for name, leg in self.legs.items() if self.parts[name]}

    def trade(
        self, client: Client, versions: Sequence[Version], at: datetime, move: float
    ) -> dict[str, float]:
        """To the blend. What both versions trade in opposite directions is not traded at all; the
        cost of what is traded is theirs by how much each changed its part."""
        old, new = versions
        answer = client.blend(
            old.target, new.target, instrument=INSTRUMENT, at=at, move=move, held=self.position
        )
        candidate = answer.candidate.weight * (new.target or 0.0)
        legs = {old.name: answer.target - candidate, new.name: candidate}
        changes = {name: abs(leg - self.legs.get(name, 0.0)) for name, leg in legs.items()}
        cost = abs(answer.target - self.position) * COST_BPS / 10_000 * CAPITAL
        changed = sum(changes.values())
        self.position, self.legs = answer.target, legs
        self.parts = {old.name: answer.baseline.weight, new.name: answer.candidate.weight}
        if old.target is not None and new.target is not None:
            self.days.append(Day(old.target, new.target, answer.candidate.weight, answer.target))
        return {name: cost * change / changed for name, change in changes.items() if change}

    def held_by(self, version: str) -> Held:
        """Its part of the position."""
        part = self.parts.get(version, 0.0)
        return Held(part, abs(self.legs[version]) / part if part else None)
