"""The guide of the handover does what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.handover import Pair

from controller.cli.render.handover import handover_lines, said_lines
from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.core.effect import Phase
from controller.core.plan import Plan
from controller.policy.load import load_text
from controller.policy.models import Policy
from controller.policy.reference import page

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "handover.md").read_text(encoding="utf-8")
(YAML,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
REST = """
rollout: flow
baseline: flow-1.0
candidate: flow-3.0
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 1h}
  - {name: handover, weight: 100%, hold: 1h}
"""


def policy() -> tuple[Plan, Policy]:
    loaded = load_text(YAML + REST, Path("policy.yaml"), {})
    assert loaded.policy is not None
    assert [str(finding) for finding in loaded.findings] == []
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())
    return plan, loaded.policy


def test_its_policy_is_one() -> None:
    policy()


def test_its_engine_takes_over_and_sends_when_it_is_its_turn(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "live" / "handover")
    pair.to(Phase.FENCE)
    pair.say(pair.effect(Phase.WRITE))
    before = "sent = []\ndef send(name, size, tag):\n    sent.append((name, size, tag))\n"
    after = (
        "moment = datetime(2026, 3, 2, 16, tzinfo=UTC)\non_bar(moment)\n"
        f"assert sent == [('NQ', -1.0, (1, {pair.token}))], sent\n"
        "assert engine.position == {'NQ': 2.0}\nassert engine.account.peak == 120.0\n"
    )
    subprocess.run([sys.executable, "-c", before + PYTHON + after], cwd=tmp_path, check=True,
                   timeout=60)  # fmt: skip
    said = json.loads((pair.directory / "engine-3.json").read_text())
    assert said["role"] == "writes"


def test_its_phases_are_all_that_there_are() -> None:
    table = PAGE[PAGE.index("| phase |") : PAGE.index("The switch comes")]
    named = re.findall(
        r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line)
    )
    assert named == [phase.value for phase in Phase]


def test_the_heading_it_links_to_is_on_the_page_of_the_language() -> None:
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.+)$", page(), re.M)}
    assert set(re.findall(r"language\.md#([a-z-]+)\)", PAGE)) <= headings


def test_a_plan_says_the_phases_in_words() -> None:
    told = "\n".join(handover_lines(*policy()))
    assert (
        "1. from the start engine-3 runs in shadow until it has 200 bars and 50 decisions" in told
    )
    assert "3. both want the same within 0.05, for 5m at most, else ramp" in told
    assert "5. engine-3 writes orders; engine-1 stays warm until completed" in told
    assert (
        "a ramp, where they do not agree in time: from the position to its own target in 5m" in told
    )


@pytest.mark.parametrize("mode", ["drain", "flatten"])
def test_a_plan_says_how_a_position_is_closed(mode: str) -> None:
    text = YAML[: YAML.index("    when:")] + f"    position: {{mode: {mode}, within: 10m}}\n"
    loaded = load_text(text + REST, Path("policy.yaml"), {})
    assert loaded.policy is not None and loaded.ok, loaded.findings
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())
    told = "\n".join(handover_lines(plan, loaded.policy))
    words = {"drain": "only reduces until it is flat", "flatten": "closes its position"}
    assert f"3. engine-1 {words[mode]}" in told
    assert "a ramp" not in told


def test_a_status_says_what_both_processes_say(tmp_path: Path) -> None:
    plan, _ = policy()
    assert plan.handover is not None
    assert "No such file" in next(iter(said_lines(plan.handover, tmp_path)))
    pair = Pair(tmp_path / "live" / "handover")
    pair.to(Phase.WRITE)
    order, old, new = said_lines(plan.handover, tmp_path)
    assert order == "engine-3 writes by decision 5 of epoch 1"
    assert old.startswith("engine-1 shadows by decision 5: ")
    assert re.fullmatch(
        r"engine-3 writes by decision 5: \d+ bars, \d+ decisions, wants NQ 2", new
    ), new
