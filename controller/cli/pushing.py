"""Observations from a file or a pipe to the running controller."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.output import Exit, Format, FormatOption, Stop, answer_in, emit, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

READ = 128 * 1024
"""Bytes read at once: what is there by then is sent, so that a pipe is followed as it flows."""
LINES = 1000
"""Lines of one request."""
LONGEST = 1024 * 1024
"""Bytes of one line; the controller takes shorter ones only."""
REASONS = 10
_TIMEOUT_SECONDS = 60.0
_TRIES = 5


class Sender:
    """Sends batches to one source of one rollout and adds up the answers."""

    def __init__(self, url: str, rollout: str, source: str, key: str) -> None:
        import urllib3

        self.accepted = self.refused = self.repeated = self.lines = 0
        self.reasons: list[str] = []
        self.moved_to: str | None = None
        self._url = f"{url}/v1/rollouts/{_part(rollout)}/sources/{_part(source)}/observations"
        self._base, self._key, self._batches = url, key, 0
        patience = urllib3.Retry(
            total=_TRIES, connect=0, read=2, status=_TRIES, status_forcelist=(429, 503),
            allowed_methods=None, backoff_factor=0.2, raise_on_status=False,
        )  # fmt: skip
        self._pool = urllib3.PoolManager(retries=patience, timeout=_TIMEOUT_SECONDS)

    def send(self, lines: list[bytes]) -> None:
        """One batch; sent again with the same key where no answer came. Raises Stop."""
        import urllib3

        self._batches += 1
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": f"{self._key}/{self._batches}",
        }
        try:
            answer = self._pool.request("POST", self._url, b"\n".join(lines), headers=headers)
            said = answer.json()
        except urllib3.exceptions.HTTPError as error:
            hint = "start it with `rollout run`; another address is named by --listen"
            words = f"no controller answers at {self._base}{self._so_far()}"
            raise Stop(Exit.UNREACHABLE, words, hint) from error
        except ValueError:
            raise Stop(Exit.UNREACHABLE, f"what answers at {self._base} is no controller") from None
        if "accepted" not in said:
            code = Exit.UNREACHABLE if answer.status == 503 else Exit.USAGE
            raise Stop(code, f"{said.get('error')}{self._so_far()}", said.get("hint", ""))
        self._add(said, len(lines))

    def _add(self, said: dict[str, Any], lines: int) -> None:
        first = self.lines
        self.reasons += [
            re.sub(r"^line (\d+)", lambda n: f"line {int(n[1]) + first}", reason)
            for reason in said["reasons"][: REASONS - len(self.reasons)]
        ]
        self.accepted += said["accepted"]
        self.refused += said["refused"]
        self.repeated += said["repeated"]
        self.moved_to = said["moved_to"] or self.moved_to
        self.lines += lines

    def _so_far(self) -> str:
        return f"; lines 1 to {self.lines} were taken" if self.lines else ""


def push(
    rollout: Annotated[str, typer.Argument(help="Name of the rollout")],
    source: Annotated[str, typer.Argument(help="Name of its push source")],
    file: Annotated[str, typer.Argument(help="File of JSON Lines; - for standard input")],
    key: Annotated[
        str | None,
        typer.Option("--key", help="Name of what is sent: with the same one it is taken once"),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", help="Where the controller listens [default: 127.0.0.1:8787]"),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Send observations to the running controller.

    Exit 1 if any was refused. Example: rollout push ifd-v3 signals today.jsonl
    """
    as_json = answer_in(form)
    settings = settings_from(listen=listen)
    if settings.address is None:
        raise Stop(Exit.USAGE, "the controller takes nothing: listen is off", "name --listen")
    from uuid import uuid4

    sender = Sender(f"http://{settings.listen}", rollout, source, key or uuid4().hex)
    with _opened(file) as descriptor, _progress(file, descriptor) as advance:
        for batch in _batches(descriptor, advance):
            sender.send(batch)
    if as_json:
        emit({"accepted": sender.accepted, "refused": sender.refused, "lines": sender.lines,
              "repeated": sender.repeated, "reasons": sender.reasons,
              "moved_to": sender.moved_to})  # fmt: skip
    else:
        _tell(sender)
    if sender.refused:
        raise SystemExit(int(Exit.FAILED))


def _tell(sender: Sender) -> None:
    words = f"{sender.accepted} accepted"
    if sender.refused:
        words += f", {sender.refused} refused"
    if sender.repeated:
        words += f", {sender.repeated} batches known already"
    sys.stdout.write(words + "\n")
    for reason in sender.reasons:
        sys.stdout.write(f"  {reason}\n")
    if sender.refused > len(sender.reasons):
        sys.stdout.write(f"  and {sender.refused - len(sender.reasons)} more\n")
    if sender.moved_to:
        sys.stdout.write(f"a hard limit is broken: moved to {sender.moved_to}\n")


@contextmanager
def _opened(file: str) -> Iterator[int]:
    if file == "-":
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{file}: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _progress(file: str, descriptor: int) -> "Iterator[Callable[[int], None]]":
    """A bar on a terminal, where the size is known."""
    if file == "-" or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress

    from controller.cli.output import console

    with Progress(console=console(error=True), transient=True) as bar:
        task = bar.add_task(file, total=os.fstat(descriptor).st_size)
        yield lambda size: bar.advance(task, size)


def _batches(descriptor: int, advance: "Callable[[int], None]") -> Iterator[list[bytes]]:
    """Whole lines as they come, at most `LINES` at a time. Raises Stop."""
    rest = b""
    while True:
        try:
            block = os.read(descriptor, READ)
        except OSError as error:
            raise Stop(Exit.USAGE, f"cannot be read: {error.strerror}") from None
        *lines, rest = (rest + block).split(b"\n")
        if not block and rest:
            lines, rest = [rest], b""
        if len(rest) > LONGEST:
            raise Stop(Exit.USAGE, f"no line ends in {LONGEST} bytes: this is no JSON Lines")
        for start in range(0, len(lines), LINES):
            yield lines[start : start + LINES]
        advance(len(block))
        if not block:
            return


def _part(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
