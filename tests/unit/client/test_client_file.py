"""The file feed: whole files only, looked at cheaply, by a thread that can be stopped."""

import gc
import threading
import weakref
from datetime import timedelta
from pathlib import Path

import pytest
from support.publishing import state

from controller.client import Client
from controller.client.feed import LARGEST, FeedError, FileFeed
from controller.effects.files import replace_file
from controller.traffic.published import Published, encode

PATIENCE = 30.0
OFTEN = timedelta(milliseconds=1)


def test_a_file_is_read_when_it_is_replaced_or_touched_and_not_in_between(tmp_path: Path) -> None:
    path = tmp_path / "share.json"
    feed = FileFeed(path)
    replace_file(path, b"one")
    first = feed.look()
    assert first is not None
    assert (first.content, first.written_at) == (b"one", path.stat().st_mtime)
    assert feed.look() is None
    replace_file(path, b"two")
    second = feed.look()
    assert second is not None
    assert second.content == b"two"


@pytest.mark.parametrize("what", ["nothing", "a directory", "too much", "a name that is none"])
def test_what_is_no_file_is_told_with_its_name_each_time(tmp_path: Path, what: str) -> None:
    path = tmp_path / ("\0" if what == "a name that is none" else "share.json")
    if what == "a directory":
        path.mkdir()
    elif what == "too much":
        with path.open("wb") as file:
            file.truncate(LARGEST + 1)
    feed = FileFeed(path)
    with pytest.raises(FeedError, match=r"share\.json|null") as found:
        feed.look()
    assert found.value.kind == ("missing" if what == "nothing" else "unreadable")


def test_a_file_that_comes_back_is_seen_though_it_did_not_change(tmp_path: Path) -> None:
    path, aside = tmp_path / "share.json", tmp_path / "aside"
    path.write_bytes(encode(state(100_000)))
    client = Client.from_file(path, baseline="v1", watch=None)
    path.rename(aside)
    client.refresh()
    assert "no file" in client.health().trouble
    aside.rename(path)
    client.refresh()
    assert client.health().ok


def test_a_change_reaches_a_client_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "share.json"
    seen = threading.Event()

    def listen(published: Published) -> None:
        seen.set()

    with Client.from_file(path, baseline="v1", watch=OFTEN) as client:
        assert client.assign("a").version == "v1"
        client.subscribe(listen)
        replace_file(path, encode(state(100_000)))
        assert seen.wait(PATIENCE)
        assert client.assign("a").version == "v3"
        assert client.health().watching
    assert client.assign("a").version == "v3"
    assert (client.health().watching, client.health().ok) == (False, False)
    assert "closed" in client.health().trouble


def test_a_client_that_nobody_holds_any_more_is_let_go_and_its_thread_ends(tmp_path: Path) -> None:
    client = Client.from_file(tmp_path / "share.json", baseline="v1", watch=OFTEN)
    assert client._watcher is not None
    thread, gone = client._watcher._thread, weakref.ref(client)
    assert thread is not None
    del client
    for _ in range(1000):
        gc.collect()
        thread.join(PATIENCE / 1000)
        if not thread.is_alive():
            break
    assert not thread.is_alive()
    assert gone() is None


def test_readers_in_many_threads_see_whole_states_while_the_file_changes(tmp_path: Path) -> None:
    """Every answer names a version and a token that were published together."""
    path = tmp_path / "share.json"
    path.write_bytes(encode(state(0, token=1)))
    wrong: list[object] = []
    done = threading.Event()

    def read(client: Client) -> None:
        while not done.is_set():
            answer = client.assign("a")
            if (answer.version == "v3") != (answer.token % 2 == 0):
                wrong.append(answer)

    with Client.from_file(path, baseline="v1", watch=OFTEN) as client:
        threads = [threading.Thread(target=read, args=(client,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for token in range(2, 30):
            replace_file(path, encode(state(100_000 if token % 2 == 0 else 0, token=token)))
            client.refresh()
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert wrong == []
    assert client.published is not None
    assert client.published.token == 29
