"""What `rollout doctor` finds: each thing with its state, and a remedy where one is needed."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.plans import POLICY

from controller.cli.health import Found, examine
from controller.run.presence import controllers
from controller.store import open_store

RUNNING = '{"state":"running","rounds":7}'
STOPPED = '{"state":"stopped","rounds":7}'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    return tmp_path


def found(what: str) -> Found:
    (line,) = [line for line in examine({}) if line.what == what]
    return line


def beat(owner: str, note: str, ago: timedelta = timedelta(seconds=3)) -> None:
    with open_store(".rollout/rollout.db") as store:
        store.beat(owner, datetime.now(UTC) - ago, note)


def test_every_setting_is_shown_with_where_it_was_set(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.joinpath("rollout.toml").write_text('lease = "20s"\n')
    monkeypatch.setenv("ROLLOUT_WORKERS", "9")
    assert found("setting lease").detail == "20s (lease in rollout.toml)"
    assert found("setting workers").detail == "9 (ROLLOUT_WORKERS)"
    assert found("setting resolution").detail == "1s (default)"


def test_a_setting_that_makes_no_sense_is_a_failure_with_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROLLOUT_WORKERS", "many")
    line = found("settings")
    assert line.state == "fail"
    assert "ROLLOUT_WORKERS" in line.detail


def test_nobody_at_work_is_a_warning() -> None:
    beat("nobody-yet", '{"state":"looking"}')
    assert (found("controller").state, found("controller").detail) == ("warn", "none has been seen")


def test_the_doctor_itself_is_no_controller() -> None:
    beat("desk-1", RUNNING, ago=timedelta(hours=1))
    examine({})
    line = found("controller")
    assert line.state == "warn"
    assert line.detail.startswith("desk-1 was last seen ")
    with open_store(".rollout/rollout.db") as store:
        assert [seen.owner for seen in controllers(store)] == ["desk-1"]


def test_a_controller_that_stopped_in_order_is_not_at_work() -> None:
    beat("desk-1", STOPPED)
    assert found("controller").state == "warn"
    assert "desk-1 stopped " in found("controller").detail


def test_everybody_at_work_is_named() -> None:
    beat("desk-1", RUNNING)
    beat("desk-2", RUNNING)
    line = found("controller")
    assert line.state == "ok"
    assert re.search(r"desk-1 was seen \d+s ago", line.detail)
    assert re.search(r"desk-2 was seen \d+s ago", line.detail)


def test_a_directory_that_nobody_has_made_is_a_warning_and_made_it_is_fine(place: Path) -> None:
    text = POLICY.replace("type: push", "type: push, directory: inbox")
    (place / "policies" / "signal.yaml").write_text(text)
    line = found("source signals")
    assert (line.state, line.detail) == ("warn", "there is no directory policies/inbox")
    (place / "policies" / "inbox").mkdir()
    assert found("source signals").state == "ok"


def test_a_broken_policy_is_a_failure_that_names_the_command_to_see_it(place: Path) -> None:
    (place / "policies" / "signal.yaml").write_text("rollout: [\n")
    line = found("policy signal.yaml")
    assert (line.state, line.remedy) == ("fail", "rollout validate policies/signal.yaml")


def test_a_store_that_is_no_database_is_a_failure_with_the_file(place: Path) -> None:
    (place / ".rollout").mkdir()
    (place / ".rollout" / "rollout.db").write_bytes(b"no database at all" * 100)
    line = found("store")
    assert line.state == "fail"
    assert "not a database" in line.detail


def test_a_misspelt_setting_is_a_warning_with_what_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROLLOUT_LEESE", "20s")
    monkeypatch.setenv("ROLLOUT_BY", "kim")
    line = found("variable ROLLOUT_LEESE")
    assert (line.state, line.remedy) == ("warn", "did you mean 'ROLLOUT_LEASE'?")
    assert not [line for line in examine({}) if line.what == "variable ROLLOUT_BY"]
