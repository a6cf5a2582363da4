"""The JSON Schema says what the loader says, as far as shape goes."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from controller.policy import document
from controller.policy.document import Node, Scalar, read_document
from controller.policy.load import load_text
from controller.policy.schema import json_schema, text

POLICIES = Path(__file__).parents[3] / "policies"
FILES = sorted(p for p in POLICIES.glob("*.yaml") if ".scenarios" not in p.name)
GOOD = """
rollout: web
baseline: v1
candidate: {version: v2}
schedule: {tick: 15s}
sources: {app: {type: push}}
metrics:
  errors: {source: app, value: ratio(failed), window: 5m, min_samples: 50}
stages:
  - {name: canary, weight: 10%, hold: 10m, advance: [candidate.errors <= 5%]}
  - {name: full, weight: 100%, hold: 20m}
triggers:
  - {name: errors, when: candidate.errors > 20%, severity: high, confirm: 3 in a row}
"""


def validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def plain(node: Node) -> Any:
    """A document as any reader of YAML 1.2 gives it."""
    match node:
        case document.Mapping():
            return {name: plain(value) for name, (_, value) in node.entries.items()}
        case document.Sequence():
            return [plain(item) for item in node.items]
        case Scalar(plain=True, text="true" | "false"):
            return node.text == "true"
        case Scalar(plain=True):
            try:
                return json.loads(node.text.replace("_", ""))
            except ValueError:
                return node.text
    return node.text


def data(policy: str) -> Any:
    return plain(read_document(policy, Path("policy.yaml"))[0])


def test_the_file_is_current() -> None:
    current = (POLICIES / "policy.schema.json").read_text(encoding="utf-8")
    assert current == text(), "write it: python -m controller.policy.schema > policies/..."


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_policy_that_ships_fits_and_names_it(path: Path) -> None:
    policy = path.read_text(encoding="utf-8")
    assert [error.message for error in validator().iter_errors(data(policy))] == []
    assert policy.startswith("# yaml-language-server: $schema=./policy.schema.json\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rollout: web", "rolout: web"),
        ("rollout: web", "rollout: Web App"),
        ("baseline: v1\n", ""),
        ("candidate: {version: v2}", "candidate: {name: v2}"),
        ("tick: 15s", "tick: 15"),
        ("tick: 15s", "tick: soon"),
        ("type: push", "type: pull"),
        ("{type: push}", "{}"),
        ("{type: push}", "{type: push, database: x.db}"),
        ("window: 5m", "window: week"),
        ("min_samples: 50", "min_samples: -1"),
        ("min_samples: 50", "min_samples: many"),
        ("weight: 10%", "weight: 10"),
        ("advance: [candidate.errors <= 5%]", "advance: candidate.errors <= 5%"),
        ("severity: high", "severity: urgent"),
        ("3 in a row", "thrice"),
        ("triggers:", "false_alarm: 1\ntriggers:"),
        ("triggers:", "budgets: {data: 8 USD}\ntriggers:"),
        ("triggers:", "alerts: {routes: []}\ntriggers:"),
    ],
)
def test_what_does_not_fit_is_refused_by_schema_and_loader(old: str, new: str) -> None:
    assert old in GOOD
    assert validator().is_valid(data(GOOD))
    assert load_text(GOOD, Path("policy.yaml"), {}).ok
    broken = GOOD.replace(old, new)
    assert not validator().is_valid(data(broken))
    assert not load_text(broken, Path("policy.yaml"), {}).ok


def test_every_key_is_described() -> None:
    for name, model in json_schema()["$defs"].items():
        for form in model.get("anyOf", [model]):
            for key, value in form.get("properties", {}).items():
                assert "description" in value or "const" in value, f"{name}.{key}"
