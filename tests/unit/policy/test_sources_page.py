"""The guide to sources: its examples are policies without findings, and it names every type."""

import re
from pathlib import Path
from typing import get_args

import pytest
from support.plugins import distribution

from controller.policy.load import load_text
from controller.policy.source import Source

PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text(encoding="utf-8")
FRAME = """
rollout: web
baseline: v1
candidate: v3
stages: [{name: all, weight: 100%, hold: 24h}]
"""
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.startswith("sources:")])
def test_each_example_is_without_findings(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, monkeypatch, "desk_venue", "", {"desk-venue": "desk_venue:open_source"})
    loaded = load_text(FRAME + example, Path("policy.yaml"), {"BROKER_TOKEN": "x"})
    assert [str(finding) for finding in loaded.findings] == []


def test_every_type_that_is_asked_over_a_network_is_shown() -> None:
    shown = set(re.findall(r"type: (\w+)", PAGE))
    assert shown == {model.type for model in get_args(Source)} - {"push", "sql"}
