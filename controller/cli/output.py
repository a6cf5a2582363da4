"""What every command shares: formats, exit codes, errors, and where text goes."""

import getpass
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from controller.policy.load import LoadedPolicy
    from controller.policy.models import Policy
    from controller.run.plans import Plans
    from controller.run.settings import Settings
    from controller.store.base import Store


_LABEL = re.compile(r" +(?:\S+  +|\d+\. |- )?")
"""How a line begins whose continuation is indented: spaces, and a label with a gap after it."""


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[
    Format, typer.Option("--format", help="text for people, json for programs")
]
DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", help="Path or URL of the store [default: .rollout/rollout.db]"),
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Directory of everything that is kept [default: .rollout]"),
]
ByOption = Annotated[
    str | None, typer.Option("--by", help="Who does it; goes into the journal [default: login]")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; goes into the journal")]


class Stop(Exception):
    """A command ends here, with words for the person and a code for programs."""

    def __init__(self, code: Exit, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


_as_json = False


def answer_in(form: Format) -> bool:
    """Remember the format for errors too; whether it is JSON."""
    global _as_json  # noqa: PLW0603 - one process, one command
    _as_json = form is Format.JSON
    return _as_json


def fail(stop: Stop) -> NoReturn:
    """Say what is wrong on standard error and exit."""
    if _as_json:
        problem = {"error": stop.message, "hint": stop.hint, "exit": int(stop.code)}
        sys.stderr.write(json.dumps(problem) + "\n")
    else:
        hint = f"\n  hint: {stop.hint}" if stop.hint else ""
        sys.stderr.write(f"rollout: {stop.message}{hint}\n")
    raise SystemExit(int(stop.code))


def emit(value: Any) -> None:
    """One JSON document on standard output."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.flush()


def emit_line(value: Any) -> None:
    """One line of JSON on standard output."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Plain text on standard output. A terminal gets lines that fit it."""
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        text = "\n".join(fitted(line, columns) for line in text.split("\n"))
    sys.stdout.write(text + "\n")


def fitted(line: str, columns: int) -> str:
    """`line` broken between words where it is longer than `columns`, and continued under what
    follows its indentation and label."""
    label = _LABEL.match(line)
    indent = label.end() if label else 0
    if len(line) <= columns or 3 * indent > 2 * columns:
        return line
    # A long word (a path, a key) stays whole, to be copied.
    return textwrap.fill(
        line, columns, subsequent_indent=" " * indent, break_long_words=False,
        break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip


def console(*, error: bool = False) -> "Console":
    """A rich console; colour only on a terminal, and not with NO_COLOR."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else int(os.environ.get("COLUMNS", "100"))
    return Console(file=stream, highlight=False, width=width)


def now() -> datetime:
    """The wall clock, for what a person does now."""
    return datetime.now(UTC)


def moment_of(text: str) -> datetime:
    """A time that somebody wrote; UTC where no zone is said."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Stop(Exit.USAGE, f"{text!r} is not a time", "write 2026-03-02T14:30Z") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def policy_file(path: Path) -> None:
    """Ends the command where a scenario file is given for a policy."""
    from controller.policy.files import is_scenario

    if is_scenario(path):
        message = f"{path} has scenarios, it is no policy"
        raise Stop(Exit.USAGE, message, f"run them: rollout test {path}")


def sound(loaded: "LoadedPolicy") -> "Policy":
    """The policy, if it has no errors; the command ends with them otherwise."""
    if loaded.policy is not None and loaded.ok:
        return loaded.policy
    policy_file(loaded.path)
    problems = "\n".join(str(finding) for finding in loaded.findings)
    hint = f"`rollout validate {loaded.path}` shows the places"
    raise Stop(Exit.FAILED, f"the policy has errors\n{problems}", hint)


def person(by: str | None) -> str:
    """Who acts: the name given, or the login name."""
    name = by if by is not None else os.environ.get("ROLLOUT_BY") or getpass.getuser()
    if not name.strip():
        raise Stop(Exit.USAGE, "nobody is named", "say who acts: --by NAME")
    return name.strip()


def settings_from(**flags: Any) -> "Settings":
    """The settings that hold; a mistake in them is wrong usage."""
    from controller.run.settings import SettingsError, read_settings

    try:
        return read_settings(flags)
    except SettingsError as error:
        raise Stop(Exit.USAGE, str(error), "`rollout doctor` shows where each was set") from error


@contextmanager
def store_of(settings: "Settings", *, create: bool = False) -> "Iterator[Store]":
    """The open store, closed in the end. One that cannot be used is unreachable."""
    from controller.store import open_store
    from controller.store.base import StoreError

    path = settings.store
    if not create and "://" not in path and not Path(path).exists():
        raise Stop(
            Exit.UNREACHABLE,
            f"there is no store at {path}",
            "run `rollout run` or `rollout start POLICY` first, or name it: --database PATH",
        )
    try:
        store = open_store(path, create=create)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        raise Stop(Exit.UNREACHABLE, str(error)) from error


def plans_of(store: "Store", environment: Mapping[str, str] | None = None) -> "Plans":
    """Plans compiled from the store's policies."""
    from controller.run.plans import Plans

    return Plans(store, os.environ if environment is None else environment)


def only_rollout(store: "Store", name: str | None) -> str:
    """The rollout meant: the one named, or the only one there is."""
    names = [row.state.rollout for row in store.rollouts()]
    if name is None:
        if len(names) == 1:
            return names[0]
        listed = ", ".join(names[:20]) or "none yet; `rollout start POLICY` begins one"
        raise Stop(Exit.USAGE, "which rollout?", f"there are: {listed}")
    if name not in names:
        from controller.policy.findings import did_you_mean

        raise Stop(Exit.USAGE, f"there is no rollout {name!r}", did_you_mean(name, names))
    return name
