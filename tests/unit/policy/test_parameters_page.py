"""The guide of the parameters does what it says."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller.cli.render.parameters import now_lines, way_lines
from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.core.share import Share
from controller.policy.load import LoadedPolicy, load_text
from controller.policy.reference import page

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
(YAML,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
POLICY = ROOT / "tests" / "scenarios" / "parameters.yaml"
REST = """
rollout: flow
stages:
  - {name: sync, weight: 0%, mirror: true, hold: 2h}
  - {name: full, weight: 100%, hold: 1h}
"""


def test_its_policy_is_one(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("flow-1.yaml", "flow-3.yaml"):
        text = (POLICY.parent / "configs" / name).read_text(encoding="utf-8")
        (tmp_path / "configs" / name).write_text(text)
    loaded = load_text(YAML + REST, tmp_path / "policy.yaml", {})
    assert [str(finding) for finding in loaded.findings] == []


def test_its_engine_takes_on_what_is_there_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    content = b"flow: {fast: 7}\n"
    (tmp_path / "live" / "flow.yaml").write_bytes(content)
    engine = "class engine:\n    seen = []\n    configure = seen.append\n"
    proof = "before_each_bar(); before_each_bar()\nassert engine.seen == [{'flow': {'fast': 7}}]\n"
    subprocess.run(
        [sys.executable, "-c", engine + PYTHON + proof], cwd=tmp_path, check=True, timeout=60
    )
    said = json.loads((tmp_path / "live" / "acknowledged" / "engine.json").read_text())
    assert said == {"process": "engine", "sha256": hashlib.sha256(content).hexdigest()}


def test_the_heading_it_links_to_is_on_the_page_of_the_language() -> None:
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.+)$", page(), re.M)}
    assert set(re.findall(r"language\.md#([a-z-]+)\)", PAGE)) <= headings


@pytest.fixture
def loaded() -> LoadedPolicy:
    return load_text(POLICY.read_text(encoding="utf-8"), POLICY, {})


def test_a_plan_shows_each_parameter_on_its_way(loaded: LoadedPolicy) -> None:
    assert loaded.policy is not None
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())
    lines = way_lines(plan, loaded.policy, POLICY.parent)
    told = "\n".join(" ".join(line.split()) for line in lines)
    assert "in 4 changes over 2h in sync, at live" in told
    assert "acknowledged by engine, risk within 5m, else rollback" in told
    assert "back over 20m the way they came, at once from high on" in told
    assert "flow.fast 5 8 10 13 15 linear" in told
    assert "flow.smoothing off off exponential exponential exponential switch at 50%" in told
    assert "pressure nothing nothing nothing nothing a table switch at 100%" in told
    assert "flow.fast < flow.slow: holds at all 5 points" in told


def test_a_status_says_what_they_are_now(loaded: LoadedPolicy, tmp_path: Path) -> None:
    assert loaded.policy is not None
    lines = now_lines(loaded.policy, POLICY.parent, Share(50_000))
    assert "flow.fast is 10, from 5 to 15" in lines
    assert now_lines(loaded.policy, tmp_path, Share(50_000)) == [
        "configs/flow-1.yaml: No such file or directory"
    ]
