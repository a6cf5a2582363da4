"""Policy files that change while their rollouts run."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.plans import POLICY
from support.running import Shop

from controller.core.event import PolicyEdit
from controller.run.reload import Reloader

TIGHTER = POLICY.replace("candidate.errors > 10%", "candidate.errors > 8%")
LESS_STRICT = POLICY.replace("candidate.drawdown > 1%", "candidate.drawdown > 3%")
BROKEN = POLICY.replace("candidate.accuracy >= 85%", "candidate.acuracy >= 85%", 1)


class Desk(Shop):
    """A shop with a directory of policies."""

    def __init__(self, path: Path) -> None:
        super().__init__(path / "rollout.db")
        self.directory = path / "policies"
        self.directory.mkdir()
        self.file = self.directory / "signal.yaml"
        self.reloader = Reloader(self.store, self.plans, self.alarms, self.directory)

    def write(self, text: str, name: str = "signal.yaml") -> list[str]:
        self.directory.joinpath(name).write_text(text)
        return self.look()

    def look(self) -> list[str]:
        self.now += timedelta(seconds=1)
        return self.reloader.look(self.now)

    def titles(self) -> list[str]:
        return [alert.title for alert in self.told.alerts]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_a_new_file_is_a_pending_rollout(desk: Desk) -> None:
    assert desk.write(POLICY) == ["signal"]
    assert desk.state().name == "pending"
    assert desk.look() == []
    row = desk.store.rollout("signal")
    assert row is not None and row.policy_path == str(desk.file)


def test_scenarios_and_other_files_are_no_policies(desk: Desk) -> None:
    desk.directory.joinpath("signal.scenarios.yaml").write_text("- scenario: no policy\n")
    desk.directory.joinpath("notes.txt").write_text("no policy\n")
    assert desk.look() == []
    assert desk.told.alerts == []


def test_a_broken_file_is_told_once_and_the_good_ones_beside_it_go_on(desk: Desk) -> None:
    desk.write(BROKEN, "bad.yaml")
    assert desk.write(POLICY) == ["signal"]
    desk.look()
    (alert,) = desk.told.alerts
    assert "bad.yaml is broken and changes nothing" in alert.title
    assert "bad.yaml:" in alert.reasons[0] and "acuracy" in alert.reasons[0]
    desk.command("start")
    assert desk.state().name == "shadow"


def test_a_safe_edit_takes_over_where_the_rollout_stands(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    desk.tick()
    dwelt = desk.state().dwell_ms
    assert desk.write(TIGHTER) == ["signal"]
    assert desk.state().name == "shadow"
    assert desk.state().dwell_ms >= dwelt
    assert desk.plans.plan(desk.state().policy, desk.now).triggers[1].rule.endswith("> 8%")
    event = desk.entries()[-1].event
    assert isinstance(event, PolicyEdit)
    assert event.policy == desk.state().policy
    assert event.changes
    assert desk.look() == []


def test_an_edit_that_changes_more_waits_for_a_person(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    before, entries = desk.state(), len(desk.entries())
    assert desk.write(LESS_STRICT) == []
    desk.look()
    assert (desk.state(), len(desk.entries())) == (before, entries)
    (alert,) = desk.told.alerts
    assert alert.title == "signal: the edited policy waits for `rollout apply signal`"
    assert alert.reasons


def test_what_waits_for_a_person_takes_over_when_the_candidate_has_no_work(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    desk.write(LESS_STRICT)
    desk.command("rollback")
    desk.ticks(timedelta(hours=2), timedelta(minutes=1))
    assert desk.state().name == "rolled_back"
    assert desk.look() == ["signal"]


def test_what_a_person_has_applied_no_longer_waits(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    desk.write(LESS_STRICT)
    loaded = desk.plans.read_file(desk.file)
    desk.plans.save(loaded, desk.now)
    desk.command("apply", policy=loaded.digest, state="shadow")
    assert desk.state().policy == loaded.digest
    assert desk.look() == []
    desk.tick()
    assert desk.state().policy == loaded.digest


def test_a_broken_edit_changes_nothing_and_says_who_goes_on(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    before, entries = desk.state(), len(desk.entries())
    assert desk.write(BROKEN) == []
    desk.look()
    assert (desk.state(), len(desk.entries())) == (before, entries)
    (title,) = desk.titles()
    assert title.endswith("changes nothing; signal goes on under the policy before")


def test_each_text_is_told_of_once(desk: Desk) -> None:
    desk.write(POLICY)
    desk.write(BROKEN)
    desk.write(BROKEN + "# still\n")
    assert len(desk.told.alerts) == 2
    assert desk.write(POLICY) == []
    assert len(desk.told.alerts) == 2


def test_a_rollout_outlives_its_file(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    desk.file.unlink()
    desk.look()
    assert desk.titles() == ["signal goes on; its policy file is gone"]
    assert desk.tick().decided == 1


def test_two_files_cannot_declare_the_same_rollout(desk: Desk) -> None:
    desk.write(POLICY)
    before = desk.state()
    assert desk.write(LESS_STRICT, "twin.yaml") == []
    assert desk.titles() == ["signal is there twice"]
    assert desk.state() == before


def test_a_file_that_was_renamed_keeps_its_rollout(desk: Desk) -> None:
    desk.write(POLICY)
    desk.file.rename(desk.directory / "renamed.yaml")
    assert desk.look() == []
    assert desk.titles() == []
    assert desk.write(TIGHTER, "renamed.yaml") == ["signal"]


def test_a_restart_reads_nothing_into_files_that_have_not_changed(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    entries = len(desk.entries())
    again = Reloader(desk.store, desk.plans, desk.alarms, desk.directory)
    assert again.look(desk.now) == []
    assert len(desk.entries()) == entries


def test_an_edit_while_nobody_ran_is_found_at_the_start(desk: Desk) -> None:
    desk.write(POLICY)
    desk.command("start")
    desk.file.write_text(TIGHTER)
    again = Reloader(desk.store, desk.plans, desk.alarms, desk.directory)
    assert again.look(desk.now) == ["signal"]


def test_an_edit_that_only_the_content_shows_is_found(desk: Desk) -> None:
    """Same size, same times: what counts is the hash of the content, looked at now and then."""
    import os

    from controller.run.reload import READ_ANYWAY

    desk.write(POLICY)
    desk.command("start")
    signature = desk.reloader._files[desk.file].signature
    desk.file.write_text(TIGHTER.replace("> 8%", "> 9%").replace("10%", "10%") + " ")
    os.utime(desk.file, ns=(signature[0], signature[0]))
    desk.reloader._files[desk.file].signature = _signature(desk.file)
    found = [desk.look() for _ in range(READ_ANYWAY)]
    assert found.count(["signal"]) == 1


def _signature(path: Path) -> tuple[int, int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def test_a_directory_that_is_not_there_is_told_once(desk: Desk) -> None:
    desk.directory.rmdir()
    assert desk.look() == []
    assert desk.look() == []
    assert len(desk.titles()) == 1


def test_a_file_that_cannot_be_text_is_told_and_passed_over(desk: Desk) -> None:
    desk.file.write_bytes(b"\xff\xfe\x00broken")
    assert desk.write(POLICY.replace("rollout: signal", "rollout: other"), "other.yaml") == [
        "other"
    ]
    assert len(desk.titles()) == 1
