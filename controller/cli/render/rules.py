"""Checks and triggers as a table: value, limit, distance, samples, outcome."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from controller.cli.render import words
from controller.core.decision import Explanation, RuleResult

WIDE = 110
"""Columns from which limits get one of their own; below it, one that the rule does not spell out
stands beside the value."""


def rules_table(told: Explanation) -> RenderableType:
    """Every rule of an explanation, one line a measured term."""
    return _Rules(told)


@dataclass(frozen=True, slots=True)
class _Rules:
    told: Explanation

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        limits = options.max_width >= WIDE
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold dim")
        table.add_column("rule", ratio=3)
        for name in ("value", *(["limit"] if limits else []), "distance", "samples"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("outcome", no_wrap=True)
        for result in self.told.checks:
            _add(table, result, trigger=False, limits=limits)
        if self.told.checks and self.told.triggers:
            table.add_section()
        for result in self.told.triggers:
            _add(table, result, trigger=True, limits=limits)
        yield table


def _add(table: Table, result: RuleResult, *, trigger: bool, limits: bool) -> None:
    label = Text(result.rule)
    if trigger:
        label = Text.assemble((f"{result.name} ", "bold"), (f"({result.severity}) ", "dim"), label)
    said = words.outcome(result, trigger=trigger)
    shown = Text(said + (f" {result.count}" if result.count else ""),
                 style=words.style(result, trigger=trigger))  # fmt: skip
    for index, term in enumerate(result.terms):
        limit = f"{term.operator} {words.number(term.limit, term.unit)}" if term.operator else ""
        value = words.number(term.value, term.unit)
        spelled = _tight(words.number(term.limit, term.unit)) in _tight(result.rule)
        table.add_row(
            label if index == 0 else Text(f"  {term.reference}", style="dim"),
            value if limits or spelled else f"{value} {limit}".rstrip(),
            *([limit] if limits else []),
            words.distance(term),
            words.samples(term),
            shown if index == 0 else Text(term.detail if term.lower is None else "", style="dim"),
        )
        if term.lower is not None:
            table.add_row(Text(f"  {term.detail}", style="dim"))
    if not result.terms:
        table.add_row(label, "-", *([""] if limits else []), "", "", shown)


def _tight(text: str) -> str:
    return text.replace(" ", "").replace(",", "")
