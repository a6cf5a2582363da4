"""The SQL source against a real PostgreSQL: asked, broken, hanging, killed, and back again."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from support import postgres

from controller.policy.source import SqlSource as SqlModel
from controller.sources.base import Request, SourceError
from controller.sources.sql import SqlSource

pytestmark = pytest.mark.real

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TABLE = """
create table requests (time timestamptz, version text, latency double precision);
insert into requests values
  ('2026-03-02 14:50:00+00', 'v1', 100), ('2026-03-02 09:55:00-05', 'v3', 200),
  ('2026-03-02 14:59:00+00', 'v3', 400), ('2026-03-02 13:00:00+00', 'v3', 9000);
"""
QUERY = """select avg(latency) as value, count(*) as samples, max(time) as as_of,
           var_samp(latency) as variance
           from requests where version = $version and time > $since and time <= $now"""
BOTH = """select version, avg(latency) as value, count(*) as samples, max(time) as as_of,
          percentile_cont(0.95) within group (order by latency) as p95
          from requests where time > $since and time <= $now group by version"""
WITHIN = timedelta(seconds=20)
SECRET = "hunter2 %s"


def request(
    query: str = QUERY, version: str = "v3", column: str = "value", factor: float = 1.0
) -> Request:
    since = NOW - timedelta(minutes=30)
    return Request("candidate", "latency", version, query, since, NOW, factor=factor, column=column)


def opened(url: str, timeout: timedelta = WITHIN) -> SqlSource:
    return SqlSource("ops", SqlModel(database=url, timeout=timeout), Path())


@pytest.fixture
def ops(postgresql: postgres.Server) -> Iterator[SqlSource]:
    postgresql.run(TABLE)
    source = opened(postgresql.url(password=SECRET))
    yield source
    source.close()
    postgresql.run("drop table requests")


@pytest.fixture
def mortal() -> Iterator[postgres.Server]:
    """A server that may be killed."""
    with postgres.running() as server:
        server.run(TABLE)
        yield server


def test_it_is_measured_by_version_and_window_in_the_base_unit(ops: SqlSource) -> None:
    (found,) = ops.measure([request(factor=0.001)])
    assert found.value == pytest.approx(0.3)
    assert found.variance == pytest.approx(0.02)
    assert (found.samples, found.status) == (2, "ok")
    assert found.as_of == datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
    assert ops.last_received() == found.as_of


def test_one_query_answers_for_both_versions_and_every_column(ops: SqlSource) -> None:
    found = ops.measure(
        [
            request(BOTH),
            request(BOTH, "v1"),
            request(BOTH, column="p95"),
            request(BOTH, "v1", "p95"),
            request(BOTH, "v9"),
        ]
    )
    assert [one.value for one in found] == [300.0, 100.0, pytest.approx(390.0), 100.0, None]
    assert found[-1].status == "no_data"


def test_those_who_ask_the_same_are_asked_for_once(ops: SqlSource) -> None:
    began = """select v as version, extract(epoch from now()) as value,
               extract(epoch from now()) as other from (values ('v1'), ('v3')) as t(v)"""
    asked = [request(began), request(began, "v1"), request(began, "v1", "other")]
    assert len({found.value for found in ops.measure(asked)}) == 1


def test_nothing_is_no_data_and_no_zero(ops: SqlSource) -> None:
    assert ops.measure([request(version="v9")])[0].status == "no_data"
    assert ops.measure([request("select 1 as value where false")])[0].status == "no_data"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select nonsense from requests", "nonsense"),
        ("selec", "not one `select`"),
        ("insert into requests values (now(), 'v3', 1) returning 1 as value", "not one `select`"),
        ("commit; drop table requests", "not one `select`"),
        ("select 1 as value; drop table requests", "multiple commands"),
        ("with gone as (delete from requests returning 1) select 1 as value", "WITH"),
        ("select set_config('transaction_read_only', 'off', true) as value", "read-write"),
        ("select latency as value from requests", "more than one row"),
        ("select 1 as wrong", "no column `value` among: wrong"),
        ("select 'abc' as value", "not a number"),
        ("select * from elsewhere", "elsewhere"),
        ("select version, 1 as value from requests", "more than one row of version v3"),
    ],
)
def test_a_query_that_cannot_be_is_an_error_of_its_own_and_writes_nothing(
    ops: SqlSource, query: str, said: str
) -> None:
    broken, fine = ops.measure([request(query), request()])
    assert broken.status == "error"
    assert said in broken.detail
    assert (fine.status, fine.samples) == ("ok", 2)


def test_text_that_means_something_to_a_driver_means_nothing_here(ops: SqlSource) -> None:
    query = "select 17 % 5 as value -- 100% of %s, and a ';'\n where 'a%s' like 'a%' ;"
    (found,) = ops.measure([request(query)])
    assert found.value == 2.0
    (none,) = ops.measure([request(version="v3' or '1'='1")])
    assert none.status == "no_data"


def test_times_without_a_zone_are_utc(ops: SqlSource, postgresql: postgres.Server) -> None:
    query = """select count(*) as value, max(t) as as_of
               from (values ('2026-03-02 14:31:00'::timestamp)) as seen(t)
               where t > $since and t <= $now"""
    (found,) = ops.measure([request(query)])
    assert (found.value, found.as_of) == (1.0, datetime(2026, 3, 2, 14, 31, tzinfo=UTC))


def test_rows_without_end_are_neither_sent_nor_kept(ops: SqlSource) -> None:
    query = "select 'v' || generate_series(1, 1000000000) as version, 1 as value"
    (found,) = ops.measure([request(query)])
    assert (found.status, "more than 1000 rows" in found.detail) == ("error", True)


def test_a_query_that_takes_too_long_is_ended_by_the_server(postgresql: postgres.Server) -> None:
    source = opened(postgresql.url(), timedelta(milliseconds=50))
    slow, quick = source.measure(
        [request("select pg_sleep(3600) is null as value"), request("select 1 as value")]
    )
    assert (slow.status, slow.detail) == ("error", "no answer within 0.05s")
    assert quick.value == 1
    source.close()


def test_a_server_that_hangs_is_hung_up_on_and_asked_again_at_the_next_look(
    mortal: postgres.Server,
) -> None:
    source = opened(mortal.url(), timedelta(milliseconds=100))
    assert source.measure([request()])[0].status == "ok"
    mortal.freeze()
    (hung,) = source.measure([request()])
    assert (hung.status, hung.detail) == ("error", "no answer within 0.1s")
    mortal.thaw()
    assert source.measure([request()])[0].status == "ok"
    source.close()


def test_a_server_that_dies_is_an_error_until_it_is_back(mortal: postgres.Server) -> None:
    source = opened(mortal.url(password=SECRET))
    assert source.measure([request()])[0].status == "ok"
    mortal.kill()
    gone = source.measure([request(), request(version="v1")])
    assert [one.status for one in gone] == ["error", "error"]
    assert SECRET not in gone[0].detail
    with pytest.raises(SourceError, match=str(mortal.place)):
        source.check()
    mortal.start()
    assert source.measure([request()])[0].status == "ok"
    source.close()


def test_a_server_that_was_started_anew_between_two_looks_is_not_noticed(
    mortal: postgres.Server,
) -> None:
    source = opened(mortal.url())
    assert source.measure([request()])[0].status == "ok"
    mortal.kill()
    mortal.start()
    assert source.measure([request()])[0].status == "ok"
    source.close()


def test_a_connection_is_kept_and_shared(ops: SqlSource, postgresql: postgres.Server) -> None:
    def look() -> None:
        for _ in range(10):
            assert ops.measure([request()])[0].status == "ok"

    threads = [Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with psycopg.connect(postgresql.url()) as connection:
        query = "select count(*) from pg_stat_activity where application_name = 'rollout'"
        row = connection.execute(query).fetchone()
    assert row == (1,)


def test_the_password_is_nowhere(
    ops: SqlSource, postgresql: postgres.Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = [ops.check(), ops.measure([request(f'select "{SECRET}" as value')])[0].detail]
    for url in (
        postgresql.url(user="nobody", password=SECRET),
        postgresql.url(password=SECRET, port=1),
        f"postgresql://kim:{SECRET}@host/ops?nonsense={SECRET}",
        f"postgresql://kim:{SECRET}@host:port:port/ops",
    ):
        source = opened(url)
        words += [source.measure([request()])[0].detail]
        with pytest.raises(SourceError) as error:
            source.check()
        words += [str(error.value)]
    assert "postgresql://postgres@" in words[0]
    assert all(words)
    for said in (*words, caplog.text):
        assert "hunter2" not in said
