"""The demo on a terminal of 80 columns and 24 lines: nothing is cut, nothing scrolls away."""

from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from controller.core.event import Tick
from controller.core.share import WHOLE, Share
from controller.demo.screen import Frame, LiveScreen, Move, picture
from controller.replay.runner import run_pure
from controller.replay.scenario import load_scenarios

POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture
def terminal() -> Console:
    return Console(file=StringIO(), width=80, height=24, force_terminal=True, color_system=None)


def printed(terminal: Console) -> list[str]:
    assert isinstance(terminal.file, StringIO)
    return [line.rstrip() for line in terminal.file.getvalue().splitlines()]


@pytest.mark.parametrize(("act", "moves"), [("demo", 8), ("demo-sabotaged", 7)])
def test_the_picture_of_every_look_fits_below_the_moves_so_far(
    terminal: Console, act: str, moves: int
) -> None:
    timeline = run_pure(load_scenarios(POLICIES / f"{act}.scenarios.yaml").scenarios[0])
    looks = [one.decision for one in timeline.happened if isinstance(one.event, Tick)]
    longest: list[str] = []
    for look in looks:
        told = look.explanation
        money = {"crossover-1.4": -399_278.0, "momentum-2.0": 20_383.0}
        parts = {"crossover-1.4": 1.0, "momentum-2.0": 1.0}
        day = date(2002, 3, 25)
        frame = Frame(act, told.state, day, 688, 26.0, Share(WHOLE // 2), told, parts, money)
        terminal.print(picture(frame, 80))
        lines = printed(terminal)
        terminal.file = StringIO()
        assert not any("…" in line for line in lines), lines
        assert all(line[-1] in "╮│╯" for line in lines)
        longest = max((longest, lines), key=len)
    assert len(looks) > 50
    assert len(longest) <= 24 - moves, "the moves, and the picture below them"


@pytest.mark.parametrize(
    ("state", "why", "lines"),
    [
        ("canary", "gate of shadow passed", 1),
        ("rolled_back", "cooldown of 28d is over", 1),
        (
            "rolling_back.baseline_traffic",
            "trigger position (critical): candidate.exposure > 150%",
            2,
        ),
    ],
)
def test_a_move_is_told_whole_with_its_reason_below_where_it_is_long(
    terminal: Console, state: str, why: str, lines: int
) -> None:
    move = Move("demo", 7, date(2004, 3, 3), 48.2, state, Share(0), (why,))
    LiveScreen(terminal).moved(move)
    assert len(printed(terminal)) == lines
    assert " ".join(" ".join(printed(terminal)).split()) == f"48.2s 2004-03-03 0% {state} {why}"
