"""Recorded observations through the same machine: what the policy would have done.

A person's approval is taken as given at once: history has nobody to ask.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.core.plan import Plan
from controller.core.state import APPROVAL
from controller.policy.load import LoadedPolicy
from controller.policy.models import PushSource as PushModel
from controller.replay.feed import Clock, Feed
from controller.replay.runner import Run, plan_of, take, tick_until
from controller.replay.scenario import Happening, Scenario
from controller.replay.timeline import Timeline

READERS = {
    ".csv": "read_csv",
    ".parquet": "read_parquet",
    ".jsonl": "read_json",
    ".json": "read_json",
}
PAGE = 10_000


class HistoryError(Exception):
    """A history that cannot be replayed; the message says what and what to do."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One recorded observation."""

    at: datetime
    source: str
    fields: dict[str, Any]


def replay_history(
    loaded: LoadedPolicy, path: Path, progress: Callable[[int], None] = lambda _: None
) -> tuple[Plan, datetime, Timeline]:
    """Start the policy's rollout at the first observation and run it to the last. `progress` is
    told how many observations were taken. Raises HistoryError."""
    policy = loaded.policy
    assert policy is not None
    sources = [n for n, m in policy.sources.items() if isinstance(m, PushModel)]
    if not sources:
        raise HistoryError("the policy has no push source: a history is of observations")
    rows = _read(path, sources)
    first = next(rows, None)
    if first is None:
        raise HistoryError(f"{path} has no observations")
    scenario = _scenario(loaded, path, first.at)
    run = _begin(scenario, loaded, sources)
    last = timedelta(0)
    for count, row in enumerate(_with(first, rows), 1):
        last = row.at - first.at
        tick_until(run, last, inclusive=False)
        run.clock.elapsed = max(run.clock.elapsed, last)
        _observe(run, row)
        _approve(run)
        if count % 1000 == 0:
            progress(count)
    tick_until(run, last + run.plan.tick, inclusive=True)
    return run.plan, first.at, run.timeline


def _scenario(loaded: LoadedPolicy, path: Path, start: datetime) -> Scenario:
    return Scenario(path, 1, path.name, loaded.path, loaded.text, start)


def _begin(scenario: Scenario, loaded: LoadedPolicy, sources: list[str]) -> Run:
    plan = plan_of(scenario, loaded)
    clock = Clock(scenario.start)
    feed = Feed.begin(scenario, plan, clock, None, tuple(sources))
    run = Run.begin(scenario, plan, clock, feed)
    take(run, Happening(timedelta(0), "start", by="replay"))
    return run


def _observe(run: Run, row: Observed) -> None:
    source = run.feed.push.get(row.source)
    if source is None:
        raise HistoryError(f"the policy has no push source {row.source!r}")
    received = source.push([row.fields], run.clock.now)
    if received.refused:
        raise HistoryError(f"{row.at:%Y-%m-%d %H:%M:%S}: {source.last_error}")


def _approve(run: Run) -> None:
    if run.state.name.endswith(f".{APPROVAL}"):
        take(run, Happening(run.clock.elapsed, "approve", by="replay"))


def _with(first: Observed, rest: Iterator[Observed]) -> Iterator[Observed]:
    yield first
    yield from rest


def _read(path: Path, sources: list[str]) -> Iterator[Observed]:
    """Rows in order of `ts`, a page at a time."""
    reader = READERS.get(path.suffix)
    if reader is None:
        raise HistoryError(f"{path}: histories are {', '.join(READERS)} files")
    if not path.is_file():
        raise HistoryError(f"there is no file {path}")
    try:
        import duckdb
    except ImportError:
        raise HistoryError(
            "DuckDB is missing; install it: pip install 'rollout-controller[sql]'"
        ) from None
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        place = str(path).replace("'", "''")
        try:
            found = connection.execute(f"select * from {reader}('{place}') order by ts")
        except duckdb.Error as error:
            words = str(error).split("\n")[0]
            raise HistoryError(f"{path}: {words} (columns `ts` and `version` are needed)") from None
        names = [column[0] for column in found.description]
        while rows := found.fetchmany(PAGE):
            for row in rows:
                yield _observed(dict(zip(names, row, strict=True)), sources)


def _observed(row: dict[str, Any], sources: list[str]) -> Observed:
    at = row["ts"]
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    fields = {k: v for k, v in row.items() if v is not None and k not in ("ts", "source")}
    fields["ts"] = at.isoformat()
    return Observed(at, str(row.get("source") or sources[0]), fields)
