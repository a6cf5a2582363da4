"""Recorded observations or measurements through the same machine: what the policy would have done.

A person's approval is taken as given at once: history has nobody to ask.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from controller.core.calendar import EPOCH
from controller.core.measurement import BASELINE, CANDIDATE
from controller.core.plan import Plan
from controller.core.state import APPROVAL
from controller.policy.load import LoadedPolicy
from controller.policy.quality import judged_sources
from controller.policy.source import PushSource as PushModel
from controller.replay.feed import Clock, Feed
from controller.replay.runner import Run, plan_of, take, tick_until
from controller.replay.scenario import Happening, Scenario
from controller.replay.timeline import Timeline
from controller.run.controller import no_garbage_collection

READERS = {
    ".csv": "read_csv",
    ".parquet": "read_parquet",
    ".jsonl": "read_json",
    ".json": "read_json",
}
PAGE = 10_000
WANTED = (
    "a history has `ts`, the time of each row, and beside it either `version` and the fields of "
    "observations, or measurements in columns like candidate.METRIC"
)


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
    """Start the policy's rollout at the first row and run it to the last: rows of observations,
    or of measurements where columns are named as the policy's conditions name them. `progress` is
    told how many observations or ticks were taken. Raises HistoryError."""
    with _opened(path) as (connection, table):
        names = _columns(connection, table, path)
        if _of_measurements(names):
            return _measured(loaded, path, connection, table, names, progress)
        return _observed_history(loaded, path, _rows(connection, table, _push(loaded)), progress)


def observed_rows(path: Path, sources: list[str]) -> Iterator[Observed]:
    """The observations of a history, in order; those that name no source are of the first of
    `sources`. Raises HistoryError."""
    with _opened(path) as (connection, table):
        if _of_measurements(_columns(connection, table, path)):
            raise HistoryError(
                f"{path} has measurements, which do not say how much there was: give observations, "
                "a row each with `ts`, `version` and fields"
            )
        yield from _rows(connection, table, sources)


def _columns(connection: Any, table: str, path: Path) -> list[str]:
    """Names of the columns of what can be a history."""
    names = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    if "ts" not in names:
        raise HistoryError(f"{path}: no column `ts` among: {', '.join(names)}; {WANTED}")
    (timeless,) = connection.execute(f"select count(*) {table} where ts is null").fetchone()
    if timeless:
        raise HistoryError(f"{path}: rows without a time in `ts`: {timeless}")
    if "version" not in names and not _of_measurements(names):
        raise HistoryError(f"{path}: neither `version` nor a column like candidate.METRIC")
    return names


def _of_measurements(names: list[str]) -> bool:
    return any(name.startswith((f"{CANDIDATE}.", f"{BASELINE}.")) for name in names)


def _push(loaded: LoadedPolicy) -> list[str]:
    assert loaded.policy is not None
    sources = [n for n, m in loaded.policy.sources.items() if isinstance(m, PushModel)]
    if not sources:
        raise HistoryError("the policy has no push source: a history is of observations")
    return sources


def _observed_history(
    loaded: LoadedPolicy, path: Path, rows: Iterator[Observed], progress: Callable[[int], None]
) -> tuple[Plan, datetime, Timeline]:
    first = next(rows, None)
    if first is None:
        raise HistoryError(f"{path} has no observations")
    run = _begin(loaded, path, first.at, _push(loaded))
    last = timedelta(0)
    for count, row in enumerate(chain((first,), rows), 1):
        last = row.at - first.at
        tick_until(run, last, inclusive=False)
        run.clock.elapsed = max(run.clock.elapsed, last)
        _observe(run, row)
        _approve(run)
        if count % 1000 == 0:
            progress(count)
    tick_until(run, last + run.plan.tick, inclusive=True)
    return run.plan, first.at, run.timeline


def _measured(
    loaded: LoadedPolicy,
    path: Path,
    connection: Any,
    table: str,
    names: list[str],
    progress: Callable[[int], None],
) -> tuple[Plan, datetime, Timeline]:
    from controller.replay.measured import MissingColumn, replay_measured, require

    policy = loaded.policy
    judged = [source for source, _ in judged_sources(policy)] if policy is not None else []
    subjects = tuple(f"{subject}." for subject in (CANDIDATE, BASELINE, *judged))
    numbers = [name for name in names if name.startswith(subjects)]
    columns = ", ".join(f'"{name}"::double as "{name}"' for name in numbers)
    found = connection.execute(
        f"select epoch_us(ts::timestamptz) as ts, {columns} {table}"
    ).fetchnumpy()
    times = found.pop("ts")
    if (times[1:] < times[:-1]).any():  # most are in order, and sorting costs as much as reading
        order = times.argsort(kind="stable")
        times, found = times[order], {name: values[order] for name, values in found.items()}
    if not len(times):
        raise HistoryError(f"{path} has no rows")
    start = EPOCH + int(times[0]) * timedelta(microseconds=1)
    tick = policy.schedule.tick if policy is not None else timedelta(0)
    run = _begin(loaded, path, start - tick, [])
    try:
        require(run.plan, names)
    except MissingColumn as error:
        raise HistoryError(f"{path}: {error}") from None
    with no_garbage_collection():
        replay_measured(run, times, found, progress, _approve)
    return run.plan, start - tick, run.timeline


def _begin(loaded: LoadedPolicy, path: Path, start: datetime, sources: list[str]) -> Run:
    scenario = Scenario(path, 1, path.name, loaded.path, loaded.text, start)
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


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, str]]:
    """A connection, and the `from` that reads the file."""
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
            yield connection, f"from {reader}('{place}')"
        except duckdb.Error as error:
            words = str(error).split("\n")[0]
            raise HistoryError(f"{path}: {words}") from None


def _rows(connection: Any, table: str, sources: list[str]) -> Iterator[Observed]:
    """Rows in order of `ts`, a page at a time."""
    found = connection.execute(f"select * {table} order by ts")
    names = [column[0] for column in found.description]
    while rows := found.fetchmany(PAGE):
        for row in rows:
            yield _observed(dict(zip(names, row, strict=True)), sources)


def _observed(row: dict[str, Any], sources: list[str]) -> Observed:
    at = row["ts"]
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            raise HistoryError(f"{at!r} in the column `ts` is not a time") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    fields = {k: v for k, v in row.items() if v is not None and k not in ("ts", "source")}
    fields["ts"] = at.isoformat()
    return Observed(at, str(row.get("source") or sources[0]), fields)
