"""A version of an algorithm at work, and what it holds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.demo.signals import Crossover, ScaledMomentum, Signal

CAPITAL = 1_000_000.0
"""US dollars, of the whole desk."""
COST_BPS = 2.0
"""Half the spread and fees, in 1/10,000 of what is traded."""

ALGORITHMS: Mapping[str, Callable[..., Signal]] = {
    "crossover": Crossover,
    "momentum": ScaledMomentum,
}


@dataclass(frozen=True, slots=True)
class Held:
    """`part` of the capital that a version trades, and how large its position is for it, long or
    short (None: it has no part)."""

    part: float
    exposure: float | None


@dataclass(slots=True)
class Version:
    """What it wants, how it trades, what it wanted at the last close."""

    name: str
    signal: Signal
    orders: str = "first"
    target: float | None = None
    latency_ms: float = 0.0

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """Run with another configuration of the same algorithm from now on."""
        self.signal.configure(configuration["parameters"])
        self.orders = configuration["orders"]


def load_version(path: Path) -> Version:
    """The version that a configuration file describes."""
    config = json.loads(path.read_text(encoding="utf-8"))
    signal = ALGORITHMS[config["algorithm"]](**config["parameters"])
    return Version(config["version"], signal, config["orders"])
