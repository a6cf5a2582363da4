"""The program itself: run, push, doctor, demo."""

from pathlib import Path
from typing import Annotated

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
    settings_from,
)
from controller.cli.pushing import push


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (run, push, doctor, demo):
        app.command()(command)


def run(
    policies: Annotated[
        Path | None, typer.Argument(help="Directory of the policies [default: policies]")
    ] = None,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", help="Where observations are taken; off for none [default: 127.0.0.1:8787]"
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning or error")
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """The scheduled controller: looks, decides, moves, and records why, until it is stopped.

    Observations are taken over HTTP, from this machine: see `rollout push`.

    Stop it with Ctrl-C or SIGTERM: the round that runs is finished first. Example: rollout run
    """
    as_json = answer_in(form)
    settings = settings_from(
        database=database,
        state_dir=state_dir,
        policies=policies,
        listen=listen,
        log_level=log_level,
        log_format="json" if as_json else None,
    )
    if not (settings.policies.is_dir() or settings.store_is_there):
        # Rollouts that a store has are looked after even when the directory is out of reach.
        raise Stop(
            Exit.USAGE,
            f"there is no directory {settings.policies}, and no store whose rollouts could go on",
            f"`rollout init {settings.policies}` writes a policy to start from",
        )
    from controller.api.server import open_api
    from controller.run.service import run_forever

    code = run_forever(settings, open_api)
    if code:
        raise SystemExit(code)


def doctor(
    policies: Annotated[
        Path | None, typer.Argument(help="Directory of the policies [default: policies]")
    ] = None,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    tell: Annotated[
        bool, typer.Option("--tell", help="Send a test message through every channel of alerts")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Look at everything a rollout needs: settings, store, policies, sources, targets, channels.

    Exit 1 if anything fails. Example: rollout doctor
    """
    as_json = answer_in(form)
    from controller.cli.health import examine

    flags = {"database": database, "state_dir": state_dir, "policies": policies}
    found = examine(flags, tell=tell)
    if as_json:
        emit([{"what": f.what, "state": f.state, "detail": f.detail, "remedy": f.remedy}
              for f in found])  # fmt: skip
    else:
        out = console()
        tones = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        for one in found:
            out.print(f"[{tones[one.state]}]{one.state:4}[/] {one.what:22} ", end="")
            out.print(one.detail, markup=False)
            if one.remedy:
                out.print(f"     {'':22} do: {one.remedy}", markup=False)
    if any(one.state == "fail" for one in found):
        raise SystemExit(int(Exit.FAILED))


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo keeps its files")] = Path(
        ".rollout/demo"
    ),
    form: FormatOption = Format.TEXT,
) -> None:
    """The main job on real market data: one rollout that completes, one that is rolled back.

    Takes about a minute. Example: rollout demo
    """
    as_json = answer_in(form)
    from controller.demo import run_demo
    from controller.demo.market import DemoError

    try:
        code = run_demo(console(), folder, emit_line if as_json else None)
    except DemoError as error:
        raise Stop(Exit.FAILED, str(error)) from error
    if code:
        raise SystemExit(code)
