"""What a handover costs in turnover, gradually and at once, on the same days.

What is held of two targets o (old) and n (new) at the weight w of the new one is (1 - w) o + w n.
On a day on which the weight goes from v to w, |w - v| |n - o| is traded for the handover alone,
over and above what the versions themselves trade. Switched at once that is |n - o| on the day of
the switch. Nobody can know the better day for a switch beforehand, so every day of the handover is
tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

SAME = 1e-9
"""Weights no further apart are one."""


@dataclass(frozen=True, slots=True)
class Day:
    """One close: both targets, the weight of the new one, and what is held from then on. Fractions
    of the capital."""

    old: float
    new: float
    weight: float
    held: float


@dataclass(frozen=True, slots=True)
class Turnover:
    """In multiples of the capital, over the `days` from the first change of the weight to the last.
    `handover`: traded for the `changes` of the weight, `largest` of it in a day; `total`: all that
    was traded. `switch_*`: the same for a switch at once on one of these days, as a median over
    them, and the least and the most that one of them would have taken."""

    days: int
    changes: int
    handover: float
    largest: float
    total: float
    switch: float
    switch_least: float
    switch_most: float
    switch_total: float


def turnover(days: Sequence[Day]) -> Turnover | None:
    """None where the weight never changed."""
    changes = [
        index
        for index, (before, day) in enumerate(pairwise(days), 1)
        if abs(day.weight - before.weight) > SAME
    ]
    if not changes:
        return None
    first, last = changes[0], changes[-1]
    span = days[first : last + 1]
    caused = [
        abs(days[index].weight - days[index - 1].weight) * abs(days[index].new - days[index].old)
        for index in changes
    ]
    at_once = [abs(day.new - day.old) for day in span]
    return Turnover(
        days=len(span),
        changes=len(changes),
        handover=sum(caused),
        largest=max(caused),
        total=_traded(days[first - 1].held, [day.held for day in span]),
        switch=median(at_once),
        switch_least=min(at_once),
        switch_most=max(at_once),
        switch_total=median(
            _traded(days[first - 1].held, _switched(span, index)) for index in range(len(span))
        ),
    )


def _switched(span: Sequence[Day], at: int) -> list[float]:
    """What would be held with a switch on day `at` of the span."""
    return [day.new if index >= at else day.old for index, day in enumerate(span)]


def _traded(before: float, held: Sequence[float]) -> float:
    return sum(abs(after - now) for now, after in pairwise([before, *held]))
