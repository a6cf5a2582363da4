"""Real prices: the daily S&P 500 of 1999 to 2018 that ships inside the package `arch`."""

import csv
import gzip
import importlib.util
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path


class DemoError(Exception):
    """The demo cannot start: the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One trading day. `close` is the index adjusted as the vendor gives it."""

    day: date
    close: float


def sp500() -> tuple[Bar, ...]:
    """Every daily bar, oldest first. Reads the file where it was installed; importing `arch`
    itself would take seconds. Raises `DemoError` when the package is not there."""
    with gzip.open(_data_file(), "rt", encoding="utf-8", newline="") as lines:
        bars = tuple(
            Bar(
                datetime.strptime(row["Date"], "%m/%d/%Y").replace(tzinfo=UTC).date(),
                float(row["Adj Close"]),
            )
            for row in csv.DictReader(lines)
        )
    if any(a.day >= b.day for a, b in pairwise(bars)):
        raise DemoError("the price file of the package arch is not in order; install it anew")
    return bars


def _data_file() -> Path:
    spec = importlib.util.find_spec("arch")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "sp500" / "sp500.csv.gz"
        if path.is_file():
            return path
    raise DemoError(
        "the demo's prices ship inside the package arch, which is not installed here;\n"
        "  install it: pip install 'rollout-controller[demo]'"
    )
