"""What a person sees of the demo: a live picture on a terminal, plain lines elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from controller.core.decision import Explanation, RuleResult
from controller.core.measurement import Outcome
from controller.core.share import WHOLE, Share, percent_text

COLOURS: Mapping[Outcome, str] = {
    Outcome.PASS: "green",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_DATA: "yellow",
    Outcome.ERROR: "magenta",
    Outcome.FAIL: "red",
}


@dataclass(frozen=True, slots=True)
class Move:
    """One change of state, as journaled."""

    seq: int
    day: date
    seconds: float
    state: str
    share: Share
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything on the screen at one moment. `books` and `money` (US dollars) are by version."""

    rollout: str
    day: date
    bars: int
    seconds: float
    published: Share
    explanation: Explanation
    books: Mapping[str, int]
    money: Mapping[str, float]


class Screen(Protocol):
    """Where the demo shows itself."""

    def begin(self, title: str, story: str) -> None:
        """A new act."""
        ...

    def show(self, frame: Frame) -> None:
        """The present moment."""
        ...

    def moved(self, move: Move) -> None:
        """The rollout changed its state."""
        ...

    def end(self) -> None:
        """The act is over."""
        ...


def screen_for(console: Console) -> Screen:
    """A live picture where there is a terminal, lines where there is none."""
    return LiveScreen(console) if console.is_terminal else LineScreen(console)


class LineScreen:
    """One line for each move: for pipes, logs and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, title: str, story: str) -> None:
        """See `Screen.begin`."""
        self._console.print(f"\n== {title}\n{story}")

    def show(self, frame: Frame) -> None:
        """Lines tell moves only."""
        del frame

    def moved(self, move: Move) -> None:
        """See `Screen.moved`."""
        self._console.print(move_text(move), soft_wrap=True)

    def end(self) -> None:
        """See `Screen.end`."""


class LiveScreen:
    """One picture, redrawn in place; the moves stay above it as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def begin(self, title: str, story: str) -> None:
        """See `Screen.begin`."""
        self._console.print(Text(f"\n{title}", style="bold"), story, sep="\n")
        self._live = Live(console=self._console, refresh_per_second=10, transient=True)
        self._live.start()

    def show(self, frame: Frame) -> None:
        """See `Screen.show`."""
        if self._live:
            self._live.update(picture(frame))

    def moved(self, move: Move) -> None:
        """See `Screen.moved`."""
        self._console.print(move_text(move))

    def end(self) -> None:
        """See `Screen.end`."""
        if self._live:
            self._live.stop()
        self._live = None


def move_text(move: Move) -> Text:
    """`12.3s  2001-03-07  canary  5%  because ...`."""
    going_back = move.state.startswith(("rolling_back", "partial", "locked"))
    style = "red" if going_back else "green"
    text = Text.assemble(
        (f"{move.seconds:6.1f}s  {move.day}  ", "dim"),
        (f"{move.state:<30}", style),
        (f"{percent_text(move.share):>5}", "bold"),
    )
    if move.reasons:
        text.append("  " + "; ".join(move.reasons), "dim")
    return text


def picture(frame: Frame) -> RenderableType:
    """The panel of one rollout: share, clocks, rules with their distance, books and money."""
    told = frame.explanation
    head = Text.assemble(
        (frame.rollout, "bold"),
        "  ",
        (told.state, "bold cyan"),
        (f" -> {told.next_state}" if told.next_state else "", "dim"),
        (f"   market day {frame.day}, bar {frame.bars}, {frame.seconds:.1f} s", "dim"),
    )
    parts: list[RenderableType] = [head, _share_bar(frame), *(_clocks(told)), _rules(told)]
    parts.append(_desk(frame))
    if told.blockers:
        parts.append(Text("waits for: " + "; ".join(told.blockers), style="yellow"))
    return Panel(Group(*parts), border_style="dim")


def _share_bar(frame: Frame) -> RenderableType:
    bar = ProgressBar(total=WHOLE, completed=frame.published, width=40)
    return _row(Text("share"), bar, Text(f"{percent_text(frame.published)} published"))


def _clocks(told: Explanation) -> list[RenderableType]:
    rows: list[RenderableType] = []
    for clock in told.clocks:
        total = max(clock.required_ms, 1)
        bar = ProgressBar(total=total, completed=min(clock.elapsed_ms, total), width=40)
        words = f"{clock.elapsed_ms / 1000:.1f} of {clock.required_ms / 1000:g} s {clock.note}"
        rows.append(_row(Text(clock.name), bar, Text(words, style="dim")))
    return rows


def _row(name: Text, bar: ProgressBar, words: Text) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=9)
    grid.add_column(width=40)
    grid.add_column()
    grid.add_row(name, bar, words)
    return grid


def _rules(told: Explanation) -> RenderableType:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for column in ("rule", "value", "limit", "distance", "samples", "outcome"):
        table.add_column(column, justify="left" if column in ("rule", "outcome") else "right")
    for result in told.checks:
        _add_rule(table, result, result.outcome.value, COLOURS[result.outcome])
    for result in told.triggers:
        quiet = "firing" if result.firing else "quiet"
        word = quiet if result.outcome in (Outcome.PASS, Outcome.FAIL) else result.outcome.value
        _add_rule(table, result, word, "red" if result.firing else "dim")
    return table


def _add_rule(table: Table, result: RuleResult, word: str, style: str) -> None:
    term = result.terms[0] if result.terms else None
    table.add_row(
        result.rule,
        number(term.value, term.unit) if term else "",
        number(term.limit, term.unit) if term else "",
        number(term.distance, term.unit) if term else "",
        str(term.samples) if term else "",
        Text(word, style=style),
    )


def _desk(frame: Frame) -> RenderableType:
    cells: Sequence[Text] = [
        Text.assemble(
            (version, "bold"),
            f" {count} books ",
            money_text(frame.money.get(version, 0.0)),
        )
        for version, count in frame.books.items()
    ]
    return Columns(cells, padding=(0, 4))


def number(value: float | None, unit: str) -> str:
    """Short, with its unit; empty for None."""
    if value is None:
        return ""
    return f"{value:.3g}{'' if unit in ('%', '') else ' '}{unit}"


def money_text(amount: float) -> Text:
    """US dollars with sign, in the colour of the sign."""
    return Text(f"{amount:+,.0f} USD", style="green" if amount >= 0 else "red")
