"""The SQL source against a real DuckDB over real files."""

import sqlite3
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.policy.source import SqlSource as SqlModel
from controller.sources.base import Request, SourceError
from controller.sources.sql import SqlSource

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
QUERY = """select avg(latency) as value, count(*) as samples, max(time) as as_of from requests
           where version = $version and time > $since and time <= $now"""
ROWS = [
    ("2026-03-02 14:50:00+00", "v1", 100),
    ("2026-03-02 14:55:00+00", "v3", 200),
    ("2026-03-02 14:59:00+00", "v3", 400),
    ("2026-03-02 13:00:00+00", "v3", 9000),
]


def request(query: str = QUERY, version: str = "v3", factor: float = 1.0) -> Request:
    since = NOW - timedelta(minutes=30)
    return Request("candidate", "latency", version, query, since, NOW, factor=factor)


@pytest.fixture
def csv(tmp_path: Path) -> SqlSource:
    lines = ["time,version,latency", *(f"{at},{version},{ms}" for at, version, ms in ROWS)]
    (tmp_path / "requests.csv").write_text("\n".join(lines))
    return SqlSource("ops", SqlModel(tables={"requests": "requests.csv"}), tmp_path)


def test_a_csv_is_measured_by_version_and_window_in_the_base_unit(csv: SqlSource) -> None:
    (found,) = csv.measure([request(factor=0.001)])
    assert found.value == pytest.approx(0.3)
    assert (found.samples, found.status) == (2, "ok")
    assert found.as_of == datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
    assert csv.last_received() == found.as_of


def test_parquet_and_sqlite_give_what_the_csv_gives(csv: SqlSource, tmp_path: Path) -> None:
    import duckdb

    source, target = tmp_path / "requests.csv", tmp_path / "requests.parquet"
    duckdb.sql(f"copy (select * from read_csv('{source}')) to '{target}' (format parquet)")
    with sqlite3.connect(tmp_path / "ops.db") as database:
        database.execute("create table requests (time text, version text, latency real)")
        database.executemany("insert into requests values (?, ?, ?)", ROWS)
    database.close()
    parquet = SqlSource("p", SqlModel(tables={"requests": "requests.parquet"}), tmp_path)
    table = SqlSource("s", SqlModel(database="ops.db"), tmp_path)
    (expected,) = csv.measure([request()])
    assert parquet.measure([request()]) == [expected]
    assert table.measure([request()]) == [expected]


def test_nothing_found_is_no_data_and_not_zero(csv: SqlSource) -> None:
    (found,) = csv.measure([request(version="v9")])
    assert (found.status, found.value) == ("no_data", None)
    (none,) = csv.measure([request("select latency as value from requests where false")])
    assert none.status == "no_data"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select nonsense from requests", "nonsense"),
        ("selec", "syntax error"),
        ("select 1 as wrong", "no column `value` among: wrong"),
        ("select latency as value from requests", "more than one row"),
        ("select 'abc' as value", "not a number"),
        ("select * from elsewhere", "elsewhere"),
    ],
)
def test_a_broken_query_is_an_error_that_says_why(csv: SqlSource, query: str, said: str) -> None:
    broken, fine = csv.measure([request(query), request()])
    assert broken.status == "error"
    assert said in broken.detail
    assert fine.status == "ok"


def test_a_version_is_bound_and_never_pasted_into_the_query(csv: SqlSource) -> None:
    (found,) = csv.measure([request(version="v3' or '1'='1")])
    assert found.status == "no_data"


def test_a_query_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    source = SqlSource("slow", SqlModel(timeout=timedelta(milliseconds=50)), tmp_path)
    endless = "select count(*) as value from range(100000000) a, range(1000000) b"
    (found,) = source.measure([request(endless)])
    assert (found.status, found.detail) == ("error", "no answer within 0.05s")


def test_files_are_never_written(csv: SqlSource, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ops.db") as database:
        database.execute("create table t (x int)")
    database.close()
    source = SqlSource("d", SqlModel(database="ops.db"), tmp_path)
    (found,) = source.measure([request("insert into t values (1) returning x as value")])
    assert found.status == "error"
    assert "readonly" in found.detail


def test_a_metric_that_does_more_than_select_is_refused_and_does_nothing(
    csv: SqlSource, tmp_path: Path
) -> None:
    target = tmp_path / "copied.csv"
    for query in (
        f"copy requests to '{target}'",
        f"select 1 as value; copy requests to '{target}'",
    ):
        (found,) = csv.measure([request(query)])
        assert (found.status, found.detail) == ("error", "not one `select`; a metric only reads")
    assert not target.exists()


def test_a_sample_size_that_is_no_number_of_things_is_an_error(csv: SqlSource) -> None:
    (found,) = csv.measure([request("select 1 as value, 'inf'::double as samples")])
    assert found.status == "error"


BOTH = """select version, avg(latency) as value, max(latency) as worst, count(*) as samples,
          var_samp(latency) as worst_variance
          from requests where time > $since and time <= $now group by version"""


def test_one_query_answers_for_both_versions_and_every_column(csv: SqlSource) -> None:
    asked = [request(BOTH), request(BOTH, "v1"), request(BOTH), request(BOTH, "v9")]
    asked[2] = replace(asked[2], column="worst", factor=0.001)
    mine, other, worst, none = csv.measure(asked)
    assert (mine.value, mine.samples, mine.variance) == (300.0, 2, None)
    assert (other.value, other.samples) == (100.0, 1)
    assert worst.value == pytest.approx(0.4)
    assert worst.variance == pytest.approx(0.02)
    assert none.status == "no_data"


def test_a_query_that_tells_versions_not_apart_is_an_error_for_both(csv: SqlSource) -> None:
    query = "select max(latency) as value from requests where version in ('v1', 'v3')"
    for found in csv.measure([request(query), request(query, "v1")]):
        assert (found.status, "tells them not apart" in found.detail) == ("error", True)
    (alone,) = csv.measure([request(query)])
    assert alone.value == 9000.0


def test_two_rows_of_one_version_are_an_error(csv: SqlSource) -> None:
    mine, other = csv.measure(
        [request("select version, 1 as value from requests", version) for version in ("v3", "v1")]
    )
    assert mine.status == other.status == "error"
    assert "more than one row of version v3" in mine.detail


def test_a_server_without_its_driver_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    source = SqlSource("ops", SqlModel(database="postgresql://host/ops"), tmp_path)
    (found,) = source.measure([request()])
    assert (found.status, "rollout-controller[postgresql]" in found.detail) == ("error", True)


def test_a_file_that_is_not_there_is_an_error_until_it_is(tmp_path: Path) -> None:
    source = SqlSource("ops", SqlModel(tables={"requests": "late.csv"}), tmp_path)
    (found,) = source.measure([request()])
    assert found.status == "error"
    assert "there is no file" in found.detail
    with pytest.raises(SourceError, match=r"late\.csv"):
        source.check()
    (tmp_path / "late.csv").write_text("time,version,latency\n2026-03-02 14:59:00+00,v3,7\n")
    assert source.measure([request()])[0].value == 7.0
    assert source.check() == "reads requests"


def test_an_unknown_kind_of_file_says_what_can_be_read(tmp_path: Path) -> None:
    source = SqlSource("ops", SqlModel(tables={"requests": "notes.txt"}), tmp_path)
    with pytest.raises(SourceError, match=r"notes\.txt is not a file this source reads"):
        source.check()
