"""The journal: its chain of hashes verified, and its pages."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.output import (
    DatabaseOption,
    Exit,
    Format,
    FormatOption,
    StateOption,
    answer_in,
    console,
    emit,
    now,
    only_rollout,
    plans_of,
    settings_from,
    store_of,
)
from controller.cli.people import NameArgument

if TYPE_CHECKING:
    from controller.store.base import Entry

JOURNAL_PAGE = 50


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    audit = typer.Typer(help="The journal: verify its chain of hashes, or read it.")
    audit.callback(invoke_without_command=True)(_audit)
    audit.command("verify")(audit_verify)
    audit.command("show")(audit_show)
    app.add_typer(audit, name="audit")


def _audit(context: typer.Context) -> None:
    """The journal: every decision and who asked for it, chained by hashes.

    `rollout audit` alone verifies everything.
    """
    if context.invoked_subcommand is None:
        audit_verify()


def audit_verify(
    name: NameArgument = None,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Recompute every hash and take every decision again. Exit 1 at the first difference.

    Example: rollout audit verify ifd-v3
    """
    from controller.core.decide import decide
    from controller.store.audit import verify, verify_observations

    as_json = answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        plans = plans_of(store)
        names = [row.state.rollout for row in store.rollouts()]
        chosen = names if name is None else [only_rollout(store, name)]
        reports = [
            verify(store, rollout, decide, lambda digest: plans.plan(digest, now()))
            for rollout in chosen
        ]
        if name is None:
            reports += [verify_observations(store, s) for s in store.observation_sources()]
    if as_json:
        emit([{"chain": r.chain, "links": r.links, "decided_again": r.folded, "hash": r.hash,
               "whole": r.whole, "problem": r.broken} for r in reports])  # fmt: skip
    else:
        for report in reports:
            sys.stdout.write(f"{'ok  ' if report.whole else 'FAIL'} {report}\n")
        if not reports:
            sys.stdout.write("nothing to verify yet\n")
    if not all(report.whole for report in reports):
        raise SystemExit(int(Exit.FAILED))


def audit_show(
    name: NameArgument = None,
    since: Annotated[int, typer.Option("--since", help="Only after this decision number")] = 0,
    last: Annotated[int, typer.Option("--last", help="At most so many, the newest")] = JOURNAL_PAGE,
    moves: Annotated[bool, typer.Option("--moves", help="Only what moved or was refused")] = False,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Read the journal: time, number, what happened, what came of it, who.

    Example: rollout audit show ifd-v3 --moves
    """
    from collections import deque

    as_json = answer_in(form)
    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        chosen = only_rollout(store, name)
        page: deque[Entry] = deque(maxlen=last)
        for entry in store.journal(chosen, after=since):
            if not moves or entry.move or entry.refused:
                page.append(entry)
        if as_json:
            for entry in page:
                sys.stdout.buffer.write(entry.body + b"\n")
            return
        _show(list(page))


def _show(entries: list["Entry"]) -> None:
    from rich.table import Table
    from rich.text import Text

    from controller.cli.render import words
    from controller.cli.render.explain import event_words

    table = Table(box=None, pad_edge=False, header_style="bold dim")
    for column in ("time", "no.", "what happened", "what came of it", "hash"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        came = entry.state.name if entry.state is not None and entry.move else entry.move
        said = f"refused: {entry.refused}" if entry.refused else "; ".join(entry.reasons)
        table.add_row(
            words.moment(entry.at, local=sys.stdout.isatty()),
            str(entry.seq),
            event_words(entry.event),
            Text.assemble((f"{came} " if came else "", "bold"), said),
            Text(entry.hash[:10], style="dim"),
        )
    console().print(table)
