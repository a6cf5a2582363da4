"""The machine: what the table says, and that the quick path agrees with it."""

from itertools import product

import pytest
from support.plans import plan_of

from controller.core.decide import calls_for_move
from controller.core.draw import mermaid, svg
from controller.core.machine import Situation

PLAN = plan_of()
LIVE = [s for s in PLAN.machine.states if PLAN.step(s) is not None]


@pytest.mark.parametrize("state", LIVE)
def test_the_quick_no_agrees_with_the_machine_in_every_situation(state: str) -> None:
    guards = (
        "must_roll_back", "must_pause", "must_hold", "hold_is_over",
        "may_advance", "needs_approval", "gate_is_lost",
    )  # fmt: skip
    for values in product((False, True), repeat=len(guards)):
        situation = Situation(state=state, **dict(zip(guards, values, strict=True)))
        quick = calls_for_move(situation)
        moved = PLAN.machine.move("tick", situation) is not None
        assert quick or not moved, (state, dict(zip(guards, values, strict=True)))


@pytest.mark.parametrize("state", LIVE)
def test_the_way_back_is_the_first_edge_out_of_every_live_state(state: str) -> None:
    first = next(e for e in PLAN.machine.edges if e.source == state and e.trigger == "tick")
    assert (first.destination, first.guards) == (
        "rolling_back.baseline_traffic",
        ("must_roll_back",),
    )
    everything = Situation(state, *[True] * 12)
    assert PLAN.machine.move("tick", everything) == "rolling_back.baseline_traffic"


def test_every_state_can_be_reached_from_pending() -> None:
    reached, grew = {"pending"}, True
    while grew:
        more = {e.destination for e in PLAN.machine.edges if e.source in reached}
        grew = not more <= reached
        reached |= more
    assert reached == PLAN.machine.known


def test_only_completion_is_left_by_a_persons_word_alone() -> None:
    by_clock = {e.source for e in PLAN.machine.edges if e.trigger in ("tick", "acknowledge")}
    assert PLAN.machine.known - by_clock == {"pending", "completed", "rolled_back", "locked"}


def test_an_unknown_state_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no state 'nowhere'"):
        PLAN.machine.move("tick", Situation("nowhere"))


def test_the_drawings_hold_every_state_and_every_edge_of_the_table() -> None:
    text = mermaid(PLAN.machine, "canary.held")
    for edge in PLAN.machine.edges:
        source, target = (
            s.replace(".", "__").replace("-", "_m_") for s in (edge.source, edge.destination)
        )
        assert f"    {source} --> {target} : " in text
    assert "class canary__held active" in text
    drawn = svg(PLAN.machine, "ramp-25")
    assert drawn.count('class="box') == drawn.count("<rect") - drawn.count('class="chip')
    assert drawn.count("<rect") == len(PLAN.machine.states)
    assert drawn.count('class="box active"') == 1
