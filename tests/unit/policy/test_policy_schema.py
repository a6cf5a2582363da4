"""The JSON Schema says what the loader says, as far as shape goes."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from controller.cli.policies import init
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
        ("window: 5m", "window: year"),
        ("min_samples: 50", "min_samples: -1"),
        ("min_samples: 50", "min_samples: many"),
        ("weight: 10%", "weight: 10"),
        ("advance: [candidate.errors <= 5%]", "advance: candidate.errors <= 5%"),
        ("severity: high", "severity: urgent"),
        ("3 in a row", "thrice"),
        ("tick: 15s", "tick: 9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s9s"),
        ("tick: 15s", "tick:"),
        ("tick: 15s", "tick: 15s, freeze: [{name: a, from: 2026-03-18, to: 2026-03-19}]"),
        ("tick: 15s", "tick: 15s, freeze: [{name: a, from: 2026-03-18T17:30, to: x}]"),
        ("weight: 10%", "weight: 100.1%"),
        ("triggers:", "traffic: 0/h\ntriggers:"),
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("candidate: {version: v2}", "candidate: ${CANDIDATE}"),
        ("{app: {type: push}}", "{app: {type: push}, f: {type: sql, timeout: '${WAIT:-10s}'}}"),
        ("tick: 15s", "tick: 0.5m, freeze: [{name: a, from: 2026-03-18 17:30+05:30, to: END}]"),
        ("window: 5m", "window: session"),
        ("weight: 10%", "weight: 010.5%"),
        ("triggers:", "traffic: 1000 per h\ntriggers:"),
        ("min_samples: 50", "min_samples: 1_000, better: lower, description: ''"),
    ],
)
def test_what_the_loader_reads_fits(old: str, new: str) -> None:
    text = GOOD.replace(old, new.replace("END", "2026-03-18T20Z"))
    shape = {"P101", "P102", "P103", "P104"}
    found = {f.code for f in load_text(text, Path("p"), {"CANDIDATE": "v3"}).findings}

    assert text != GOOD and not found & shape
    assert [error.message for error in validator().iter_errors(data(text))] == []


def test_a_variable_fits_only_where_it_may_stand() -> None:
    assert not validator().is_valid(data(GOOD.replace("tick: 15s", "tick: '${TICK:-15s}'")))


def test_a_number_with_separators_fits_though_editors_read_it_as_text() -> None:
    policy = data(GOOD)
    policy["metrics"]["errors"]["min_samples"] = "1_000"
    assert validator().is_valid(policy)
    policy["metrics"]["errors"]["min_samples"] = "1000"
    assert not validator().is_valid(policy)


def test_init_writes_the_schema_beside_its_policy_and_brings_an_older_one_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(tmp_path / "new")
    policy = (tmp_path / "new" / "my-rollout.yaml").read_text(encoding="utf-8")
    assert policy.startswith("# yaml-language-server: $schema=./policy.schema.json\n")
    assert validator().is_valid(data(policy)) and load_text(policy, Path("p"), {}).ok
    assert (tmp_path / "new" / "policy.schema.json").read_text(encoding="utf-8") == text()

    (tmp_path / "policy.schema.json").write_text("{}", encoding="utf-8")
    init(tmp_path)
    assert (tmp_path / "policy.schema.json").read_text(encoding="utf-8") == text()
    assert "policy.schema.json" in capsys.readouterr().out


def test_every_default_is_a_value_of_its_own_key() -> None:
    whole = json_schema()
    defaults = 0
    for model in whole["$defs"].values():
        for form in model.get("anyOf", [model]):
            for value in form.get("properties", {}).values():
                if "default" in value:
                    defaults += 1
                    inner = {**value, "$defs": whole["$defs"]}
                    Draft202012Validator(inner).validate(json.loads(json.dumps(value["default"])))
    assert defaults >= 15


def test_every_key_is_described() -> None:
    for name, model in json_schema()["$defs"].items():
        for form in model.get("anyOf", [model]):
            for key, value in form.get("properties", {}).items():
                assert "description" in value or "const" in value, f"{name}.{key}"
