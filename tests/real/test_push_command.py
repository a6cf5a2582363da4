"""`rollout push` to a real controller: told, refused, killed in the middle, and sent again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.store import open_store

pytestmark = pytest.mark.real

ROLLOUT = Path(sys.executable).parent / "rollout"
PATIENCE_S = 60.0
POLICY = """
rollout: signal
baseline: v1
candidate: v3
sources:
  signals: {type: push}
metrics:
  drawdown: {source: signals, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}
stages:
  - {name: canary, weight: 5%, hold: 1h}
  - {name: full, weight: 100%, hold: 1h}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
"""


class Desk:
    """A directory, the controller that runs in it, and the commands given beside it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.controllers: list[subprocess.Popen[bytes]] = []
        self.listen = "127.0.0.1:0"
        (place / "policies").mkdir()
        (place / "policies" / "signal.yaml").write_text(POLICY)

    @property
    def environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith("ROLLOUT_")}

    def start(self) -> subprocess.Popen[bytes]:
        """A controller; it takes observations when this returns."""
        log = self.place / f"log{len(self.controllers)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [ROLLOUT, "run", "--listen", self.listen],
                cwd=self.place, env=self.environment, stdout=file, stderr=file,
            )  # fmt: skip
        self.controllers.append(process)
        self.until(lambda: "signal: new" in log.read_text() or len(self.controllers) > 1, log)
        self.until(lambda: "gives shares at" in log.read_text(), log)
        found = re.search(r"gives shares at http://(\S+)", log.read_text())
        assert found is not None
        self.listen = found[1]
        return process

    def until(self, holds: Callable[[], object], log: Path) -> None:
        """Wait for what another process does; bounded."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)

    def run(self, *words: str, code: int = 0, given: bytes = b"") -> str:
        """A command's words, if it ends as it should."""
        done = subprocess.run(
            [ROLLOUT, *words], cwd=self.place, env=self.environment, input=given,
            capture_output=True, check=False,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def push(self, file: str, *words: str, code: int = 0, given: bytes = b"") -> str:
        """`rollout push` to it."""
        to = ("--listen", self.listen)
        return self.run("push", "signal", "signals", file, *to, *words, code=code, given=given)

    def stored(self) -> list[str]:
        """Ids of everything that is kept, as often as it is."""
        with open_store(str(self.place / ".rollout" / "rollout.db")) as store:
            batches = store.observations("signal/signals")
            return [json.loads(line)["id"] for b in batches for line in b.lines.splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for process in desk.controllers:
        if process.poll() is None:
            process.kill()
        process.wait()


def lines(count: int) -> bytes:
    return b"".join(
        json.dumps({"version": "v3", "id": str(n), "pnl": 1.0, "note": "x" * 80}).encode() + b"\n"
        for n in range(count)
    )


def test_a_file_and_a_pipe_are_pushed_and_what_is_wrong_is_told(desk: Desk) -> None:
    process = desk.start()
    (desk.place / "today.jsonl").write_bytes(lines(1500) + b"not json\n" + b'{"version": "v3"}')
    said = desk.push("today.jsonl", code=1)
    assert "1501 accepted, 1 refused" in said
    assert "line 1501: not JSON" in said
    found = json.loads(desk.push("-", "--format", "json", given=b'{"version": "v3", "pnl": 1}\n'))
    assert (found["accepted"], found["refused"]) == (1, 0)
    desk.until(lambda: "signal/signals" in desk.run("doctor"), desk.place / "log0.txt")
    assert "1 observations refused; the last: signals: line" in desk.run("doctor")
    assert "! signal/signals: 1 observations refused" in desk.run("status", "signal")
    assert "did you mean 'signals'?" in desk.run(
        "push", "signal", "signal", "today.jsonl", "--listen", desk.listen, code=2
    )
    assert "No such file" in desk.push("tomorrow.jsonl", code=2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert "no controller answers" in desk.push("today.jsonl", code=3)
    assert "is off" in desk.run("push", "signal", "signals", "-", "--listen", "off", code=2)


def test_a_push_through_a_controller_that_is_killed_is_taken_whole_and_once(desk: Desk) -> None:
    process = desk.start()
    count = 20_000
    (desk.place / "today.jsonl").write_bytes(lines(count))
    pushing = subprocess.Popen(
        [ROLLOUT, "push", "signal", "signals", "today.jsonl", "--key", "today",
         "--listen", desk.listen],
        cwd=desk.place, env=desk.environment, stderr=subprocess.PIPE,
    )  # fmt: skip
    desk.until(lambda: len(desk.stored()) > 2000, desk.place / "log0.txt")
    process.kill()
    process.wait()
    _, said = pushing.communicate(timeout=PATIENCE_S)
    kept = len(desk.stored())
    assert (pushing.returncode, 2000 < kept < count) == (3, True)
    assert b"no controller answers" in said
    desk.start()
    assert "batches known already" in desk.push("today.jsonl", "--key", "today")
    assert desk.stored() == [str(n) for n in range(count)]


def test_an_address_that_others_can_reach_is_refused(desk: Desk) -> None:
    for address in ("0.0.0.0:8787", "[::]:8787", "192.0.2.1:8787"):
        assert "there are no tokens yet" in desk.run("run", "--listen", address, code=2)
    assert "address in numbers" in desk.run("run", "--listen", "desk.example:8787", code=2)


def test_a_port_that_is_taken_ends_it_before_it_begins(desk: Desk) -> None:
    desk.start()
    said = desk.run("run", "--listen", desk.listen, code=3)
    assert "another program has that port" in said
    assert "--listen off" in said
