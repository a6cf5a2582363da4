"""Observations: chained per source, taken once, pruned without breaking the chain."""

from datetime import timedelta

import pytest
from support.commits import STEP, T0

from controller.store import observations
from controller.store.audit import verify_observations
from controller.store.base import ObservationBatch
from controller.store.sql import SqlStore

LINES = b'{"version": "v1", "correct": true}\n'


def _append(store: SqlStore, lines: bytes, *keys: str, source: str = "s") -> ObservationBatch:
    batch = store.append_observations(source, T0, lines, keys)
    assert batch is not None
    return batch


def test_batches_come_back_as_they_were_sent_in_order(store: SqlStore) -> None:
    sent = [_append(store, LINES + str(n).encode()) for n in range(3)]
    assert list(store.observations("s")) == sent
    assert [b.number for b in store.observations("s", after=1)] == [2, 3]
    assert sent[1].previous == sent[0].hash and sent[0].previous == "0" * 64


def test_each_source_has_a_chain_of_its_own(store: SqlStore) -> None:
    _append(store, LINES, source="b")
    assert _append(store, LINES, source="a").number == 1
    assert store.observation_sources() == ["a", "b"]
    assert list(store.observations("c")) == []


def test_a_known_key_refuses_the_whole_batch(store: SqlStore) -> None:
    _append(store, LINES, "file-1", "file-2", "file-2")
    assert store.append_observations("s", T0, b"more", ["file-3", "file-2"]) is None
    assert _append(store, b"more", "file-3").number == 2
    assert _append(store, LINES, "file-1", source="other").number == 1


def test_of_many_keys_every_one_is_looked_up(store: SqlStore) -> None:
    keys = [f"k{n}" for n in range(1200)]
    _append(store, LINES, *keys)
    assert store.append_observations("s", T0, LINES, [*(f"n{n}" for n in range(700)), "k9"]) is None


def test_old_keys_are_forgotten_past_the_bound(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "KEYS_KEPT", 3)
    _append(store, LINES, "a", "b", source="other")
    for key in "abcd":
        _append(store, LINES, key)
    assert store.append_observations("s", T0, LINES, ["b"]) is None
    _append(store, LINES, "a")
    assert store.append_observations("other", T0, LINES, ["a"]) is None


def test_pruning_drops_old_lines_and_the_chain_still_verifies(store: SqlStore) -> None:
    for n in range(4):
        store.append_observations("s", T0 + STEP * n, LINES)
    assert store.prune_observations("s", T0 + STEP * 2) == 2
    assert store.prune_observations("s", T0 + STEP * 2) == 0
    assert [b.number for b in store.observations("s")] == [3, 4]
    assert [b.lines for b in store.observation_chain("s")] == [b"", b"", LINES, LINES]
    report = verify_observations(store, "s")
    assert report.whole and report.links == 4


def test_reading_goes_on_past_a_page(store: SqlStore) -> None:
    for n in range(observations.PAGE + 5):
        store.append_observations("s", T0 + timedelta(seconds=n), LINES)
    assert len(list(store.observations("s"))) == observations.PAGE + 5
