"""Series: exact values of every shape, at their edges too."""

from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path

import pytest
from support.marked import GOOD as POLICY

from controller.replay.scenario import load_scenarios
from controller.replay.series import Series

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def series(text: str, folder: Path, name: str = "candidate.latency") -> Series:
    """As the scenario reader makes it."""
    (folder / "signal.yaml").write_text(POLICY, encoding="utf-8")
    path = folder / "signal.scenarios.yaml"
    path.write_text(
        "policy: signal.yaml\nstart: 2026-03-02T14:30:00Z\nscenarios:\n"
        f"  - {{name: s, series: {{{name}: {text}}}}}\n",
        encoding="utf-8",
    )
    found = load_scenarios(path, {})
    assert not found.findings, [str(finding) for finding in found.findings]
    return found.scenarios[0].series[name]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("120ms", {0: 0.12, 3600: 0.12}),
        ("{constant: -5}", {0: -5.0}),
        ("{at: 1m, constant: 7}", {59: None, 60: 7.0}),
        ("[{constant: 1}, {at: 1m, step: 3}]", {59: 1.0, 60: 3.0, 9999: 3.0}),
        ("{ramp: {from: 1, to: 3, over: 2m}}", {0: 1.0, 30: 1.5, 60: 2.0, 120: 3.0, 500: 3.0}),
        ("[{constant: 9}, {at: 1m, ramp: {from: 4, to: 2, over: 1m}}]",
         {59: 9.0, 60: 4.0, 90: 3.0, 120: 2.0}),
        ("[{constant: 1}, {at: 1m, gap: 30s}]", {59: 1.0, 60: None, 89: None, 90: 1.0}),
        ("[{constant: 1}, {at: 1m, gap: always}, {at: 5m, constant: 2}]",
         {60: None, 299: None, 300: 2.0}),
    ],
)  # fmt: skip
def test_a_shape_has_these_values(
    text: str, values: dict[int, float | None], tmp_path: Path
) -> None:
    found = series(text, tmp_path)

    for second, value in values.items():
        got = found.value(timedelta(seconds=second))[0]
        assert got == (None if value is None else pytest.approx(value)), second


def test_a_gap_is_no_data_and_nan_is_a_value_that_is_none(tmp_path: Path) -> None:
    found = series("[{constant: 1}, {at: 1m, gap: 1m}, {at: 3m, nan: here}]", tmp_path)

    gap = found.measurement(timedelta(minutes=1), NOW)
    assert (gap.status, gap.value) == ("no_data", None)
    value = found.measurement(timedelta(minutes=3), NOW).value
    assert value is not None and isnan(value)


def test_samples_are_those_of_the_piece_and_a_step_keeps_them(tmp_path: Path) -> None:
    found = series(
        "[{constant: 1, samples: 7, sd: 2}, {at: 1m, step: 2}, {at: 2m, constant: 3}]", tmp_path
    )

    first = found.measurement(timedelta(0), NOW)
    assert (first.samples, first.variance, first.mean, first.as_of) == (7, 4.0, 1.0, NOW)
    assert found.measurement(timedelta(minutes=1), NOW).samples == 7
    assert found.measurement(timedelta(minutes=2), NOW).samples == 1000


def test_a_ratio_brings_its_own_variance_and_a_mean_does_not(tmp_path: Path) -> None:
    ratio = series("80%", tmp_path, "candidate.accuracy").measurement(timedelta(0), NOW)
    mean = series("80ms", tmp_path).measurement(timedelta(0), NOW)

    assert ratio.variance == pytest.approx(0.16)
    assert mean.variance is None


def test_noise_depends_on_seed_and_moment_alone(tmp_path: Path) -> None:
    def noise(seed: int) -> list[float | None]:
        found = series(f"{{noise: {{mean: 10, sd: 2, seed: {seed}}}}}", tmp_path)
        return [found.value(timedelta(seconds=second))[0] for second in range(1000)]

    one = noise(1)
    assert one == noise(1)
    assert one != noise(2)
    values = [value for value in one if value is not None]
    mean = sum(values) / 1000
    deviation = (sum((value - mean) ** 2 for value in values) / 999) ** 0.5
    # Five standard errors of a mean of 1,000, and of their deviation.
    assert abs(mean - 10) < 5 * 2 / 1000**0.5
    assert abs(deviation - 2) < 5 * 2 / 2000**0.5


def test_a_recording_has_the_last_value_before_the_moment(tmp_path: Path) -> None:
    rows = "at,errors\n10s,1.5\n20s,\n30s,2.5%\n"
    (tmp_path / "past.csv").write_text(rows, encoding="utf-8")

    found = series("{csv: past.csv, column: errors}", tmp_path)

    seconds = (0, 9, 10, 19, 20, 30, 9999)
    values = [found.value(timedelta(seconds=second))[0] for second in seconds]
    assert values == [None, None, 1.5, 1.5, None, 0.025, 0.025]
