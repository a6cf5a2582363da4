"""A history of measurements goes through the same machine as everything else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.core.event import Tick
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
  errors: {source: app, value: ratio(failed), window: 5m, min_samples: 50, better: lower}
  latency: {source: app, value: mean(took), unit: ms, window: 5m, min_samples: 0, better: lower}
stages:
  - name: canary
    weight: 10%
    hold: 10m
    advance: [candidate.errors <= 5%, candidate.latency <= 300ms]
    approval: {by: ops, within: 2h}
  - {name: full, weight: 100%, hold: 20m, against: frozen_baseline,
     advance: ["not_worse(errors, margin: 3%)"]}
triggers:
  - {name: errors, when: candidate.errors > 20%, severity: high, confirm: 3 in a row}
  - {name: silent, when: app.silent > 5m, severity: high}
"""
COLUMNS = (
    "ts,candidate.errors,candidate.errors.samples,candidate.errors.variance,candidate.latency,"
    "baseline.errors,baseline.errors.samples,baseline.errors.variance"
)
START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BASELINE_LAST = 15
"""From then on the baseline has no traffic, and nothing is measured of it."""


def replayed(tmp_path: Path, rows: list[tuple[int, float]], header: str = COLUMNS) -> Timeline:
    """`rows` are minutes and the candidate's share of errors."""
    lines = [
        f"{START + minute * MINUTE:%Y-%m-%dT%H:%M:%SZ},{errors},1000,0.01,120,"
        + ("0.02,1000,0.01" if minute < BASELINE_LAST else ",,")
        for minute, errors in rows
    ]
    path = tmp_path / "history.csv"
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    loaded = load_text(POLICY, tmp_path / "web.yaml", {})
    assert loaded.ok, [str(finding) for finding in loaded.findings]
    return replay_history(loaded, path)[2]


def moves(timeline: Timeline) -> list[str]:
    return [one.decision.state.name for one in timeline.happened if one.decision.move == "tick"]


def test_good_measurements_lead_to_the_end_frozen_baseline_and_approval_included(
    tmp_path: Path,
) -> None:
    timeline = replayed(tmp_path, [(minute, 0.02) for minute in range(60)])
    assert moves(timeline) == ["canary.approval", "full", "completed"]
    assert timeline.ticks == 60
    assert timeline.quiet > 0


def test_what_is_not_recorded_is_not_measured(tmp_path: Path) -> None:
    timeline = replayed(tmp_path, [(m, 0.02) for m in range(20) if m not in (4, 5)])
    seen = {
        one.at // MINUTE: one.event.measurements["candidate.errors"].status
        for one in timeline.happened
        if isinstance(one.event, Tick)
    }
    assert seen[5] == seen[6] == "no_data"
    assert all(status == "ok" for minute, status in seen.items() if minute not in (5, 6))


def test_bad_measurements_lead_back_at_the_third_in_a_row(tmp_path: Path) -> None:
    bad = {5: 0.5, 6: 0.5, 20: 0.5, 21: 0.5, 22: 0.5}
    timeline = replayed(tmp_path, [(m, bad.get(m, 0.08)) for m in range(40)])
    back = next(o for o in timeline.happened if o.decision.state.name.startswith("rolling_back"))
    assert back.at == 23 * MINUTE
    assert "errors" in back.decision.reasons[0]


def test_a_gap_is_no_data_and_silence(tmp_path: Path) -> None:
    timeline = replayed(tmp_path, [(m, 0.02) for m in range(40) if not 4 < m < 15])
    back = next(o for o in timeline.happened if o.decision.state.name.startswith("rolling_back"))
    assert "silent" in back.decision.reasons[0]
    assert back.at == 11 * MINUTE


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (COLUMNS.replace("ts,", "time,"), "no column `ts`"),
        (COLUMNS.replace("candidate.latency", "candidate.speed"), "no column candidate.latency"),
        (COLUMNS.replace("candidate.errors.samples", "n"), "no column candidate.errors.samples"),
        ("ts,a,b,c,d,e,f,g", "neither `version` nor a column like candidate.METRIC"),
    ],
)
def test_what_would_be_missing_at_every_tick_is_said_before_the_first(
    tmp_path: Path, header: str, said: str
) -> None:
    with pytest.raises(HistoryError, match=said):
        replayed(tmp_path, [(0, 0.02)], header)


def test_a_history_without_rows_says_so(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="has no rows"):
        replayed(tmp_path, [])


def test_numbers_that_are_none_are_an_error_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{COLUMNS}\n2026-03-02T14:00:00Z,x,1,1,1,1,1,1\n", encoding="utf-8")
    with pytest.raises(HistoryError, match=r"history\.csv: .*x"):
        replay_history(load_text(POLICY, tmp_path / "web.yaml", {}), path)


def test_a_history_may_say_how_good_the_data_was(tmp_path: Path) -> None:
    policy = POLICY.replace("{type: push}", "{type: push, quality: {required: [took]}}").replace(
        "when: app.silent > 5m", "when: app.quality < 70%"
    )
    loaded = load_text(policy, tmp_path / "web.yaml", {})
    assert loaded.ok, [str(finding) for finding in loaded.findings]
    header = f"{COLUMNS},app.quality,app.quality.samples"
    rows = [
        f"{START + minute * MINUTE:%Y-%m-%dT%H:%M:%SZ},0.01,1000,0.01,120,0.02,1000,0.01,"
        f"{1.0 if minute < 5 else 0.6},100"
        for minute in range(8)
    ]
    path = tmp_path / "history.csv"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    assert moves(replay_history(loaded, path)[2])[:1] == ["rolling_back.baseline_traffic"]
    path.write_text("\n".join([COLUMNS, *(row.rsplit(",", 2)[0] for row in rows)]))
    with pytest.raises(HistoryError, match=r"app\.quality"):
        replay_history(loaded, path)
