"""Files of observations: whole lines, once each, across restarts, truncation and rotation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.core.measurement import Measurement
from controller.policy.source import PushSource as PushModel
from controller.policy.source import SqlSource as SqlModel
from controller.sources import open_source
from controller.sources.base import Request, SourceError
from controller.sources.directory import CHUNK, READ, DirectorySource
from controller.sources.push import PushSource
from controller.sources.sql import SqlSource
from controller.store import open_store
from controller.store.base import Store

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(str(tmp_path / "rollout.db"))
    yield store
    store.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return inbox


def opened(store: Store, inbox: Path) -> DirectorySource:
    return DirectorySource("signals", store, inbox, "ifd/signals")


def line(x: float) -> str:
    return f'{{"version": "v3", "x": {x}}}\n'


def ask(source: PushSource, expression: str = "sum(x)") -> Measurement:
    since = NOW - timedelta(days=1)
    (found,) = source.measure([Request("candidate", "m", "v3", expression, since, NOW)])
    return found


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_only_whole_lines_are_taken_and_each_once(store: Store, inbox: Path) -> None:
    source, file = opened(store, inbox), inbox / "a.jsonl"
    assert source.poll(NOW) == 0
    append(file, line(1) + line(2)[:10])
    assert [source.poll(NOW), source.poll(NOW)] == [1, 0]
    append(file, line(2)[10:] + "\n" + line(3))
    append(inbox / "b.jsonl", line(4))
    append(inbox / "notes.txt", line(100))
    assert source.poll(NOW) == 3
    assert ask(source).value == 10
    assert source.last_received() == NOW


def test_a_restart_goes_on_where_the_last_one_stopped(store: Store, inbox: Path) -> None:
    file = inbox / "a.jsonl"
    append(file, line(1) + line(2))
    assert opened(store, inbox).poll(NOW) == 2
    again = opened(store, inbox)
    assert again.poll(NOW) == 0
    append(file, line(3))
    assert again.poll(NOW) == 1
    assert ask(again).value == ask(opened(store, inbox)).value == 6


def test_a_line_is_taken_once_even_when_the_note_of_its_place_was_pruned(
    store: Store, inbox: Path
) -> None:
    file = inbox / "a.jsonl"
    append(file, "".join(line(n) for n in range(7)))
    assert opened(store, inbox).poll(NOW) == 7
    assert store.prune_observations("ifd/signals", NOW + timedelta(seconds=1)) == 1
    append(file, line(100) + line(200))
    again = opened(store, inbox)
    assert again.poll(NOW) == 2
    assert ask(again).value == 300


def test_a_bad_line_is_named_by_file_and_line_and_told_once(store: Store, inbox: Path) -> None:
    source = opened(store, inbox)
    append(inbox / "a.jsonl", line(1) + "\n" + "oops\n" + line(2))
    assert source.poll(NOW) == 2
    assert (source.refused, source.poll(NOW), source.refused) == (1, 0, 1)
    assert source.last_error.startswith("signals: a.jsonl:3: not JSON")
    assert "a.jsonl:3" in source.check()
    append(inbox / "a.jsonl", "also bad\n")
    source.poll(NOW)
    assert "a.jsonl:5" in source.last_error
    assert opened(store, inbox).poll(NOW) == 0


def test_a_truncated_file_is_read_from_its_start(store: Store, inbox: Path) -> None:
    source, file = opened(store, inbox), inbox / "a.jsonl"
    append(file, line(1) + line(2))
    source.poll(NOW)
    file.write_text(line(10))
    assert source.poll(NOW) == 1
    assert ask(source).value == 13


def test_a_file_replaced_by_a_longer_one_is_read_from_its_start(store: Store, inbox: Path) -> None:
    source, file = opened(store, inbox), inbox / "a.jsonl"
    append(file, line(1))
    source.poll(NOW)
    file.rename(inbox / "a.jsonl.1")
    append(file, line(10) + line(20) + line(30))
    assert source.poll(NOW) == 3
    assert ask(source).value == 61


def test_a_file_longer_than_a_batch_is_read_whole(store: Store, inbox: Path) -> None:
    source = opened(store, inbox)
    append(inbox / "a.jsonl", "".join(line(1) for _ in range(2 * CHUNK + 5)))
    assert source.poll(NOW) == 2 * CHUNK + 5
    assert ask(opened(store, inbox), "count()").value == 2 * CHUNK + 5


def test_a_line_without_end_is_told_and_does_not_stop_what_follows(
    store: Store, inbox: Path
) -> None:
    source = opened(store, inbox)
    append(inbox / "a.jsonl", "a" * (READ + 10) + "\n" + line(7))
    assert source.poll(NOW) == 1
    assert ask(source).value == 7
    assert source.refused == 2


def test_a_file_that_cannot_be_read_does_not_keep_the_others(store: Store, inbox: Path) -> None:
    source = opened(store, inbox)
    (inbox / "a.jsonl").mkdir()
    append(inbox / "b.jsonl", line(1))
    assert source.poll(NOW) == 1
    assert source.last_error.startswith("signals: a.jsonl: ")


def test_observations_can_be_pushed_beside_the_files(store: Store, inbox: Path) -> None:
    source = opened(store, inbox)
    append(inbox / "a.jsonl", line(1))
    source.push([{"version": "v3", "x": 5}], NOW)
    source.poll(NOW)
    assert ask(source).value == ask(opened(store, inbox)).value == 6


def test_a_directory_that_is_not_there_yet_is_no_error_of_polling(
    store: Store, tmp_path: Path
) -> None:
    source = opened(store, tmp_path / "later")
    assert source.poll(NOW) == 0
    with pytest.raises(SourceError, match="make it"):
        source.check()


def test_the_source_that_a_policy_names_is_opened(store: Store, tmp_path: Path) -> None:
    def open_one(model: PushModel | SqlModel, name: str = "s") -> object:
        return open_source(name, model, store=store, base_dir=tmp_path, rollout="ifd")

    push, files = open_one(PushModel()), open_one(PushModel(directory="inbox"))
    assert isinstance(push, PushSource)
    assert push.stored_name == "ifd/s"
    assert isinstance(files, DirectorySource)
    assert files.directory == tmp_path / "inbox"
    assert isinstance(open_one(SqlModel()), SqlSource)


def test_a_source_whose_directory_is_gone_from_the_policy_keeps_its_observations(
    store: Store, inbox: Path
) -> None:
    append(inbox / "a.jsonl", line(3))
    opened(store, inbox).poll(NOW)
    assert ask(PushSource("signals", store, "ifd/signals")).value == 3
