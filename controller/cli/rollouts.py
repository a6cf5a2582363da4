"""Looking at rollouts: status, explain."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.output import (
    DatabaseOption,
    Exit,
    Format,
    FormatOption,
    StateOption,
    Stop,
    answer_in,
    console,
    emit,
    emit_line,
    moment_of,
    now,
    only_rollout,
    plans_of,
    settings_from,
    store_of,
)
from controller.cli.people import NameArgument

if TYPE_CHECKING:
    from datetime import datetime

    from controller.cli.render.status import View
    from controller.core.state import State
    from controller.run.plans import Plans
    from controller.run.presence import Seen
    from controller.store.base import Rollout, Store

MOVES_SHOWN = 6
ENTRIES_SEARCHED = 20_000
"""How far back `status` looks for moves."""
REFRESH_SECONDS = 1.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(status)
    app.command()(explain)


# Status -----------------------------------------------------------------------------------


def status(
    name: NameArgument = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and follow it live")] = False,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Where rollouts are, how they do, and what they wait for.

    Examples: rollout status · rollout status ifd-v3 --watch
    """
    as_json = answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        plans = plans_of(store)
        if name is not None:
            only_rollout(store, name)
        if watch:
            _watch(store, plans, name, as_json=as_json)
            return
        views = _views(store, plans, name)
        if as_json:
            found = [_as_data(view) for view in views]
            emit(found[0] if name is not None else found)
        else:
            console().print(_picture(views, one=name is not None))


def _watch(store: "Store", plans: "Plans", name: str | None, *, as_json: bool) -> None:
    """Follow until interrupted."""
    from threading import Event

    pause = Event()
    try:
        if as_json:
            seen: list[dict[str, Any]] = []
            while True:
                found = [_as_data(view) for view in _views(store, plans, name)]
                if found != seen:
                    emit_line(found)
                    seen = found
                pause.wait(REFRESH_SECONDS)
        from rich.live import Live

        out = console()
        with Live(console=out, screen=out.is_terminal, auto_refresh=False) as live:
            while True:
                views = _views(store, plans, name)
                live.update(_picture(views, one=name is not None), refresh=True)
                pause.wait(REFRESH_SECONDS)
    except KeyboardInterrupt:
        return


def _picture(views: list["View"], *, one: bool) -> Any:
    from controller.cli.render.status import fleet, screen

    if not views:
        return "no rollouts yet: `rollout start POLICY` begins one"
    if one or len(views) == 1:
        return screen(views[0], local=sys.stdout.isatty())
    return fleet(views)


def _views(store: "Store", plans: "Plans", name: str | None) -> list["View"]:
    from controller.run.presence import controllers

    rows = [row for row in store.rollouts() if name is None or row.state.rollout == name]
    seen = controllers(store)
    return [_view(store, plans, row, seen, alone=len(rows) == 1) for row in rows]


def _view(
    store: "Store", plans: "Plans", row: "Rollout", seen: "list[Seen]", *, alone: bool
) -> "View":
    from controller.cli.render.status import View, stale_after
    from controller.core.completion import standing
    from controller.run.presence import refusals
    from controller.run.recall import NothingThere, recall

    at = now()
    state, plan = row.state, plans.plan(row.state.policy, at)
    told = looked_at = None
    try:
        found = recall(store, plans.plan, state.rollout, ticks_only=True)
        # What was measured in another state says nothing of this one.
        if found.decision.state.name == state.name or plan.step(state.name) is None:
            told, looked_at = found.decision.explanation, found.entry.at
    except NothingThere:
        told = None
    if plan.step(state.name) is None:
        last = recall_last(store, plans, state.rollout)
        told = last
    warnings = []
    if row.next_due is not None and at - row.next_due > stale_after(plan):
        late = int((at - row.next_due).total_seconds())
        warnings.append(f"no controller looks at it: due for {late}s. Is `rollout run` running?")
    warnings += [
        f"{source}: {told.count} observations refused; the last: {told.last}"
        for source, told in refusals(seen).items()
        if source.startswith(f"{state.rollout}/")
    ]
    return View(
        state=state,
        plan=plan,
        now=at,
        told=told,
        looked_at=looked_at,
        history=tuple(_moves(store, state.rollout)),
        waiting=tuple(store.outbox(state.rollout)),
        shown=store.shown(state.rollout) if alone else {},
        controller=next(iter(seen), None),
        warnings=tuple(warnings),
        parameters=_parameters(plans, state, at),
        standing=standing(plan, state, at),
        blend=_blend(plans, state, at),
        handover=_handover(plans, state, at),
    )


def _blend(plans: "Plans", state: "State", at: "datetime") -> str:
    """What its blend comes to now; empty where nothing is blended."""
    from controller.cli.render.blending import blend_now
    from controller.effects.blending import blending

    return blend_now(blending(plans.known(state.policy, at).policy), state.share)


def _parameters(plans: "Plans", state: "State", at: "datetime") -> tuple[str, ...]:
    """What the parameters are now; empty where none are on their way."""
    from controller.cli.render.parameters import now_lines

    known = plans.known(state.policy, at)
    live = known.plan.step(state.name) is not None or state.name.startswith("rolling_back")
    if known.plan.parameters is None or state.parameters is None or not live:
        return ()
    return tuple(now_lines(known.policy, known.path.parent, state.parameters.progress))


def _handover(plans: "Plans", state: "State", at: "datetime") -> tuple[str, ...]:
    """What both processes say of a handover; empty without one."""
    from controller.cli.render.handover import said_lines

    known = plans.known(state.policy, at)
    if known.plan.handover is None or state.handover is None:
        return ()
    return tuple(said_lines(known.plan.handover, known.path.parent))


def recall_last(store: "Store", plans: "Plans", rollout: str) -> Any:
    """Explanation of the last decision of any kind; None before the first."""
    from controller.run.recall import NothingThere, recall

    try:
        return recall(store, plans.plan, rollout).decision.explanation
    except NothingThere:
        return None


def _moves(store: "Store", rollout: str) -> list[Any]:
    """The last moves, newest first."""
    from collections import deque

    from controller.cli.render.status import Happened

    last: deque[Happened] = deque(maxlen=MOVES_SHOWN)
    head = store.head(rollout)
    newest = head.seq if head is not None else 0
    for entry in store.journal(rollout, after=max(0, newest - ENTRIES_SEARCHED)):
        if entry.move or entry.refused:
            what = entry.state.name if entry.state is not None else entry.move
            why = entry.refused or "; ".join(entry.reasons)
            last.append(Happened(entry.at, "refused" if entry.refused else what, why))
    return list(reversed(last))


def _as_data(view: "View") -> dict[str, Any]:
    from controller.cli.render.alerts import alerts_as_data
    from controller.core.parameters import awaited
    from controller.core.share import percent_text

    state, vector = view.state, view.state.parameters
    return {
        "rollout": state.rollout,
        "state": state.name,
        "share": percent_text(state.share),
        "baseline": view.plan.baseline.name,
        "candidate": view.plan.candidate.name,
        "epoch": state.epoch,
        "seq": state.seq,
        "since": state.step_since,
        "reasons": state.reasons,
        "policy": state.policy,
        "explanation": view.told,
        "measured_at": view.looked_at,
        "undelivered": [
            {"effect": d.effect, "attempts": d.attempts, "error": d.last_error}
            for d in view.waiting
        ],
        "controller_seen": view.controller.at if view.controller else None,
        "controller_running": view.controller is not None and view.controller.running,
        "read_back": {name: shown.detail for name, shown in view.shown.items()},
        "warnings": view.warnings,
        "alerts": alerts_as_data(view.plan, state),
        "parameters": view.parameters,
        "parameters_progress": percent_text(vector.progress) if vector is not None else None,
        "parameters_acknowledged": not awaited(state),
        "progress": view.standing,
        "blend": view.blend or None,
        "handover": state.handover and state.handover.phase,
        "handover_acknowledged": state.handover is None or not state.handover.key,
        "handover_said": view.handover,
    }


# Explain ----------------------------------------------------------------------------------


def explain(
    name: NameArgument = None,
    seq: Annotated[int | None, typer.Option("--seq", help="Number of the decision")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="The decision at a time: 2026-03-02T15:30Z")
    ] = None,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Why: the rule, the values, the limits, how far from them, and what would move it.

    The decision is taken again from the journal, so what is shown is what was decided.
    Examples: rollout explain ifd-v3 · rollout explain ifd-v3 --at 2026-03-02T15:30Z
    """
    as_json = answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        from controller.cli.render.alerts import alert_lines, alerts_as_data
        from controller.cli.render.explain import explain_screen
        from controller.run.recall import NothingThere, recall

        plans = plans_of(store)
        chosen = only_rollout(store, name)
        moment = moment_of(at) if at else None
        try:
            newest = seq is None and moment is None
            ticks = newest and _is_live(store, chosen)
            found = recall(store, plans.plan, chosen, seq=seq, at=moment, ticks_only=ticks)
        except NothingThere as error:
            raise Stop(Exit.FAILED, str(error)) from error
        entry, decision = found.entry, found.decision
        if as_json:
            emit({
                "rollout": chosen, "seq": entry.seq, "at": entry.at, "event": entry.event,
                "before": found.before.name, "after": decision.state.name, "move": decision.move,
                "share": decision.state.share, "reasons": decision.reasons,
                "refused": decision.refused, "effects": decision.effects,
                "alerts": alerts_as_data(plans.plan(entry.policy, now()), decision.state),
                "explanation": decision.explanation, "policy": entry.policy, "hash": entry.hash,
                "blend": _blend(plans, decision.state, entry.at) or None,
            })  # fmt: skip
        else:
            blend = _blend(plans, decision.state, entry.at)
            local = sys.stdout.isatty()
            out = console()
            out.print(
                explain_screen(
                    entry.seq, entry.event, found.before, decision, blend=blend, local=local
                )
            )
            plan = plans.plan(entry.policy, now())
            for line in alert_lines(plan, decision.state, decision.at, local=local):
                out.print(line)


def _is_live(store: "Store", name: str) -> bool:
    """Whether ticks say more than what came last."""
    row = store.rollout(name)
    return row is not None and row.next_due is not None and row.state.share > 0
