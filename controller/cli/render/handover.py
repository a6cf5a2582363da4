"""A handover in plain words: how it will go, and what both processes say of themselves now."""

from collections.abc import Iterator
from pathlib import Path

from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.effect import Phase
from controller.core.plan import HandoverPlan, Plan
from controller.policy.handover import may_ramp, span_of
from controller.policy.models import Policy
from controller.traffic.handover import LARGEST, ORDER, Report, decode_order, decode_report

MOST = 8
"""Instruments that are shown of one process."""


def handover_lines(plan: Plan, policy: Policy) -> list[str]:
    """How the writing passes, for `rollout plan`; empty where it does not."""
    way, said = plan.handover, policy.transition.handover
    if way is None or said is None:
        return []
    _, baseline, candidate = way.place
    does = {
        Phase.WARM: f"from the start {candidate} runs in shadow until it has {said.ready.bars} "
        f"bars and {said.ready.decisions} decisions; {baseline} writes orders",
        Phase.COPY: f"in {way.stage} {candidate} takes a copy of what {baseline} holds: positions "
        f"within {said.reproduce.position:g}, risk within {said.reproduce.risk:g}%",
        Phase.AGREE: f"both want the same within {said.band or 0:g}, for "
        f"{span(way.agree_ms)} at most, else {way.otherwise}",
        Phase.DRAIN: f"{baseline} only reduces until it is flat, for {span(way.close_ms)} at most, "
        f"else {way.close_otherwise}",
        Phase.FLATTEN: f"{baseline} closes its position within {span(way.close_ms)}, else rollback",
        Phase.FENCE: f"{baseline} writes no more, {candidate} takes over its last state",
        Phase.WRITE: f"{candidate} writes orders; {baseline} stays warm until completed",
    }
    lines = ["", "Handover of the writing of orders"]
    lines += [f"  {number}. {does[phase]}" for number, phase in enumerate(way.phases, 1)]
    if may_ramp(said):
        over = span(milliseconds(span_of(said.ramp, plan.tick)))
        always = "always" if way.converges else "where they do not agree in time"
        lines.append(f"  a ramp, {always}: from the position to its own target in {over}")
    lines.append(f"  silence of {span(way.answer_ms)} in the copy or at the fence goes back")
    return [*lines, f"  back at any time: {baseline} writes again, first of all"]


def said_lines(way: HandoverPlan, base: Path) -> Iterator[str]:
    """What the order and both processes say now, for `rollout status`."""
    directory = base / way.place[0]
    try:
        order = decode_order((directory / ORDER).read_bytes())
        yield f"{order.writer or 'nobody'} writes by decision {order.token} of epoch {order.epoch}"
    except (OSError, ValueError) as error:
        yield f"{directory / ORDER}: {getattr(error, 'strerror', None) or error}"
    for name in way.place[1:]:
        yield _said(directory, name)


def _said(directory: Path, name: str) -> str:
    path = directory / f"{name}.json"
    try:
        with path.open("rb") as file:
            said = decode_report(file.read(LARGEST + 1), name)
    except (OSError, ValueError) as error:
        return f"{name}: {getattr(error, 'strerror', None) or error} ({path})"
    return f"{name} {said.role.value} by decision {said.token}: {_numbers(said)}"


def _numbers(said: Report) -> str:
    wanted = [
        f"{name} {'nothing' if target is None else f'{target:g}'}"
        for name, target in list(said.targets.items())[:MOST]
    ]
    words = f"{said.bars} bars, {said.decisions} decisions, wants {', '.join(wanted) or 'nothing'}"
    return f"{words}; {said.trouble}" if said.trouble else words
