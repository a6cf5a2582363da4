"""One screen: where a rollout is, how it does, what it waits for, what happened last."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from controller.cli.render import words
from controller.cli.render.alerts import alert_lines
from controller.cli.render.budgets import spent_lines
from controller.cli.render.rules import rules_table
from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.completion import Standing
from controller.core.decision import Explanation
from controller.core.effect import Notify
from controller.core.explain import handover_words
from controller.core.parameters import awaited
from controller.core.plan import Plan, Step
from controller.core.share import percent_text
from controller.core.state import COMPLETED, PENDING, State, stage_step
from controller.run.presence import Seen
from controller.store.base import Attempt, Delivery

GOOD, BAD, BUSY = "green", "red", "cyan"
MOST_STEPS = 3
"""Of a stage that it is not in, shown one by one."""
WAY_BACK = ("rolling_back", "partial", "cooldown", "rolled_back", "locked")


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of history."""

    at: datetime
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the screen shows of one rollout."""

    state: State
    plan: Plan
    now: datetime
    told: Explanation | None = None
    looked_at: datetime | None = None
    history: tuple[Happened, ...] = ()
    waiting: tuple[Delivery, ...] = ()
    shown: Mapping[str, Attempt] = field(default_factory=dict)
    """By share target: what it last showed; of one rollout alone."""
    controller: Seen | None = None
    warnings: tuple[str, ...] = field(default=())
    parameters: tuple[str, ...] = ()
    standing: Standing | None = None
    blend: str = ""
    handover: tuple[str, ...] = ()


def fleet(views: list[View]) -> RenderableType:
    """All rollouts, one line each."""
    table = Table(box=None, pad_edge=False, header_style="bold dim")
    for column in ("rollout", "state", "share", "", "dwell", "all", "waits for"):
        table.add_column(column, overflow="fold")
    for view in views:
        step = view.plan.step(view.state.name)
        dwell = f"{span(view.state.dwell_ms)} of {span(step.hold_ms)}" if step else ""
        blocked = view.told.blockers[0] if view.told and view.told.blockers else ""
        table.add_row(
            Text(view.state.rollout, style="bold"),
            Text(view.state.name, style=state_style(view.state.name)),
            percent_text(view.state.share),
            words.bar(view.state.share / 100_000, 10),
            dwell,
            _part(view.standing.done_ms, view.standing.all_ms) if view.standing else "",
            blocked or _rest(view.state.name),
        )
    return table


def screen(view: View, *, local: bool) -> RenderableType:
    """One rollout."""
    parts: list[RenderableType] = [_header(view, local=local)]
    parts += [Text(f"! {warning}", style="bold yellow") for warning in view.warnings]
    parts += [Text(), _tree(view), *_shown(view)]
    if view.standing is not None:
        parts += [Text(), *_standing(view.standing, local=local)]
    if view.blend:
        parts.append(Text(f"  {view.blend}"))
    if view.told is not None:
        parts += [Text(), *(Text(f"  {words.clock(clock)}") for clock in view.told.clocks)]
    if view.parameters and view.state.parameters is not None:
        title = f"parameters at {percent_text(view.state.parameters.progress)} of their way"
        title += ", not acknowledged yet" if awaited(view.state) else ""
        parts += [Rule(title, align="left", style="dim")]
        parts += [Text(f"  {line}") for line in view.parameters]
    if view.handover:
        waits = view.state.handover is not None and view.state.handover.key
        title = f"handover: {handover_words(view.state)}{', not acknowledged yet' if waits else ''}"
        parts += [Rule(title, align="left", style="dim")]
        parts += [Text(f"  {line}") for line in view.handover]
    if view.told is not None and (view.told.checks or view.told.triggers):
        age = span(milliseconds(view.now - view.looked_at)) if view.looked_at else "?"
        parts += [Rule(f"measured {age} ago", align="left", style="dim"), rules_table(view.told)]
    if view.told is not None:
        parts += [Text(f"  dry run: {line}", style="cyan") for line in view.told.would_have]
        parts += spent_lines(view.told.budgets)
    parts += _waits(view)
    alerts = alert_lines(view.plan, view.state, view.now, local=local)
    if alerts:
        parts += [Rule("alerts (`rollout ack` takes them on)", align="left", style="dim"), *alerts]
    parts += _history(view, local=local)
    return Group(*parts)


def state_style(name: str) -> str:
    """Colour of a state."""
    if name == COMPLETED:
        return GOOD
    if name.partition(".")[0] in WAY_BACK:
        return BAD
    if name.endswith((".held", ".paused", ".approval")):
        return "yellow"
    return "dim" if name == PENDING else BUSY


def _header(view: View, *, local: bool) -> RenderableType:
    state, plan = view.state, view.plan
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text(state.rollout, style="bold"),
        Text(f"{plan.baseline.name} → {plan.candidate.name}"),
        Text(state.name, style=f"bold {state_style(state.name)}"),
        Text(f"{words.bar(state.share / 100_000)} {percent_text(state.share)}"),
    )
    since = words.moment(state.step_since, local=local) if state.step_since else "not started"
    line = f"since {since} · epoch {state.epoch} · decision {state.seq} · {_controller(view)}"
    return Group(table, Text(line, style="dim"))


def _controller(view: View) -> str:
    """Who looks after it."""
    if view.controller is None:
        return "no controller has been seen"
    word = "seen" if view.controller.running else "stopped"
    return f"controller {word} {span(milliseconds(view.now - view.controller.at))} ago"


def _tree(view: View) -> RenderableType:
    """The way forward, with a mark at where it is. Of a stage with many steps that it is not in,
    the first and the last."""
    here = stage_step(view.state.name)
    names = [step.name for step in view.plan.steps]
    at = names.index(here) if here in names else len(names) if here == COMPLETED else -1
    lines = []
    for _, stage in groupby(enumerate(view.plan.steps), lambda each: each[1].stage):
        steps = list(stage)
        if len(steps) > MOST_STEPS and at not in dict(steps):
            between = Text(f"    ⋮ {len(steps) - 2} steps between", style="dim")
            lines += [_branch(view, *steps[0], at), between, _branch(view, *steps[-1], at)]
        else:
            lines += [_branch(view, index, step, at) for index, step in steps]
    if here in WAY_BACK:
        lines.append(Text(f"  ◄ {view.state.name}", style=f"bold {BAD}"))
    return Group(*lines)


def _branch(view: View, index: int, step: Step, at: int) -> Text:
    """One step of it."""
    mark, tone = ("✓", GOOD) if index < at else ("●", "bold cyan") if index == at else ("○", "dim")
    share = percent_text(step.share) + (" mirror" if step.mirror else "")
    needs = f"hold {span(step.hold_ms)}"
    if step.checks:
        needs += f", {len(step.checks)} checks"
    if step.approval:
        needs += f", approval by {step.approval.by}"
    side = view.state.name.partition(".")[2] if index == at else ""
    return Text.assemble(
        (f"  {mark} {step.name:14}", tone), f"{share:>12}  ", (needs, "dim"),
        (f"  {side}" if side else "", "bold yellow"),
    )  # fmt: skip


def _standing(standing: Standing, *, local: bool) -> list[RenderableType]:
    """How far it is in its phase and in all, and when it will be done."""
    there = standing.left
    title = f"phase {standing.number} of {standing.of}"
    done, whole = standing.phase_done_ms, standing.phase_ms
    lines = [
        f"{title}  {words.bar(_fraction(done, whole))} {standing.phase}, {_part(done, whole)}"
        f" of {span(whole)}",
        f"{'all':{len(title)}}  "
        f"{words.bar(_fraction(standing.done_ms, standing.all_ms))} "
        f"{_part(standing.done_ms, standing.all_ms)} of {span(standing.all_ms)}",
    ]
    first = words.moment(there.earliest, local=local)
    last = f"none by itself: {there.unending}"
    if there.latest_ms is not None:
        moment = words.moment(there.latest, local=local)
        last = f"{moment}, in {span(there.latest_ms)}: done or on its way back"
    lines += [
        f"earliest end  {first}, in {span(there.earliest_ms)} of open time",
        f"latest end    {last}",
    ]
    return [Text(f"  {line}") for line in lines]


def _fraction(done_ms: int, whole_ms: int) -> float:
    return done_ms / whole_ms if whole_ms else 0.0


def _part(done_ms: int, whole_ms: int) -> str:
    """`41%`, never more than what is there: 100% is said of all of it alone."""
    return f"{done_ms * 100 // whole_ms}%" if whole_ms else "0%"


def _shown(view: View) -> list[RenderableType]:
    """What the targets of the share showed when they last took one."""
    return [
        Text.assemble(
            (f"  {name}: ", "dim"),
            f"{shown.detail} {span(milliseconds(view.now - shown.at))} ago",
        )
        for name, shown in view.shown.items()
    ]


def _waits(view: View) -> list[RenderableType]:
    if view.told is not None and view.told.blockers:
        title = "to advance" + (f" to {view.told.next_state}" if view.told.next_state else "")
        return [
            Rule(title, align="left", style="dim"),
            *(Text(f"  · {blocker}") for blocker in view.told.blockers),
        ]
    rest = _rest(view.state.name)
    return [Text(), Text(f"  {rest}")] if rest else []


def _rest(name: str) -> str:
    return {
        PENDING: "waits for `rollout start`",
        COMPLETED: "done: the candidate is in charge",
        "rolled_back": "the baseline is in charge; `rollout start` begins again",
        "locked": "the baseline is in charge; `rollout reset` unlocks",
        "partial": "rolled back in part: see what is not acknowledged, then `rollout reset`",
    }.get(name, "")


def _history(view: View, *, local: bool) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if view.waiting:
        parts.append(Rule("not acknowledged yet", align="left", style="dim"))
        for delivery in view.waiting:
            kind = type(delivery.effect).__name__
            error = f": {delivery.last_error}" if delivery.last_error else ""
            to = f" {delivery.effect.target}" if isinstance(delivery.effect, Notify) else ""
            line = f"  {kind}{to} {delivery.effect.key}, {delivery.attempts} attempts{error}"
            parts.append(Text(line, style="yellow" if delivery.attempts else ""))
    if view.history:
        parts.append(Rule("last moves", align="left", style="dim"))
        table = Table.grid(padding=(0, 2))
        for happened in view.history:
            table.add_row(
                Text(f"  {words.moment(happened.at, local=local)}", style="dim"),
                Text(happened.what, style="bold"),
                Text(happened.why),
            )
        parts.append(table)
    return parts


def stale_after(plan: Plan) -> timedelta:
    """Without a decision for this long, what is on the screen is old."""
    return max(3 * plan.tick, timedelta(seconds=10))
