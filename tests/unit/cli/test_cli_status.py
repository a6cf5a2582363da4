"""What `status`, `explain` and `plan` say of a transition: its phase, its ends, its blend."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from rich.console import Console

from controller.blend.settings import Conflict, Missing, Mode, Settings, WithoutCandidate
from controller.cli.app import app, register
from controller.cli.render.blending import blend_lines, blend_now
from controller.cli.render.status import View, fleet, screen
from controller.core.completion import standing
from controller.core.plan import Plan
from controller.core.share import Share
from controller.core.state import State
from controller.run.plans import Plans
from controller.store import open_store

POLICIES = Path(__file__).parents[3] / "policies"
T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    with open_store(str(tmp_path / "rollout.db")) as store:
        plans = Plans(store, {})
        loaded = plans.read_file(POLICIES / "ifd-transition.yaml")
        yield plans.compile(loaded, T0).plan


def drawn(picture: Any, width: int = 100) -> str:
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(picture)
    return out.getvalue()


def view(plan: Plan, name: str, **more: Any) -> View:
    state = State(rollout=plan.rollout, policy=plan.digest, name=name, at=T0, step_since=T0, **more)
    return View(state=state, plan=plan, now=T0, standing=standing(plan, state, T0))


def test_phase_progress_and_both_ends_are_on_the_screen(plan: Plan) -> None:
    shown = drawn(screen(view(plan, "blend-34", dwell_ms=3_600_000, waited_ms=7_200_000),
                         local=False))  # fmt: skip
    for line in (
        "phase 2 of 4  █████████░░░░░░░░░░░ blend, 43% of 16h",
        "all           ████████░░░░░░░░░░░░ 37% of 1d",
        "earliest end  2026-03-03 05:30:00 UTC, in 15h of open time",
        "latest end    2026-03-04 18:30:00 UTC, in 2d 4h: done or on its way back",
    ):
        assert line in shown


def test_a_paused_one_says_that_nothing_ends_it(plan: Plan) -> None:
    shown = drawn(screen(view(plan, "blend-34.paused"), local=False))
    assert "latest end    none by itself: paused: the deadline stands still" in shown


def test_of_a_long_stage_that_it_is_not_in_the_ends_are_shown(plan: Plan) -> None:
    shown = drawn(screen(view(plan, "sync"), local=False))
    assert "blend-10" in shown
    assert "blend-86" in shown
    assert "⋮ 6 steps between" in shown
    assert "blend-50" not in shown
    there = drawn(screen(view(plan, "blend-50"), local=False))
    assert "● blend-50" in there
    assert "✓ blend-34" in there


def test_where_nothing_goes_forward_there_is_no_end_to_show(plan: Plan) -> None:
    shown = drawn(screen(view(plan, "rolling_back.verify"), local=False))
    assert "earliest end" not in shown
    assert "phase" not in shown


def test_a_fleet_shows_how_far_each_is_in_all(plan: Plan) -> None:
    shown = drawn(fleet([view(plan, "blend-34"), view(plan, "cooldown")]))
    assert "33%" in shown


def test_status_explain_and_plan_tell_programs_and_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(POLICIES, tmp_path / "policies")
    register()

    def said(*words: str) -> str:
        capsys.readouterr()
        with freeze_time(T0):
            app([*words], standalone_mode=False)
        return capsys.readouterr().out

    said("start", "policies/ifd-transition.yaml", "--by", "kim")
    held = "blend: the baseline's target is held"
    assert held in said("status")
    assert held in said("explain")
    assert "opposite targets: nothing" in said("plan", "policies/ifd-transition.yaml")
    told = json.loads(said("status", "ifd-transition", "--format", "json"))
    assert told["blend"] == held
    assert told["progress"]["phase"] == "sync"
    assert (told["progress"]["number"], told["progress"]["of"]) == (1, 4)
    assert told["progress"]["left"] == {
        "earliest_ms": 86_400_000,
        "latest_ms": 288_000_000,
        "earliest": "2026-03-03T14:30:00Z",
        "latest": "2026-03-05T22:30:00Z",
        "unending": "",
    }
    assert json.loads(said("explain", "--format", "json"))["blend"] == held


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        (Mode.WEIGHTED, "30% of the candidate's target, 70% of the baseline's"),
        (Mode.CONFIDENCE, "30% of the candidate's target, 70% of the baseline's, each times its "),
        (Mode.PERFORMANCE, "up to 30% of the candidate's target"),
        (Mode.SWITCH, "the candidate's target for 30% of the instruments"),
    ],
)
def test_what_a_blend_comes_to_is_told_by_its_mode(mode: Mode, shown: str) -> None:
    assert shown in blend_now(Settings(mode=mode), Share(30_000))


def test_a_blend_at_its_ends_is_one_version_alone_and_without_one_nothing_is_said() -> None:
    assert "the baseline's target is held" in blend_now(Settings(), Share(0))
    assert "the candidate's target is held" in blend_now(Settings(), Share(100_000))
    assert blend_now(None, Share(50_000)) == ""
    assert blend_lines(None) == []


def test_a_plan_says_what_is_held_in_conflict_and_without_a_signal() -> None:
    missing = Missing(candidate=WithoutCandidate.HOLD, hold_s=90)
    told = "\n".join(blend_lines(Settings(conflict=Conflict.FLAT, missing=missing, band=0.1)))
    assert "opposite targets: nothing" in told
    assert "without the candidate's: what was held, for 1m 30s; then the baseline's" in told
    assert "a change of up to 0.1 is not traded" in told
