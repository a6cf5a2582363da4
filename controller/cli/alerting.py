"""What people say of alerts: `ack` and `silence`."""

from datetime import datetime, timedelta
from typing import Annotated

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
    moment_of,
    now,
)
from controller.cli.people import NameArgument, simple

AlertOption = Annotated[
    str,
    typer.Option("--alert", help="One alert (trigger/loss) or all of a kind [default: every one]"),
]
ForOption = Annotated[str | None, typer.Option("--for", help="For how long, such as 2h")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Until when: 2026-03-02T15:30Z")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (ack, silence):
        app.command()(command)


def ack(
    name: NameArgument = None,
    alert: AlertOption = "",
    for_: ForOption = None,
    until: UntilOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Take alerts on: they are neither repeated nor escalated any more.

    With an end, they are told anew if they still last then. Those who were told hear who did it.

    Example: rollout ack ifd-v3 --by ann --for 30m
    """
    end = _end(for_, until)
    simple("ack", name, by, reason, database, state_dir, form, alert=alert, until=end)


def silence(
    name: NameArgument = None,
    alert: AlertOption = "",
    for_: ForOption = None,
    until: UntilOption = None,
    end: Annotated[bool, typer.Option("--end", help="End it now")] = False,
    by: ByOption = None,
    reason: ReasonOption = "",
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Tell nobody of alerts for a time; the log has them all the same.

    What lasts is told when the silence ends, and so is what came and went in it.

    Example: rollout silence ifd-v3 --alert trigger/stale --for 2h --reason "feed is moved"
    """
    ends = now() if end else _end(for_, until)
    if ends is None:
        raise Stop(Exit.USAGE, "a silence has an end", "say it: --for 2h, or --until TIME")
    simple("silence", name, by, reason, database, state_dir, form, alert=alert, until=ends)


def _end(for_: str | None, until: str | None) -> datetime | None:
    from controller.policy.values import parse_duration

    if for_ is not None and until is not None:
        raise Stop(Exit.USAGE, "one end is enough", "say --for or --until")
    if until is not None:
        return moment_of(until)
    if for_ is None:
        return None
    try:
        length: timedelta = parse_duration(for_)
    except ValueError as error:
        message, _, hint = str(error).rpartition("; ")
        raise Stop(Exit.USAGE, message, hint) from None
    return now() + length
