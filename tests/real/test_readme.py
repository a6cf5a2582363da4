"""What the first page tells a newcomer to do, done as it is written there."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POLICY = Path("policies/ifd-v3.yaml")
MOST_LINES = 25
"""Of one failure: more, and nobody reads it."""

pytestmark = pytest.mark.real


def clone(place: Path) -> Path:
    """What the walk touches of a clone: the policies, and the environment that is installed."""
    shutil.copytree(ROOT / "policies", place / "policies")
    (place / ".venv").symlink_to(sys.prefix)
    return place


def block(name: str) -> list[str]:
    """The lines of the fenced block after the marker."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- ci: {name} -->\n```sh\n(.*?)```", text, re.S)
    assert found, f"README.md has no block marked <!-- ci: {name} -->"
    return found[1].splitlines()


def walk(place: Path, *lines: str) -> tuple[str, list[int]]:
    """What a shell prints, and how each line ended."""
    script = "\n".join(f'{line}\necho "ended: $?"' for line in lines)
    environment = {name: value for name, value in os.environ.items() if "ROLLOUT_" not in name}
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, text=True, timeout=120, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout, [int(code) for code in re.findall(r"^ended: (\d+)$", done.stdout, re.M)]


@dataclass(frozen=True)
class Walked:
    """What the walk printed, the lines of it that did not end with 0, and the policy after it."""

    said: str
    failing: list[str]
    policy: bytes


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    place, lines = clone(tmp_path_factory.mktemp("walk")), block("walk")
    said, codes = walk(place, *lines)
    failing = [line for line, code in zip(lines, codes, strict=True) if code]
    return Walked(said, failing, (place / POLICY).read_bytes())


def test_a_loosened_threshold_fails_a_scenario_and_put_back_it_passes(walked: Walked) -> None:
    assert [line.partition("  # ")[2][:7] for line in walked.failing] == ["exit 1:"], walked.said
    assert walked.policy == (ROOT / POLICY).read_bytes()


def test_the_failure_says_scenario_tick_value_limit_and_rule_in_a_few_lines(
    walked: Walked,
) -> None:
    failures = [part for part in walked.said.split("\n\n") if "FAIL " in part]
    first = failures[0].partition("FAIL ")[2]
    for said in (
        r"policies/ifd-v3\.scenarios\.yaml:\d+: losses add up to the stop at the sixty-seventh",
        r"\{at: 33m30s, state: rolling_back, reasons: \[loss\]\}",
        r"33m 30s \(2026-03-02 15:03:30 UTC\)",
        r"loss: candidate\.drawdown > 10% .* 1\.005%",
    ):
        assert re.search(said, first), first
    assert max(len(failure.splitlines()) for failure in failures) <= MOST_LINES


def test_a_misspelt_metric_is_named_with_its_place_and_what_was_meant(tmp_path: Path) -> None:
    policy = clone(tmp_path) / POLICY
    policy.write_text(policy.read_text().replace("candidate.drawdown", "candidate.drawdwon"))
    said, codes = walk(tmp_path, ". .venv/bin/activate", "rollout validate policies/")
    assert codes == [0, 1]
    assert re.search(r"^policies/ifd-v3\.yaml:\d+:\d+: P202 .*drawdwon", said, re.M), said
    assert "did you mean 'drawdown'?" in said
