"""The commands as a person or a script calls them: real processes, one directory, no controller."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.web import serving

from controller.store import open_store

ROLLOUT = Path(sys.executable).parent / "rollout"

pytestmark = pytest.mark.real
ALERTS = """
alerts:
  channels: {{desk: {{type: webhook, url: "{url}/in", secret: {{file: key}}}}}}
  routes: [{{to: desk}}]
"""


class Shell:
    """One directory, and the commands run in it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def run(self, *words: str, code: int = 0) -> str:
        """What is printed, if it ends as it should."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ROLLOUT_")}
        done = subprocess.run(
            [ROLLOUT, *words],
            cwd=self.place,
            env=environment | {"COLUMNS": "100", "USER": "kim"},
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def data(self, *words: str, code: int = 0) -> Any:
        """The same with `--format json`."""
        return json.loads(self.run(*words, "--format", "json", code=code))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A directory in which `rollout init` was called."""
    shell = Shell(tmp_path)
    assert "next: rollout validate" in shell.run("init")
    return shell


def share(shell: Shell) -> int:
    """As the published file has it."""
    text = (shell.place / ".rollout" / "shares" / "my-rollout.json").read_text(encoding="utf-8")
    found: int = json.loads(text)["share"]
    return found


def test_a_rollout_is_started_looked_at_stopped_and_taken_back_by_hand(shell: Shell) -> None:
    policy = "policies/my-rollout.yaml"
    assert "1 of 1 policy fine" in shell.run("validate", "policies")
    assert "canary" in shell.run("plan", policy)
    assert shell.run("plan", policy, "--diagram", "mermaid").startswith("stateDiagram")
    assert "0 failed" in shell.run("test", "policies")
    assert "shadow at 0%" in shell.run("start", policy, "--by", "kim")
    assert "start by kim" in shell.run("status")
    assert "of 30m" in shell.run("explain", "my-rollout")
    shell.run("pause", "my-rollout", "--reason", "lunch")
    assert "shadow.paused" in shell.run("status", "my-rollout")
    shell.run("resume", "my-rollout")
    shell.run("rollback", "my-rollout", "--reason", "fills look wrong")
    assert share(shell) == 0
    assert "fills look wrong" in shell.run("status")
    assert "decided again" in shell.run("audit", "verify")
    refused = shell.run("start", "my-rollout", code=1)
    assert "start is not possible in rolling_back.verify" in refused


def test_every_command_answers_a_program(shell: Shell) -> None:
    policy = "policies/my-rollout.yaml"
    assert len(shell.data("init", "elsewhere")["written"]) == 3
    shell.data("validate", policy)
    shell.data("plan", policy)
    assert shell.data("test", policy)["failed"] == 0
    shell.data("start", policy)
    shell.data("status")
    shell.data("explain", "my-rollout")
    shell.data("pause", "my-rollout")
    shell.data("resume", "my-rollout")
    shell.data("advance", "my-rollout")
    shell.place.joinpath("past.csv").write_text(
        "ts,version,correct,failed\n2026-03-02T14:30:00Z,v2,1,0\n2026-03-02T14:31:00Z,v2,1,0\n"
    )
    assert shell.data("replay", policy, "--history", "past.csv")["moves"]
    shell.data("rollback", "my-rollout", "--reason", "wrong")
    shell.data("audit", "verify")
    shell.data("doctor")


def test_a_mistake_ends_with_the_code_and_the_words_for_it(shell: Shell) -> None:
    assert "rollout run" in shell.run("explain", "my-rollout", code=3)
    shell.run("start", "policies/my-rollout.yaml")
    assert "my-rollout" in shell.run("explain", "my-rolout", code=2)
    assert "nowhere.yaml" in shell.run("validate", "nowhere.yaml", code=2)
    assert "nowhere.yaml" in shell.run("start", "nowhere.yaml", code=2)
    shell.run("status", "--no-such-option", code=2)
    assert "nobody is named" in shell.run("pause", "my-rollout", "--by", " ", code=2)
    empty = shell.place / "empty"
    said = shell.run("run", str(empty), "--state-dir", str(empty), code=2)
    assert "`rollout init" in said
    policy = shell.place / "policies" / "my-rollout.yaml"
    policy.write_text(policy.read_text(encoding="utf-8").replace("rollout:", "rolout:"))
    assert "policies/my-rollout.yaml:" in shell.run("validate", "policies", code=1)
    assert "did you mean" in shell.run("validate", "policies", code=1)


def test_init_brings_the_schema_up_to_date_and_leaves_the_rest_alone(shell: Shell) -> None:
    assert "already there" in shell.run("init", code=1)
    schema = shell.place / "policies" / "policy.schema.json"
    policy = shell.place / "policies" / "my-rollout.yaml"
    current = schema.read_text()
    schema.write_text("{}")
    policy.write_text("mine: 1\n")
    assert "as they were: policies/my-rollout.yaml" in shell.run("init")
    assert (schema.read_text(), policy.read_text()) == (current, "mine: 1\n")


def test_a_store_that_cannot_be_used_is_told_with_the_file(shell: Shell) -> None:
    broken = shell.place / "broken.db"
    broken.write_bytes(b"this is no database, whatever its name says" * 40)
    assert "broken.db" in shell.run("status", "--database", str(broken), code=3)


def test_apply_does_not_leave_a_publisher_behind_while_the_candidate_has_work(shell: Shell) -> None:
    policy = shell.place / "policies" / "my-rollout.yaml"
    plain = policy.read_text(encoding="utf-8")
    policy.write_text(plain + "publish: {share: {type: file, path: live/share.json}}\n")
    shell.run("start", "policies/my-rollout.yaml")
    policy.write_text(plain + "publish: {share: {type: file, path: elsewhere/share.json}}\n")
    refused = shell.run("apply", "policies/my-rollout.yaml", code=1)
    assert "still publishes through share" in refused and "rollout rollback" in refused
    policy.write_text(plain + "publish: {share: {type: file, path: live/share.json}}\nowner: ann\n")
    assert "owner" in shell.run("validate", "policies", code=1)
    policy.write_text(
        plain.replace("hold: 4h", "hold: 5h")
        + "publish: {share: {type: file, path: live/share.json}}\n"
    )
    assert "shadow" in shell.run("apply", "policies/my-rollout.yaml")


def test_a_command_from_another_directory_writes_the_same_files(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shell.run("start", "policies/my-rollout.yaml")
    elsewhere = Shell(tmp_path_factory.mktemp("elsewhere"))
    store = shell.place / ".rollout" / "rollout.db"
    before = (shell.place / ".rollout" / "shares" / "my-rollout.json").read_text(encoding="utf-8")
    elsewhere.run("rollback", "my-rollout", "--yes", "--database", str(store))
    after = (shell.place / ".rollout" / "shares" / "my-rollout.json").read_text(encoding="utf-8")
    assert json.loads(after)["token"] > json.loads(before)["token"]
    assert list(elsewhere.place.iterdir()) == []


def test_alerts_are_acknowledged_and_silenced_by_name_and_nothing_else_is(shell: Shell) -> None:
    policy = shell.place / "policies" / "my-rollout.yaml"
    with serving(lambda asked: asked.answer("{}")) as desk:
        (shell.place / "policies" / "key").write_text("a secret")
        policy.write_text(policy.read_text() + ALERTS.format(url=desk.url))
        shell.run("start", str(policy))
        assert "no alert at all waits" in shell.run("ack", code=1)
        shell.run("rollback", "--yes", "--reason", "fills look wrong")
        assert desk.asked, "told by the command itself: no controller runs"
        assert "rollback  firing" in shell.run("status")
        assert "one end is enough" in shell.run(
            "ack", "--for", "1h", "--until", "2026-03-02", code=2
        )
        acked = shell.data("ack", "--by", "ann", "--alert", "rollback", "--for", "30m")
        assert acked["reasons"][0].startswith("ack rollback until")
        (standing,) = shell.data("status")[0]["alerts"]["standing"]
        assert standing["acknowledged"]["by"] == "ann"
        assert "a silence has an end" in shell.run("silence", code=2)
        shell.run("silence", "--for", "2h", "--reason", "lunch")
        assert "every alert, by kim: lunch" in shell.run("status")
        shell.run("silence", "--end")
        assert shell.data("explain")["alerts"]["silences"] == []
        assert "whole" in shell.run("audit", "verify")


def test_while_a_controller_is_at_work_it_tells_and_not_a_persons_shell(shell: Shell) -> None:
    policy = shell.place / "policies" / "my-rollout.yaml"
    with serving(lambda asked: asked.answer("{}")) as desk:
        (shell.place / "policies" / "key").write_text("a secret")
        policy.write_text(policy.read_text() + ALERTS.format(url=desk.url))
        shell.run("start", str(policy))
        told = len(desk.asked)
        with open_store(str(shell.place / ".rollout" / "rollout.db")) as store:
            store.beat("desk", datetime.now(UTC) + timedelta(minutes=1), '{"state":"running"}')
        done = shell.data("rollback", "--yes")
        assert share(shell) == 0
        assert [effect["type"] for effect in done["undelivered"]] == ["notify"]
        assert len(desk.asked) == told
