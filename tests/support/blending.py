"""Blends of one instrument, look by look, without a client."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from controller.blend.blend import Basis, Blended, State, blend
from controller.blend.legs import Number, Signal
from controller.blend.settings import Settings
from controller.core.share import Share

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
Given = Signal | Number | None


@dataclass
class Desk:
    """Remembers what one look leaves to the next, and where time stands."""

    settings: Settings = field(default_factory=Settings)
    share: int = 50_000
    epoch: int = 1
    now: datetime = T0
    state: State = field(default_factory=State)

    def look(
        self, baseline: Given, candidate: Given, after: float = 60.0, move: float | None = None
    ) -> Blended:
        """`after` seconds after the last one."""
        self.now += timedelta(seconds=after)
        basis = Basis("v3", Share(self.share), self.epoch, 1)
        answer = blend(
            self.settings, basis, self.state, baseline, candidate, self.now,
            instrument="NQ", move=move,
        )  # fmt: skip
        self.state = answer.state
        return answer


def once(
    settings: Settings, share: int, baseline: Given, candidate: Given, state: State | None = None
) -> Blended:
    """One look, from what an earlier one left."""
    return Desk(settings, share, state=state or State()).look(baseline, candidate, 0.0)
