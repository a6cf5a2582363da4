"""Observations a second over HTTP, and how long one push waits while a fleet is looked at.

python -m benchmarks.push_http [--rollouts 1000]
"""

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from controller.core.event import Command
from controller.run.commands import register
from controller.run.plans import Plans
from controller.run.unit import handle
from controller.store import open_store
from controller.store.base import Store

BATCH = 1000
BATCHES = 30
SMALL = 400
PAUSE_SECONDS = 0.02
POLICY = """
rollout: r{number}
baseline: v1
candidate: v2
schedule: {{tick: 5s}}
sources:
  signals: {{type: push}}
metrics:
  accuracy: {{source: signals, value: ratio(correct), window: 30m, min_samples: 100}}
  drawdown: {{source: signals, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}}
stages:
  - {{name: canary, weight: 5%, hold: 2d, advance: [candidate.accuracy >= 85%]}}
  - {{name: full, weight: 100%, hold: 2d}}
triggers:
  - {{name: loss, when: candidate.drawdown > 1%, severity: critical}}
"""


def main() -> int:
    """Set up, measure, print. Never fails: what it says depends on the machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=1000)
    count = parser.parse_args().rollouts
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _prepare(place, count)
        with _running(place) as controller:
            host = _address(place, controller)
            _wait_for_rounds(place)
            with closing(http.client.HTTPConnection(host)) as line:
                rate = BATCH * BATCHES / sum(_push(line, 0, BATCH) for _ in range(BATCHES))
                waits = []
                for number in range(SMALL):
                    waits.append(_push(line, number % count, 1))
                    time.sleep(PAUSE_SECONDS)
            totals = _totals(place)
            controller.terminate()
            controller.wait()
    cuts = statistics.quantiles(waits, n=100)
    print(
        f"{rate:,.0f} observations a second in batches of {BATCH:,}; one alone while {count:,} "
        f"rollouts are looked at every 5 s: {cuts[49] * 1e3:.1f} ms (p99 {cuts[98] * 1e3:.0f} ms); "
        f"{totals['rounds']} rounds, {totals['late']} looks late, {totals['overlapped']} overlapped"
    )
    return 0


def _prepare(place: Path, count: int) -> None:
    policies = place / "policies"
    policies.mkdir()
    (place / ".rollout").mkdir()
    with open_store(str(place / ".rollout" / "rollout.db")) as store:
        plans = Plans(store, {})
        for number in range(count):
            path = policies / f"r{number}.yaml"
            path.write_text(POLICY.format(number=number))
            register(store, plans, plans.read_file(path), datetime.now(UTC))
            event = Command("start", "bench")
            handle(store, plans.plan, f"r{number}", event, datetime.now(UTC))


def _running(place: Path) -> "subprocess.Popen[bytes]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ROLLOUT_")}
    program = Path(sys.executable).parent / "rollout"
    with (place / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [program, "run", "--listen", "127.0.0.1:0"],
            cwd=place, env=environment, stdout=log, stderr=log,
        )  # fmt: skip


def _address(place: Path, controller: "subprocess.Popen[bytes]") -> str:
    while controller.poll() is None:
        found = re.search(r"takes observations at http://(\S+)", (place / "log.txt").read_text())
        if found is not None:
            return found[1]
        time.sleep(0.05)
    raise SystemExit((place / "log.txt").read_text())


def _wait_for_rounds(place: Path) -> None:
    while _totals(place).get("decided", 0) == 0:
        time.sleep(0.2)


def _totals(place: Path) -> dict[str, int]:
    store: Store
    with open_store(str(place / ".rollout" / "rollout.db")) as store:
        beats = store.heartbeats()
    found: dict[str, int] = msgspec.json.decode(beats[0][2]) if beats else {}
    return found


def _push(line: http.client.HTTPConnection, rollout: int, count: int) -> float:
    """Seconds that it took."""
    at = datetime.now(UTC).isoformat()
    body = b"".join(
        msgspec.json.encode(
            {"version": "v2" if n % 2 else "v1", "ts": at, "id": f"{at}/{n}", "correct": True,
             "pnl": 1.0}
        ) + b"\n"
        for n in range(count)
    )  # fmt: skip
    begin = time.perf_counter()
    path = f"/v1/rollouts/r{rollout}/sources/signals/observations"
    line.request("POST", path, body, {"Content-Type": "application/x-ndjson"})
    answer = line.getresponse()
    said = msgspec.json.decode(answer.read())
    taken = time.perf_counter() - begin
    if answer.status != http.HTTPStatus.OK or said["accepted"] != count:
        raise SystemExit(f"{answer.status}: {said}")
    return taken


if __name__ == "__main__":
    sys.exit(main())
