"""Parameters in plain words: what each is on its way, and what it is now."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from controller.configuration import Unreadable
from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.plan import Plan
from controller.core.share import WHOLE, Share, percent_text
from controller.parameters.curves import Curve
from controller.parameters.vector import Interpolation, Move, shown
from controller.policy.interpolation import interpolation, read_configuration
from controller.policy.models import Policy

COLUMNS = 5
"""Points of the way that are shown, both ends included."""
MOST = 30
"""Parameters that are shown."""


def way_lines(plan: Plan, policy: Policy, directory: Path) -> list[str]:
    """How the parameters get across, for `rollout plan`; empty without any."""
    way, said = plan.parameters, policy.transition.parameters
    if way is None or said is None:
        return []
    lines = ["", "Parameters"]
    changes = f"in {len(way.grid) - 1} changes" if way.over_ms else "with the candidate's share"
    over = f" over {span(way.over_ms)} in {', '.join(sorted(way.stages))}" if way.over_ms else ""
    lines.append(f"  {changes}{over}, at {', '.join(plan.config_targets)}")
    if said.acknowledge is not None:
        names, waits = ", ".join(said.acknowledge.by), span(way.within_ms or 0)
        lines.append(f"  acknowledged by {names} within {waits}, else {way.otherwise}")
    else:
        lines.append("  read back from the file; nobody is asked whether it runs with them")
    back = "at once"
    if way.back is not None:
        pace = span(milliseconds(way.back))
        back = f"over {pace} the way they came, at once from {way.at_once_from.word} on"
    lines.append(f"  back {back}")
    try:
        found = _interpolation(policy, directory)
    except Unreadable as error:
        return [*lines, f"  {error}"]
    return [*lines, *_table(found, way.grid), *_constraints(said.constraints, len(way.grid))]


def now_lines(policy: Policy, directory: Path, progress: Share) -> list[str]:
    """What the parameters are at `progress`, for `rollout status`; why not, if nobody can say."""
    try:
        found = _interpolation(policy, directory)
    except (Unreadable, ValueError) as error:
        return [f"{error}"]
    at = Fraction(progress, WHOLE)
    lines = [
        f"{move.name} is {shown(move.value(at))}, from {shown(move.start)} to {shown(move.end)}"
        for move in found.moves[:MOST]
    ]
    return lines + _more(found)


def _interpolation(policy: Policy, directory: Path) -> Interpolation:
    parameters = policy.transition.parameters
    assert parameters is not None, "asked only where there are some"
    sides = (read_configuration(side, directory) for side in (policy.baseline, policy.candidate))
    return interpolation(parameters, *sides)


def _table(found: Interpolation, grid: tuple[Share, ...]) -> Iterator[str]:
    last = len(grid) - 1
    picked = sorted({grid[number * last // (COLUMNS - 1)] for number in range(COLUMNS)})
    rows = [["", *map(percent_text, picked), ""]]
    rows += [_row(move, picked) for move in found.moves[:MOST]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        yield f"  {'  '.join([*cells, row[-1]])}".rstrip()
    yield from (f"  {line}" for line in _more(found))


def _row(move: Move, picked: list[Share]) -> list[str]:
    values = [_short(move.value(Fraction(point, WHOLE))) for point in picked]
    if isinstance(move.how, Curve):
        tick = f", tick {move.how.tick:g}" if move.how.tick is not None else ""
        how = f"{move.how.name}{tick}"
    else:
        how = f"switch at {percent_text(Share(int(move.how * WHOLE)))}"
    return [move.name, *values, how]


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


def _more(found: Interpolation) -> list[str]:
    left = len(found.moves) - MOST
    return [f"and {left} more"] if left > 0 else []


def _constraints(constraints: tuple[str, ...], count: int) -> Iterator[str]:
    for constraint in constraints:
        yield f"  {constraint}: holds at all {count} points"
