"""A history of observations: the same windows, checks and machine as live; and what is wrong
with a history is said with its file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.policy.load import load_text
from controller.replay.history import HistoryError, replay_history
from controller.replay.timeline import Timeline

POLICY = """
rollout: web
baseline: v1
candidate: v2
schedule: {tick: 1m}
sources: {app: {type: push}}
metrics:
  errors: {source: app, value: ratio(failed), window: 5m, min_samples: 20, better: lower}
stages:
  - {name: canary, weight: 10%, hold: 10m, advance: [candidate.errors <= 5%]}
  - {name: full, weight: 100%, hold: 10m, advance: [candidate.errors <= 5%]}
triggers:
  - {name: errors, when: candidate.errors > 20%, severity: high, confirm: 3 in a row}
"""
START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


def rows(minutes: int, bad_from: int = 10_000) -> list[dict[str, object]]:
    """Six a minute of each version; from `bad_from` on the candidate fails half of the time."""
    return [
        {
            "ts": f"{START + timedelta(minutes=minute, seconds=10 * part):%Y-%m-%dT%H:%M:%SZ}",
            "version": version,
            "failed": version == "v2" and minute >= bad_from and part % 2 == 0,
        }
        for minute in range(minutes)
        for part in range(6)
        for version in ("v1", "v2")
    ]


def replayed(folder: Path, lines: list[dict[str, object]], policy: str = POLICY) -> Timeline:
    path = folder / "past.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return of_file(path, policy)


def of_file(path: Path, policy: str = POLICY) -> Timeline:
    loaded = load_text(policy, path.with_name("web.yaml"), {})
    assert loaded.ok, [str(finding) for finding in loaded.findings]
    return replay_history(loaded, path)[2]


def went(timeline: Timeline) -> list[tuple[timedelta, str]]:
    return [(o.at, o.decision.state.name) for o in timeline.happened if o.decision.move == "tick"]


def test_good_observations_lead_to_the_end(tmp_path: Path) -> None:
    minute = timedelta(minutes=1)

    assert went(replayed(tmp_path, rows(40))) == [
        (10 * minute, "full"), (20 * minute, "completed"),
    ]  # fmt: skip


def test_bad_observations_lead_back_as_they_come_in(tmp_path: Path) -> None:
    (at, state), *_ = went(replayed(tmp_path, rows(40, bad_from=3)))

    assert state == "rolling_back.baseline_traffic"
    # Bad from minute 3 on: a fifth of the window by minute 5, then twice more.
    assert timedelta(minutes=5) <= at <= timedelta(minutes=8)


def test_the_order_of_the_rows_does_not_matter_and_csv_says_the_same(tmp_path: Path) -> None:
    lines = rows(25, bad_from=12)
    forward = replayed(tmp_path, lines)
    backward = replayed(tmp_path, lines[::-1])
    path = tmp_path / "past.csv"
    columns = ("ts", "version", "failed")
    written = [",".join(columns)]
    written += [",".join(str(line[column]).lower() for column in columns) for line in lines]
    path.write_text("\n".join(written).replace("t1", "T1").replace("z,", "Z,"), encoding="utf-8")

    assert went(forward) == went(backward) == went(of_file(path)) != []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("past.jsonl", "", "past.jsonl"),
        ("past.csv", "ts,version,failed\n", "no observations"),
        ("past.csv", "when,version\n2026-03-02T14:00:00Z,v1\n", "version; a history has `ts`"),
        ("past.csv", "ts,failed\n2026-03-02T14:00:00Z,true\n", "neither `version` nor a column"),
        ("past.csv", "ts,version,failed\nyesterday,v1,true\n", "yesterday"),
        ("past.csv", "ts,version,failed\n2026-03-02T14:00:00Z,v1,1\n,v1,0\n", "without a time"),
        ("past.csv", "ts,candidate.errors\n,0.5\n", "without a time"),
        ("past.csv", "ts,candidate.errors\nsoon,0.5\n", "past.csv"),
        ("past.jsonl", '{"ts": "2026-03-02T14:00:00Z", "version": "v1"}\n{half', "past.jsonl"),
        ("past.txt", "ts", "histories are .csv, .parquet"),
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_read_is_named_with_the_reason(
    name: str, text: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")

    with pytest.raises(HistoryError) as wrong:
        of_file(path)

    assert words in str(wrong.value)


def test_an_observation_that_is_none_stops_the_replay_with_its_moment(tmp_path: Path) -> None:
    lines = rows(3)
    lines[9]["version"] = ""

    with pytest.raises(HistoryError, match="2026-03-02 14:00:40"):
        replayed(tmp_path, lines)


def test_a_source_that_the_policy_does_not_have_is_named(tmp_path: Path) -> None:
    lines = [line | {"source": "elsewhere"} for line in rows(1)]

    with pytest.raises(HistoryError, match="no push source 'elsewhere'"):
        replayed(tmp_path, lines)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"there is no file .*gone\.csv"):
        of_file(tmp_path / "gone.csv")
