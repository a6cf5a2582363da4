"""Rule evaluations a second: this replay beside `promtool test rules`, same series, one run.

Ten rules with `for: 5m` over 43,200 one-minute ticks (30 days). Needs `promtool` (Debian's
package `prometheus`). Prints both, their ratio, and how many alerts each saw fire.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from controller.core.effect import Alert
from controller.policy.load import LoadedPolicy, load_text
from controller.replay.history import replay_history

MINUTE = timedelta(minutes=1)
RULES, TICKS = 10, 43_200
HOLDS_AGAIN = 60
TARGET = 100
REPLAYS = 7
"""For each run of promtool; their median counts."""


def series() -> list["np.ndarray"]:
    """Ten noisy series; each now and then stays above its limit for ten minutes."""
    random = np.random.default_rng(20260302)
    found = []
    for _ in range(RULES):
        values = 0.02 + 0.005 * random.standard_normal(TICKS)
        for start in random.integers(0, TICKS - HOLDS_AGAIN, 30):
            values[start : start + 10] += 0.1
        found.append(np.round(np.clip(values, 0, 1), 5))
    return found


def policy() -> LoadedPolicy:
    """One stage that lasts the whole history, ten alerting triggers."""
    metrics = "\n".join(
        f"  m{i}: {{source: s, value: ratio(f{i}), window: 1m, min_samples: 0}}"
        for i in range(RULES)
    )
    triggers = "\n".join(
        f"  - {{name: t{i}, when: candidate.m{i} > {limit(i)}, severity: low, for: 5m}}"
        for i in range(RULES)
    )
    text = f"""rollout: bench
baseline: v1
candidate: v2
schedule: {{tick: 1m}}
sources: {{s: {{type: push}}}}
metrics:
{metrics}
stages:
  - {{name: long, weight: 100%, hold: 60d}}
triggers:
{triggers}
"""
    loaded = load_text(text, Path("bench.yaml"), {})
    if loaded.policy is None or loaded.findings:
        raise SystemExit("\n".join(str(f) for f in loaded.findings))
    return loaded


def limit(index: int) -> float:
    """Thresholds that the series cross in their bad ten minutes only, or nearly so."""
    return 0.04 + 0.002 * index


def history(found: list["np.ndarray"], folder: Path) -> Path:
    """The same series as a file of measurements, in Parquet as one exports them."""
    import duckdb

    path, parquet = folder / "history.csv", folder / "history.parquet"
    header = ",".join(["ts", *(f"candidate.m{i}" for i in range(RULES))])
    start = datetime(2026, 3, 1, tzinfo=UTC)
    lines = (
        ",".join([f"{start + row * MINUTE:%Y-%m-%dT%H:%M:%SZ}", *(f"{v:g}" for v in values)])
        for row, values in enumerate(zip(*found, strict=True))
    )
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    duckdb.sql(f"copy (select * from read_csv('{path}')) to '{parquet}' (format parquet)")
    return parquet


def ours(loaded: LoadedPolicy, path: Path) -> tuple[float, int]:
    """Seconds of one replay of the file, reading it included, and alerts that began to fire."""
    begin = perf_counter()
    _, _, timeline = replay_history(loaded, path)
    taken = perf_counter() - begin
    fired = sum(
        isinstance(effect, Alert) and effect.kind == "trigger"
        for one in timeline.happened
        for effect in one.decision.effects
    )
    if timeline.ticks != TICKS:
        raise SystemExit(f"{timeline.ticks} ticks were replayed, not {TICKS}")
    return taken, fired


def promtool(found: list["np.ndarray"], folder: Path) -> float:
    """Seconds of one `promtool test rules` over the same series and limits."""
    rules = "groups:\n- name: bench\n  rules:\n" + "".join(
        f"  - alert: T{i}\n    expr: m{i} > {limit(i)}\n    for: 5m\n" for i in range(RULES)
    )
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    inputs = "".join(
        f"  - series: m{i}\n    values: '{' '.join(f'{v:g}' for v in found[i])}'\n"
        for i in range(RULES)
    )
    test = (
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n"
        f"  input_series:\n{inputs}  alert_rule_test:\n"
        f"  - eval_time: {TICKS - 1}m\n    alertname: T0\n    exp_alerts: []\n"
    )
    (folder / "test.yml").write_text(test, encoding="utf-8")
    begin = perf_counter()
    done = subprocess.run(
        ["promtool", "test", "rules", str(folder / "test.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    taken = perf_counter() - begin
    if "SUCCESS" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return taken


def main() -> int:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    if shutil.which("promtool") is None:
        print("promtool is missing: apt-get install prometheus", file=sys.stderr)
        return 2
    loaded, found = policy(), series()
    theirs, mine, fired = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        path = history(found, Path(folder))
        for _ in range(runs):
            theirs.append(promtool(found, Path(folder)))
            # Ours is so short that a single one says more of the moment than of the program.
            replays = [ours(loaded, path) for _ in range(REPLAYS)]
            mine.append(median(seconds for seconds, _ in replays))
            fired = replays[0][1]
    evaluations = RULES * TICKS
    ratios = sorted(a / b for a, b in zip(theirs, mine, strict=True))
    for name, taken in (("promtool", theirs), ("rollout", mine)):
        print(
            f"{name:9} {median(taken):8.3f} s (min {min(taken):.3f}, max {max(taken):.3f}), "
            f"{evaluations / median(taken):12,.0f} rule evaluations/s"
        )
    print(f"ratio     {median(ratios):8.0f} (min {ratios[0]:.0f}, max {ratios[-1]:.0f}); "
          f"{fired} alerts fired")  # fmt: skip
    return int(median(ratios) < TARGET)


if __name__ == "__main__":
    sys.exit(main())
