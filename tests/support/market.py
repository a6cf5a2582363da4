"""Real daily prices of 1999 to 2018 that ship inside the package `arch`, without importing it."""

import csv
import gzip
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

from controller.core.calendar import Sessions


@dataclass(frozen=True, slots=True)
class Prices:
    """Trading days and adjusted closes, oldest first."""

    days: tuple[date, ...]
    closes: tuple[float, ...]

    @property
    def returns(self) -> list[float]:
        """Of each day but the first."""
        return [b / a - 1.0 for a, b in pairwise(self.closes)]


@cache
def prices(name: str) -> Prices:
    """`sp500` or `nasdaq`: 5,031 days."""
    spec = importlib.util.find_spec("arch")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "data" / name / f"{name}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    days = (datetime.strptime(r["Date"], "%m/%d/%Y").replace(tzinfo=UTC).date() for r in rows)
    return Prices(tuple(days), tuple(float(row["Adj Close"]) for row in rows))


@cache
def sessions(code: str, start: str = "1997-01-01", end: str = "2019-06-30") -> Sessions:
    """The sessions of an exchange, as the controller has them."""
    from controller.run.calendars import _sessions

    begin, finish = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (start, end))
    return Sessions(code, _sessions(code, begin, finish))


def of_values(
    values: Sequence[float], expression: str, capital: float | None = None
) -> float | None:
    """An aggregation of the field `x`, one value a second."""
    from controller.judge.aggregate import measure
    from controller.judge.window import Observation, Windows

    begin, windows = datetime(2015, 6, 1, tzinfo=UTC), Windows()
    for second, value in enumerate(values, 1):
        windows.add(Observation("v3", begin + second * timedelta(seconds=1), {"x": value}))
    end = datetime(2016, 1, 1, tzinfo=UTC)
    return measure(windows.window("v3"), expression, begin, end, capital=capital).value
