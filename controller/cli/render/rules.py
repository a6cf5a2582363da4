"""Checks and triggers as a table: value, limit, distance, samples, outcome."""

from rich.table import Table
from rich.text import Text

from controller.cli.render import words
from controller.core.decision import Explanation, RuleResult


def rules_table(told: Explanation) -> Table:
    """Every rule of an explanation, one line a measured term."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold dim")
    table.add_column("rule", ratio=3, overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("distance", justify="right", no_wrap=True)
    table.add_column("samples", justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for result in told.checks:
        _add(table, result, trigger=False)
    if told.checks and told.triggers:
        table.add_section()
    for result in told.triggers:
        _add(table, result, trigger=True)
    return table


def _add(table: Table, result: RuleResult, *, trigger: bool) -> None:
    label = Text(result.rule)
    if trigger:
        label = Text.assemble((f"{result.name} ", "bold"), (f"({result.severity}) ", "dim"), label)
    said = words.outcome(result, trigger=trigger)
    shown = Text(said + (f" {result.count}" if result.count else ""),
                 style=words.style(result, trigger=trigger))  # fmt: skip
    for index, term in enumerate(result.terms):
        table.add_row(
            label if index == 0 else Text(f"  {term.reference}", style="dim"),
            words.number(term.value, term.unit),
            f"{term.operator} {words.number(term.limit, term.unit)}" if term.operator else "",
            words.distance(term),
            words.samples(term),
            shown if index == 0 else Text(term.detail, style="dim"),
        )
    if not result.terms:
        table.add_row(label, "-", "", "", "", shown)
