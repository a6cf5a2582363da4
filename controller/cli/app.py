"""The commands of `rollout`, in the order in which a newcomer meets them."""

import sys

import typer

from controller.cli.output import Exit, Stop, fail

app = typer.Typer(
    name="rollout",
    help="Moves live work from one version of an algorithm to the next, and back, by policy.",
    epilog="First steps: rollout demo · rollout init · rollout validate policies/ · rollout run. "
    "Exit codes: 0 done, 1 the policy, test or rollout failed, 2 wrong usage, 3 not reachable.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from controller import __version__

        sys.stdout.write(f"rollout {__version__}\n")
        raise typer.Exit


@app.callback()
def _rollout(
    version: bool = typer.Option(
        False, "--version", help="Say the version", is_eager=True, callback=_version
    ),
) -> None:
    del version


def register() -> None:
    """Add every command: once, and not before a command line is run or described."""
    from controller.cli import alerting, auditing, people, policies, rollouts, system

    for room in (policies, rollouts, auditing, people, alerting, system):
        room.add_to(app)


def run() -> None:
    """Run the command line; every error becomes words and an exit code."""
    register()
    try:
        app(prog_name="rollout")
    except Stop as stop:
        fail(stop)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing more can be said to it.
        sys.stderr.close()
        raise SystemExit(int(Exit.DONE)) from None
