"""`status --watch` on a real terminal: it follows, and Ctrl-C gives the terminal back."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROLLOUT = Path(sys.executable).parent / "rollout"
PATIENCE_S = 30.0
OWN_TERMINAL = """import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # keys such as Ctrl-C become signals
os.execv(sys.argv[1], sys.argv[1:])"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

pytestmark = pytest.mark.real


class Terminal:
    """A terminal of 80 by 24 and the command that runs on it."""

    def __init__(self, place: Path, *words: str) -> None:
        self.hand, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROLLOUT_", "COLUMNS"))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, ROLLOUT, *words],
            cwd=place, env=kept | {"TERM": "xterm-256color"},
            stdin=other, stdout=other, stderr=other, start_new_session=True,
        )  # fmt: skip
        os.close(other)
        self.raw = ""

    def until(self, words: str) -> None:
        """Read what comes until `words` are in it."""
        end = time.monotonic() + PATIENCE_S
        start = len(self.raw)
        while words not in CONTROL.sub("", self.raw[start:]):
            assert time.monotonic() < end, f"{words!r} never came: {self.raw[start:]!r}"
            if select.select([self.hand], [], [], 0.2)[0]:
                self.raw += os.read(self.hand, 65536).decode()

    def interrupt(self) -> int:
        """Ctrl-C, as a key; the exit code."""
        os.write(self.hand, b"\x03")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if select.select([self.hand], [], [], 0.2)[0]:
                try:
                    self.raw += os.read(self.hand, 65536).decode()
                except OSError:  # Linux: the other side is closed
                    break
        return self.process.wait(PATIENCE_S)


def rollout(place: Path, *words: str) -> None:
    subprocess.run([ROLLOUT, *words], cwd=place, check=True, capture_output=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rollout(tmp_path, "init")
    rollout(tmp_path, "start", "policies/my-rollout.yaml", "--by", "kim")
    return tmp_path


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.hand)


def test_it_follows_what_another_does_until_ctrl_c(place: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(place, "status", "my-rollout", "--watch")
    terminals.append(terminal)
    terminal.until("start by kim")
    assert "earliest end" in terminal.raw, "how far it is, and when it will be done"
    rollout(place, "pause", "my-rollout", "--reason", "lunch")
    terminal.until("shadow.paused")

    assert terminal.interrupt() == 0
    assert "Traceback" not in terminal.raw
    before, _, after = terminal.raw.rpartition("\x1b[?1049l")
    assert "\x1b[?1049h" in before, "drawn on the alternate screen"
    assert "\x1b[?25h" in before + after, "the cursor is back"


def test_for_programs_it_writes_a_line_per_change(place: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(place, "status", "--watch", "--format", "json")
    terminals.append(terminal)
    terminal.until('"state":"shadow"')
    rollout(place, "rollback", "my-rollout")
    terminal.until('"state":"rolling_back.verify"')
    assert terminal.interrupt() == 0
