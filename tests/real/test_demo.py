"""`rollout demo` as a person runs it: a real process in an empty directory; and what it says is
what its store says."""

import fcntl
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from controller.core.effect import SetParameters
from controller.store import open_store
from controller.store.base import Entry

pytestmark = pytest.mark.real

TWO_MINUTES = 120
STATE = Path(".rollout") / "demo"
FORMS = ("text", "json")
MOVE = re.compile(
    r" *(?P<seconds>\d+\.\d)s  (?P<day>\S+) +(?P<share>\S+)%  (?P<state>\S+) +(?P<why>.+)"
)


@dataclass(frozen=True)
class Shown:
    """What one run left: its directory and what it printed."""

    place: Path
    text: str

    def journal(self, rollout: str) -> list[Entry]:
        with open_store(str(self.place / STATE / "rollout.db"), create=False) as store:
            return list(store.journal(rollout))

    def moves_of(self, rollout: str) -> list[Entry]:
        return [entry for entry in self.journal(rollout) if entry.move]

    def rollout(self, *arguments: str) -> str:
        done = subprocess.run(
            command(*arguments, "--state-dir", str(STATE)),
            cwd=self.place, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "controller", *arguments]


def play(folder: Path) -> None:
    """Both forms at once, each in an empty directory of its own."""
    environment = {name: value for name, value in os.environ.items() if "ROLLOUT_" not in name}
    runs = []
    for form in FORMS:
        place = folder / form
        place.mkdir(parents=True)
        with (folder / f"{form}.txt").open("wb") as out:
            line = command("demo", "--format", form)
            runs.append(subprocess.Popen(line, cwd=place, stdout=out, stderr=out, env=environment))
    try:
        codes = [run.wait(TWO_MINUTES) for run in runs]
    finally:
        for run in runs:
            run.kill()
    (folder / "codes").write_text(json.dumps(codes))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Played once, whichever worker of the session comes first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "codes").exists():
            play(folder)
    return folder


@pytest.fixture
def shown(stage: Path) -> Shown:
    return Shown(stage / "text", (stage / "text.txt").read_text())


@pytest.fixture
def records(stage: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (stage / "json.txt").read_text().splitlines()]


def test_the_demo_is_done_within_two_minutes_and_ends_with_0(stage: Path) -> None:
    assert json.loads((stage / "codes").read_text()) == [0, 0], (stage / "text.txt").read_text()


def test_one_rollout_completes_and_one_is_rolled_back_with_its_reason(shown: Shown) -> None:
    assert re.search(r"^demo completed, ", shown.text, re.M)
    assert re.search(r"^demo-sabotaged rolled_back, ", shown.text, re.M)
    because = "because trigger position (critical): candidate.exposure > 150%"
    assert because in shown.text
    assert "share read back from the file: 0%" in shown.text.partition("demo-sabotaged roll")[2]


def test_the_share_in_the_published_file_is_what_the_demo_read_back(shown: Shown) -> None:
    live = shown.place / STATE / "policies" / "live"
    shares = [json.loads((live / f"{name}-share.json").read_text())["share"]
              for name in ("demo", "demo-sabotaged")]  # fmt: skip
    assert shares == [100_000, 0]


def test_the_turnover_of_the_handover_is_told_beside_that_of_a_hard_switch(
    shown: Shown, records: list[dict[str, Any]]
) -> None:
    act = shown.text.partition("demo completed")[2].partition("demo-sabotaged rolled_back")[0]
    was = re.search(r"in 6 steps: (\d+\.\d+), at most (\d+\.\d+) in a day; all trades", act)
    switched = re.search(r"a hard switch: (\S+) in one day, from (\S+) to (\S+) by the day", act)
    assert was
    assert switched
    assert 0 < float(was[2]) < float(was[1])
    assert float(switched[2]) <= float(switched[1]) <= float(switched[3])
    told = {one["rollout"]: one["turnover"] for one in records if "ended_as" in one}
    assert told["demo-sabotaged"] is None
    assert told["demo"]["changes"] == len([10, 30, 50, 70, 90, 100])


def test_the_parameters_went_over_by_acknowledged_vectors_and_came_back_byte_for_byte(
    shown: Shown,
) -> None:
    policies = shown.place / STATE / "policies"
    baseline = (policies / "configs" / "demo-momentum-2.0.json").read_bytes()
    assert (policies / "live" / "demo-sabotaged.json").read_bytes() == baseline
    said = json.loads((policies / "live" / "acknowledged" / "desk.json").read_text())
    assert said == {"process": "desk", "sha256": sha256(baseline).hexdigest()}
    assert "parameters: 12 vectors taken on and acknowledged by the desk" in shown.text
    asked = [
        effect.progress
        for entry in shown.journal("demo-sabotaged")
        for effect in entry.effects
        if isinstance(effect, SetParameters)
    ]
    assert asked == list(range(0, 100_001, 10_000))


def test_what_is_held_follows_the_blend_of_the_published_share(shown: Shown) -> None:
    live = json.loads((shown.place / STATE / "policies" / "live" / "demo-share.json").read_text())
    assert live["blend"]
    shares = [e.state.share for e in shown.moves_of("demo") if e.state is not None]
    assert shares == [0, 10_000, 30_000, 50_000, 70_000, 90_000, 100_000, 100_000, 100_000]


def test_every_line_about_a_move_is_in_the_journal_and_none_is_left_out(shown: Shown) -> None:
    for act, rollout in zip(shown.text.split("\n== ")[1:], ("demo", "demo-sabotaged"), strict=True):
        told = [
            (one["day"], float(one["share"]) * 1000, one["state"], one["why"])
            for one in MOVE.finditer(act)
        ]
        assert told == [
            (str(e.at.date()), e.state.share, e.state.name, "; ".join(e.reasons))
            for e in shown.moves_of(rollout)
            if e.state is not None
        ]


def test_the_journals_of_the_demo_verify(shown: Shown) -> None:
    lines = shown.rollout("audit", "verify").splitlines()
    assert len(lines) == 4
    assert all(line.startswith("ok ") for line in lines)
    for rollout in ("demo", "demo-sabotaged"):
        links = re.search(rf"^ok +journal of {rollout}: (\d+) whole", "\n".join(lines), re.M)
        assert links
        assert f"journal verified: {links[1]} entries whole, " in shown.text


def test_every_command_that_the_demo_names_next_works(shown: Shown) -> None:
    named = shown.text.partition("Try next\n")[2].splitlines()
    assert len(named) == 5
    for line in named:
        words = line.split()[1:]
        done = subprocess.run(
            command(*words), cwd=shown.place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)


def test_lines_of_a_pipe_are_not_wrapped_and_have_no_colour(shown: Shown) -> None:
    assert "\x1b" not in shown.text
    assert max(map(len, shown.text.splitlines())) > 100, "a long reason is kept on its line"


def test_each_line_of_json_is_a_move_of_the_journal_or_the_end_of_a_rollout(
    stage: Path, records: list[dict[str, Any]]
) -> None:
    ended = [record for record in records if "ended_as" in record]
    keys = ("rollout", "ended_as", "share_in_file", "configuration_of", "journal_whole")
    assert [tuple(record[key] for key in keys) for record in ended] == [
        ("demo", "completed", "100%", "momentum-2.0", True),
        ("demo-sabotaged", "rolled_back", "0%", "momentum-2.0", True),
    ]
    journal = Shown(stage / "json", "")
    for rollout in ("demo", "demo-sabotaged"):
        moves = [r for r in records if r["rollout"] == rollout and "ended_as" not in r]
        assert [(m["seq"], m["state"], tuple(m["reasons"])) for m in moves] == [
            (e.seq, e.state.name, e.reasons)
            for e in journal.moves_of(rollout)
            if e.state is not None
        ]
