"""What one process holds, as another can take it over: the account's numbers, the position, numbers
of risk, and the algorithm's own state under the version of its schema.

What belongs to the account is never reset: its highest equity and the day's reference outlive every
version. What belongs to the version begins anew when it takes over.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from hashlib import sha256
from math import isfinite
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""A pure step from one version of a schema to the next, or back."""
Migrations = Mapping[tuple[int, int], Migration]
"""Steps by (from, to); a step back is one of its own, and where there is none there is no way."""


class NoWay(ValueError):
    """A state of this schema cannot be brought to that one."""


class Account(Struct, frozen=True, omit_defaults=True):
    """In currency. `peak` is the account's highest `equity` ever, `day_reference` its equity at the
    start of the day, `version_peak` the highest since the present version took over."""

    equity: float
    peak: float
    day_reference: float
    version_peak: float

    @property
    def drawdown(self) -> float:
        """Of the account, from its peak: 0 to 1. `max(1 - E/peak)` is taken by whoever looks on."""
        return _below(self.equity, self.peak)

    @property
    def version_drawdown(self) -> float:
        """Of the version, since it took over."""
        return _below(self.equity, self.version_peak)

    def at(self, equity: float) -> "Account":
        """At another equity."""
        return replace(
            self, equity=equity, peak=max(self.peak, equity),
            version_peak=max(self.version_peak, equity),
        )  # fmt: skip

    def rebased(self) -> "Account":
        """As a version begins with it: the account's numbers as they are, its own from here on."""
        return replace(self, version_peak=self.equity)


def _below(equity: float, peak: float) -> float:
    return 1 - equity / peak if peak > 0 else 0.0


class Holding(Struct, frozen=True, omit_defaults=True):
    """What a process holds. `position`: signed, by instrument, what is not there is flat; `risk`:
    numbers that the other must come to as well, such as exposure; `algorithm`: its own state as
    plain values, of its `schema`. None: there is none that the reader could take."""

    account: Account
    position: dict[str, float] = {}
    risk: dict[str, float] = {}
    algorithm: dict[str, Any] | None = None
    schema: int = 1


def digest(holding: Holding) -> str:
    """sha256, hexadecimal; the same for the same values. Raises ValueError for what JSON cannot
    say."""
    try:
        return sha256(msgspec.json.encode(holding, order="deterministic")).hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a state that cannot be written: {error}") from None


def unfit(holding: Holding) -> str:
    """Why nobody should take it over; empty: it may be."""
    account = holding.account
    numbers = {
        "equity": account.equity, "peak": account.peak, "day_reference": account.day_reference,
        "version_peak": account.version_peak, **holding.position, **holding.risk,
    }  # fmt: skip
    wild = [name for name, value in numbers.items() if not isfinite(value)]
    if wild:
        return f"no number: {', '.join(sorted(wild))}"
    if account.peak < account.equity:
        return f"the account's peak {account.peak:g} is below its equity {account.equity:g}"
    return ""


def migrated(holding: Holding, schema: int, steps: Migrations) -> Holding:
    """`holding` with its algorithm's state in `schema`, one version after another; neither it nor
    what is in it is changed. Raises NoWay where a step is missing or goes wrong."""
    state, at = deepcopy(holding.algorithm), holding.schema
    while at != schema:
        to = at + 1 if at < schema else at - 1
        step = steps.get((at, to))
        if step is None:
            raise NoWay(f"there is no migration of the state from schema {at} to {to}")
        try:
            state = None if state is None else step(state)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise NoWay(f"the migration from schema {at} to {to} fails: {words}") from error
        at = to
    return replace(holding, algorithm=state, schema=schema)


def differences(
    wanted: Holding, found: Holding, position: float, risk: float
) -> tuple[str, ...]:  # fmt: skip
    """Where `found` is further from `wanted` than it may be: each position by `position` units,
    each number of risk by `risk` of its size, the account's own numbers not at all."""
    told = []
    for name in sorted({*wanted.position, *found.position}):
        here, there = wanted.position.get(name, 0.0), found.position.get(name, 0.0)
        if not abs(here - there) <= position:
            told.append(f"position of {name}: {there:g}, not {here:g}")
    for name, here in sorted(wanted.risk.items()):
        value = found.risk.get(name)
        if value is None or not abs(value - here) <= risk * abs(here):
            told.append(f"{name}: {'nothing' if value is None else f'{value:g}'}, not {here:g}")
    for name in ("peak", "day_reference"):
        here, there = getattr(wanted.account, name), getattr(found.account, name)
        if here != there:
            told.append(f"the account's {name}: {there:g}, not {here:g}")
    return tuple(told)
