"""What was observed as evidence: how much there was, how much it varied, what it had in common."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.marked import load
from support.traffic import changed

from controller.core.calendar import AlwaysOpen, Calendar
from controller.policy.evidence import Evidence
from controller.policy.models import Policy
from controller.replay.evidence import NothingMeasured, of_history, of_store
from controller.replay.history import HistoryError
from controller.run.calendars import Calendars
from controller.sources.push import PushSource
from controller.store import open_store

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def always(at: datetime) -> Calendar:
    del at
    return AlwaysOpen()


def policy(*edits: tuple[str, str]) -> Policy:
    loaded = load(changed(*edits))
    assert loaded.policy is not None
    return loaded.policy


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    file = path / "history.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def row(seconds: float, version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"ts": (T0 + timedelta(seconds=seconds)).isoformat(), "version": version, **fields}


def mirrored(count: int) -> Iterable[dict[str, Any]]:
    """Both versions on the same work, one piece each three seconds, with 0.7 in common."""
    random = Random(5)
    for number in range(count):
        shared = random.gauss(0, sqrt(0.7) * 40)
        for version in ("v1", "v3"):
            pnl = shared + random.gauss(0, sqrt(0.3) * 40)
            yield row(3 * number, version, key=f"k{number}", pnl=pnl, correct=number % 5 > 0)


def test_mirrored_work_counts_once_and_its_pairs_are_seen_to_correlate(tmp_path: Path) -> None:
    found = of_history(policy(), written(tmp_path, mirrored(4000)), always)

    assert found.traffic == pytest.approx(1 / 3)
    assert found.rate("metric", "pnl") == pytest.approx(1 / 3)
    spread = found.spreads["pnl"]
    assert spread.sd == pytest.approx(40, rel=0.03)
    assert spread.correlation == pytest.approx(0.7, abs=0.03)
    assert spread.mean == pytest.approx(0, abs=3)
    assert found.spreads["accuracy"].sd == pytest.approx(0.4, rel=0.01)
    assert "8,000 observations of 4,000 keys in 3h" in found.told


def test_work_without_keys_is_what_both_versions_got(tmp_path: Path) -> None:
    rows = [row(10 * n, "v3" if n % 20 == 0 else "v1", correct=True, pnl=7.0) for n in range(361)]
    found = of_history(policy(), written(tmp_path, rows), always)

    assert found.traffic == pytest.approx(0.1)
    assert "pnl" not in found.spreads  # all alike: nobody knows how much it varies


def test_only_observations_that_have_the_field_are_samples_of_a_metric(tmp_path: Path) -> None:
    rows = [row(10 * n, correct=n % 2 > 0) for n in range(401)]
    for number in range(0, 401, 4):
        rows[number]["pnl"] = float(number)
    found = of_history(policy(), written(tmp_path, rows), always)

    assert found.rate("metric", "accuracy") == pytest.approx(0.1)
    assert found.rate("metric", "pnl") == pytest.approx(0.1 * 101 / 401)


def test_a_field_that_was_never_seen_brings_no_samples(tmp_path: Path) -> None:
    rows = [row(10 * n, correct=True) for n in range(50)]
    found = of_history(policy(), written(tmp_path, rows), always)

    assert found.rate("metric", "pnl") == 0


def test_a_later_part_is_no_further_observation(tmp_path: Path) -> None:
    first = [row(10 * n, id=f"s{n}", correct=True) for n in range(101)]
    later = [
        {
            "ts": (T0 + timedelta(hours=1)).isoformat(),
            "id": f"s{n}",
            "pnl": float(n % 7),
            "correct": True,
        }
        for n in range(101)
    ]
    found = of_history(policy(), written(tmp_path, first + later), always)

    assert found.traffic == pytest.approx(0.1)
    for metric in ("pnl", "accuracy"):
        assert found.rate("metric", metric) == pytest.approx(0.1)
    assert found.spreads["pnl"].sd == pytest.approx(2, rel=0.05)


def test_other_versions_say_nothing(tmp_path: Path) -> None:
    rows = [row(n, "v2", correct=True) for n in range(100)]
    rows += [row(10 * n, "v1", correct=True) for n in range(11)]
    found = of_history(policy(), written(tmp_path, rows), always)

    assert found.traffic == pytest.approx(0.1)


def test_observations_that_remember_are_worth_fewer(tmp_path: Path) -> None:
    random, value, rows = Random(3), 0.0, []
    for number in range(5000):
        value = 0.8 * value + random.gauss(0, 24)
        rows.append(row(number, pnl=value))
    found = of_history(policy(), written(tmp_path, rows), always)

    assert found.spreads["pnl"].worth == pytest.approx(1 / 9, rel=0.4)


def test_what_a_bar_does_to_both_versions_drops_out_of_bars(tmp_path: Path) -> None:
    random, rows, mood = Random(3), [], 0.0
    for number in range(6000):
        mood = random.gauss(0, 40) if number % 60 == 0 else mood
        for version in ("v1", "v3"):
            rows.append(row(10 * number, version, pnl=mood + random.gauss(0, 10)))
    edit = ("sd: 40", "sd: 40, dependence: 10m")
    found = of_history(policy(edit), written(tmp_path, rows), always)

    # Taken one by one: 2 x 1700 / 6000; by bar: 2 x 100 / 6000.
    assert found.spreads["pnl"].worth == pytest.approx(17, rel=0.35)


def test_time_counts_while_the_market_is_open(tmp_path: Path) -> None:
    calendars = Calendars()
    close = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
    opened = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    moments = [close - timedelta(minutes=n) for n in range(30, 0, -1)]
    moments += [opened + timedelta(minutes=n) for n in range(31)]
    rows = [row((at - T0).total_seconds(), correct=True) for at in moments]

    found = of_history(
        policy(), written(tmp_path, rows), lambda at: calendars.span("XNYS", at).calendar
    )

    assert found.traffic == pytest.approx(1 / 60)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(0, "v2", pnl=1.0), row(9, "v2", pnl=1.0)], "no two observations of v3 or v1"),
        ([row(0, pnl=1.0)], "no two observations"),
    ],
)
def test_nothing_is_measured_of_nothing(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(NothingMeasured, match=said):
        of_history(policy(), written(tmp_path, rows), always)


def test_measurements_do_not_say_how_much_there_was(tmp_path: Path) -> None:
    rows = [{"ts": T0.isoformat(), "candidate.pnl": 1.0, "candidate.pnl.samples": 100}]

    with pytest.raises(HistoryError, match="give observations"):
        of_history(policy(), written(tmp_path, rows), always)


def test_a_store_is_evidence_like_a_file(tmp_path: Path) -> None:
    rows = list(mirrored(500))
    with_file = of_history(policy(), written(tmp_path, rows), always)
    store = open_store(str(tmp_path / "rollout.db"), create=True)
    source = PushSource("signals", store, "signal/signals")
    source.push(rows, T0 + timedelta(days=1))

    with_store = of_store(policy(), store, always)

    assert without_words(with_store) == without_words(with_file)
    assert "the store: signals 1,200/h" in with_store.told
    store.close()


def without_words(found: Evidence) -> tuple[Any, ...]:
    return found.traffic, dict(found.rates), dict(found.spreads)
