"""What a client records is what the controller's source reads; what cannot be written is told."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.publishing import Line, state

from controller.client import Client, Recorder, RecordError
from controller.sources.base import Request
from controller.sources.directory import DirectorySource
from controller.store import open_store
from controller.store.base import Store

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "rollout.db")) as store:
        yield store


def client(directory: Path, *, strict: bool = False, name: str = "client") -> Client:
    line = Line()
    line.put(state(100_000))
    return Client(
        line, baseline="v1", watch=None, strict=strict, recorder=Recorder(directory, name),
        wall=NOW.timestamp,
    )  # fmt: skip


def lines(directory: Path, name: str = "client") -> list[dict[str, Any]]:
    text = (directory / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def total(source: DirectorySource, version: str) -> float | None:
    since = NOW - timedelta(days=1)
    request = Request("candidate", "m", version, "sum(pnl)", since, NOW + timedelta(hours=1))
    return source.measure([request])[0].value


def test_what_is_recorded_is_measured_and_a_late_outcome_counts_for_who_routed_it(
    tmp_path: Path, store: Store
) -> None:
    source = DirectorySource("signals", store, tmp_path / "inbox", "ifd/signals")
    with client(tmp_path / "inbox") as desk:
        answer = desk.assign("NQ-0931")
        assert desk.record(answer, id="a17", key="NQ-0931", failed=False)
        assert desk.record("v1", id="a18", key="NQ-0931", pnl=5.0)
        assert source.poll(NOW) == 2
        assert desk.outcome("a17", pnl=-150.0)
        assert source.poll(NOW + timedelta(minutes=1)) == 1
    assert (total(source, "v3"), total(source, "v1")) == (-150.0, 5.0)
    first = lines(tmp_path / "inbox")[0]
    assert first == {
        "version": "v3", "ts": NOW.isoformat(), "id": "a17", "key": "NQ-0931", "failed": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "written"),
    [(Decimal("1.5"), 1.5), (np.float64(1.5), 1.5), (np.int64(3), 3), (np.bool_(True), True),
     (float("nan"), None), (float("inf"), None), (None, None), ("buy", "buy"), (True, True)],
)  # fmt: skip
def test_a_number_of_any_library_is_a_number_and_what_is_none_is_no_data(
    tmp_path: Path, value: object, written: object
) -> None:
    assert client(tmp_path).record("v3", x=value)
    found = lines(tmp_path)[0]["x"]
    assert (found, type(found)) == (written, type(written))


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"x": object()}, "x is a number"), ({"x": [1]}, "x is a number"), ({"x": "\ud800"}, "JSON"),
     ({"version": "v9"}, "version is no field"), ({"ts": "now"}, "ts is no field"),
     ({"at": datetime(2026, 3, 2)}, "with its zone")],  # noqa: DTZ001
)  # fmt: skip
def test_what_cannot_be_written_is_counted_and_raised_only_if_asked_for(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    desk = client(tmp_path)
    assert not desk.record("v3", **fields)
    assert desk.counts == {"record": 1}
    assert not (tmp_path / "client.jsonl").exists()
    with pytest.raises(RecordError, match=said):
        client(tmp_path, strict=True).record("v3", **fields)


def test_a_place_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("in the way")
    desk = client(tmp_path / "inbox")
    assert not desk.record("v3", x=1)
    (tmp_path / "inbox").unlink()
    assert desk.record("v3", x=2)
    assert [line["x"] for line in lines(tmp_path / "inbox")] == [2]


def test_a_line_torn_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "client.jsonl").write_bytes(b'{"version": "v3", "x')
    client(tmp_path).record("v3", x=2)
    assert json.loads((tmp_path / "client.jsonl").read_bytes().splitlines()[1])["x"] == 2


def test_many_threads_and_clients_share_a_file_and_lose_no_line(tmp_path: Path) -> None:
    clients = [client(tmp_path), client(tmp_path)]

    def write(desk: Client, thread: int) -> None:
        for number in range(200):
            desk.record("v3", x=thread * 1000 + number)

    threads = [
        threading.Thread(target=write, args=(desk, number))
        for number, desk in enumerate(clients * 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {thread * 1000 + number for thread in range(4) for number in range(200)}
    assert {line["x"] for line in lines(tmp_path)} == wanted


def test_without_a_place_for_observations_recording_is_a_mistake_of_the_caller() -> None:
    line = Line()
    with pytest.raises(ValueError, match="observations=DIR"):
        Client(line, baseline="v1", watch=None).record("v1", x=1)


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "a" * 101])
def test_a_recorders_name_is_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a file"):
        Recorder(tmp_path, name)
