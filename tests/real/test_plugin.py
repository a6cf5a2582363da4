"""Scenario files as tests: collected where they lie, told as blocks when they fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

POLICIES = Path(__file__).parents[2] / "policies"

pytestmark = pytest.mark.real


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy of one's own and its scenarios, far from any configuration of pytest."""
    for name in ("web-service.yaml", "web-service.scenarios.yaml"):
        shutil.copy(POLICIES / name, tmp_path)
    return tmp_path


def collected(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_scenarios_are_collected_and_pass_alone_and_live(folder: Path) -> None:
    code, said = collected(folder, "-k", "slow")
    assert code == 0, said
    assert "passed" in said


def test_a_changed_threshold_fails_with_tick_values_and_rule(folder: Path) -> None:
    change(folder / "web-service.yaml", "severity: critical", "severity: low")
    code, said = collected(folder, "--rollout-mode=pure")
    assert code == 1
    assert "FAIL " in said
    assert "  tick      " in said
    assert "  rule      " in said
    assert "Traceback" not in said


def test_a_broken_file_is_an_error_with_its_place(folder: Path) -> None:
    change(folder / "web-service.scenarios.yaml", "expect:", "expct:")
    code, said = collected(folder)
    assert code != 0
    assert "web-service.scenarios.yaml:" in said
    assert "expect" in said
