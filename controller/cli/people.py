"""What people do: start, approve, pause, resume, advance, rollback, apply, reset.

Each acts on the store itself, through the same decision and the same transaction as the
controller, and carries out its own effects: it works when no controller runs.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.output import (
    ByOption,
    DatabaseOption,
    Exit,
    Format,
    FormatOption,
    ReasonOption,
    StateOption,
    Stop,
    answer_in,
    emit,
    now,
    only_rollout,
    person,
    plans_of,
    say,
    settings_from,
    sound,
    store_of,
)

if TYPE_CHECKING:
    from controller.core.decision import Decision
    from controller.core.event import CommandName
    from controller.run.plans import Known, Plans
    from controller.run.settings import Settings
    from controller.store.base import Store

NameArgument = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The rollout; not needed if there is one")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (start, approve, pause, resume, advance, rollback, apply, reset):
        app.command()(command)


def start(
    target: Annotated[
        str, typer.Argument(metavar="POLICY|NAME", help="A policy file, or a known rollout")
    ],
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Start a rollout, or start it again after a rollback.

    Example: rollout start policies/ifd-v3.yaml --by kim
    """
    answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    is_file = target.endswith((".yaml", ".yml")) or os.sep in target
    if is_file and not Path(target).is_file():
        raise Stop(Exit.USAGE, f"there is no policy file {target}")
    with store_of(settings, create=is_file) as store:
        plans = plans_of(store)
        name = _registered(store, plans, Path(target)) if is_file else only_rollout(store, target)
        _act(settings, store, plans, name, "start", by, reason, form)


def _registered(store: "Store", plans: "Plans", path: Path) -> str:
    """The rollout that a policy file declares, made known to the store."""
    from controller.run.commands import register

    loaded = plans.read_file(path.absolute())
    name = sound(loaded).rollout
    if not register(store, plans, loaded, now()):
        row = store.rollout(name)
        if row is not None and row.state.policy != loaded.digest:
            raise Stop(
                Exit.FAILED,
                f"{name} is known under another text of its policy",
                f"`rollout apply {path}` puts it under this one",
            )
    return name


def approve(
    name: NameArgument = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Agree that a rollout leaves the stage that waits for approval.

    Example: rollout approve ifd-v3 --by risk-officer
    """
    simple("approve", name, by, reason, database, state_dir, form)


def pause(
    name: NameArgument = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Keep share and dwell as they are. The triggers stay awake.

    Example: rollout pause ifd-v3 --reason "broker maintenance"
    """
    simple("pause", name, by, reason, database, state_dir, form)


def resume(
    name: NameArgument = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Go on after a pause or a hold, with the dwell it had.

    Triggers that asked for it count from the beginning: what still holds will hold it again.

    Example: rollout resume ifd-v3
    """
    simple("resume", name, by, reason, database, state_dir, form)


def advance(
    name: NameArgument = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Your word in place of dwell and gate, at the next tick. Triggers still have to be quiet.

    Example: rollout advance ifd-v3 --by ann --reason "seen enough"
    """
    simple("advance", name, by, reason, database, state_dir, form, ask=not yes)


def rollback(
    name: NameArgument = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Back to the baseline, now: its traffic first, then the rest of the plan.

    Waits for nobody and needs no running controller. Example: rollout rollback ifd-v3 --yes
    """
    simple("rollback", name, by, reason, database, state_dir, form, ask=not yes)


def reset(
    name: NameArgument = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Unlock a rollout that was rolled back too often, or take on a partial rollback.

    Does not start it. Example: rollout reset ifd-v3 --by head-of-risk
    """
    simple("reset", name, by, reason, database, state_dir, form, ask=not yes)


def apply(
    policy: Annotated[Path, typer.Argument(help="The changed policy file", exists=True)],
    state: Annotated[
        str, typer.Option("--state", help="Stage step to stand in [default: where it stands]")
    ] = "",
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Put a running rollout under a changed policy that is more than a safe edit.

    Example: rollout apply policies/ifd-v3.yaml --state canary --by ann
    """
    answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        plans = plans_of(store)
        loaded = plans.read_file(policy.absolute())
        name = only_rollout(store, sound(loaded).rollout)
        _keeps_publishing(store, plans, name, plans.save(loaded, now()))
        extra = {"policy": loaded.digest, "state": state}
        _act(settings, store, plans, name, "apply", by, reason, form, **extra)


def _keeps_publishing(store: "Store", plans: "Plans", name: str, new: "Known") -> None:
    """A publisher that is dropped or moved while the candidate has work would keep its share."""
    from controller.core.state import AT_BASELINE
    from controller.run.commands import left_behind

    row = store.rollout(name)
    if row is None or row.state.name in AT_BASELINE:
        return
    dropped = left_behind(plans.known(row.state.policy, now()), new)
    if dropped:
        raise Stop(
            Exit.FAILED,
            f"{name} still publishes through {', '.join(dropped)}, which the new policy drops or "
            f"moves: keep it, or bring the rollout back first (rollout rollback {name})",
        )


def simple(
    verb: "CommandName",
    name: str | None,
    by: str | None,
    reason: str,
    database: str | None,
    state_dir: Path | None,
    form: Format,
    *,
    ask: bool = False,
    **extra: Any,
) -> None:
    """A person's act on one rollout, `extra` of its `Command` included."""
    answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        chosen = only_rollout(store, name)
        if ask and form is Format.TEXT and sys.stdin.isatty() and sys.stdout.isatty():
            _confirm(store, verb, chosen)
        _act(settings, store, plans_of(store), chosen, verb, by, reason, form, **extra)


_CONSEQUENCE = {
    "advance": "its gate and dwell are passed over at the next tick; the share rises",
    "rollback": "all work goes back to the baseline at once",
    "reset": "it may be started again",
}


def _confirm(store: "Store", verb: str, name: str) -> None:
    from controller.core.share import percent_text

    row = store.rollout(name)
    if row is not None:
        say(f"{name} is in {row.state.name} at {percent_text(row.state.share)}.")
    say(f"{verb}: {_CONSEQUENCE[verb]}.")
    if not typer.confirm("Do it?"):
        raise Stop(Exit.FAILED, "nothing was done")


def _act(
    settings: "Settings",
    store: "Store",
    plans: "Plans",
    name: str,
    verb: "CommandName",
    by: str | None,
    reason: str,
    form: Format,
    **extra: Any,
) -> None:
    """Decide, commit, carry out, and say what came of it."""
    import random

    from controller.core.event import Command
    from controller.run.calendars import CalendarError
    from controller.run.commands import submit_command
    from controller.run.connections import Opened
    from controller.run.dispatch import Dispatcher
    from controller.run.plans import PolicyBroken
    from controller.run.presence import controllers
    from controller.run.unit import Contended

    connections = Opened(store, plans, settings.state_dir)
    # A controller at work has the secrets of the channels; a person's shell may not.
    at_work = any(seen.is_at_work(now(), settings.lease) for seen in controllers(store))
    dispatcher = Dispatcher(
        store, plans.plan, connections.target, f"{settings.name}-{verb}",
        random=random.Random(), lease=settings.lease, tells=not at_work,
    )  # fmt: skip
    command = Command(verb, person(by), reason, **extra)
    try:
        decision = submit_command(store, plans, dispatcher, name, command, now())
    except (PolicyBroken, CalendarError, ValueError) as error:
        raise Stop(Exit.FAILED, str(error)) from error
    except Contended as error:
        raise Stop(Exit.UNREACHABLE, str(error)) from error
    finally:
        dispatcher.close()
        connections.close()
    _tell(store, name, decision, form)


def _tell(store: "Store", name: str, decision: "Decision", form: Format) -> None:
    from controller.core.share import percent_text

    row = store.rollout(name)
    state = row.state if row is not None else decision.state
    waiting = store.outbox(name)
    if form is Format.JSON:
        found: dict[str, Any] = {
            "rollout": name,
            "state": state.name,
            "share": percent_text(state.share),
            "epoch": state.epoch,
            "seq": decision.state.seq,
            "reasons": decision.reasons,
            "refused": decision.refused,
            "undelivered": [delivery.effect for delivery in waiting],
        }
        emit(found)
    elif not decision.refused:
        say(f"{name}: {state.name} at {percent_text(state.share)} ({'; '.join(decision.reasons)})")
        if state.told_to_advance:
            say("  takes effect at the controller's next tick, if no trigger objects")
        for delivery in waiting:
            say(f"  not acknowledged yet: {delivery.effect.key} {delivery.last_error}".rstrip())
    if decision.refused:
        raise Stop(Exit.FAILED, decision.refused)
