"""What a person sees of the demo: a live picture on a terminal, plain lines elsewhere; programs
are given records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from controller.cli.render import words
from controller.cli.render.status import state_style
from controller.core.decision import Explanation, RuleResult
from controller.core.share import WHOLE, Share, percent_text

MOST_COLUMNS = 100
"""Wider, a picture is harder to read."""
REASON_COLUMN = 21
"""Where a reason begins that needs a line of its own."""


@dataclass(frozen=True, slots=True)
class Move:
    """One change of state, as journaled."""

    rollout: str
    seq: int
    day: date
    seconds: float
    state: str
    share: Share
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything on the screen at one moment. `parts` (of the capital) and `money` (US dollars) are
    by version;
    `published` is the share in the file, `told` the last look of the controller."""

    rollout: str
    state: str
    day: date
    bars: int
    seconds: float
    published: Share
    told: Explanation | None
    parts: Mapping[str, float]
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


def screen_for(console: Console, answer: Callable[[dict[str, Any]], None] | None) -> Screen:
    """Records where they are asked for, a live picture on a terminal, lines elsewhere."""
    if answer is not None:
        return Records(answer)
    return LiveScreen(console) if console.is_terminal else LineScreen(console)


class Records:
    """One record for each move: for programs."""

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        self._answer = answer

    def begin(self, title: str, story: str) -> None:
        """See `Screen.begin`."""

    def show(self, frame: Frame) -> None:
        """See `Screen.show`."""

    def moved(self, move: Move) -> None:
        """See `Screen.moved`."""
        self._answer(
            {
                "rollout": move.rollout,
                "seq": move.seq,
                "day": move.day.isoformat(),
                "seconds": round(move.seconds, 1),
                "state": move.state,
                "share": percent_text(move.share),
                "reasons": move.reasons,
            }
        )

    def end(self) -> None:
        """See `Screen.end`."""


class LineScreen:
    """One line for each move: for pipes, logs and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, title: str, story: str) -> None:
        """See `Screen.begin`."""
        self._console.print(f"\n== {title}\n{story}")

    def show(self, frame: Frame) -> None:
        """See `Screen.show`."""

    def moved(self, move: Move) -> None:
        """See `Screen.moved`."""
        self._console.print(_where(move), "; ".join(move.reasons), sep="  ", soft_wrap=True)

    def end(self) -> None:
        """See `Screen.end`."""


class LiveScreen:
    """One picture, redrawn in place; the moves stay above it as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def begin(self, title: str, story: str) -> None:
        """See `Screen.begin`."""
        width = min(self._console.width, MOST_COLUMNS)
        self._console.print(Text(f"\n{title}", style="bold"))
        self._console.print(story, width=width)
        self._live = Live(console=self._console, refresh_per_second=10, transient=True)
        self._live.start()

    def show(self, frame: Frame) -> None:
        """See `Screen.show`."""
        if self._live:
            self._live.update(picture(frame, min(self._console.width, MOST_COLUMNS)))

    def moved(self, move: Move) -> None:
        """See `Screen.moved`."""
        where, why = _where(move), Text("; ".join(move.reasons), style="dim")
        if where.cell_len + 2 + why.cell_len <= self._console.width:
            self._console.print(where, why, sep="  ")
        else:
            self._console.print(where, Padding(why, (0, 0, 0, REASON_COLUMN)), sep="\n")

    def end(self) -> None:
        """See `Screen.end`."""
        if self._live:
            self._live.stop()
        self._live = None


def _where(move: Move) -> Text:
    """`  12.3s  2001-03-07    5%  canary       `."""
    return Text.assemble(
        (f"{move.seconds:6.1f}s  {move.day}  ", "dim"),
        (f"{percent_text(move.share):>4}  ", "bold"),
        (f"{move.state:<11}", state_style(move.state)),
        no_wrap=True,
    )


def picture(frame: Frame, width: int) -> RenderableType:
    """The panel of one rollout: share, clocks, rules with their values, parts and money."""
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{frame.rollout}  ", "bold"),
            (frame.state, f"bold {state_style(frame.state)}"),
            (f"   market day {frame.day}, bar {frame.bars}, {frame.seconds:.0f} s", "dim"),
        ),
        Text(f"share      {words.bar(frame.published / WHOLE)} {percent_text(frame.published)}"),
    ]
    told = frame.told
    if told is not None:
        if told.state == frame.state:
            parts += [Text(words.clock(clock)) for clock in told.clocks]
        parts.append(_rules(told))
    parts.append(_desk(frame))
    return Panel(Group(*parts), border_style="dim", width=width)


def _rules(told: Explanation) -> Table:
    """A line for each rule, in columns that stay where they are from one look to the next."""
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 1, 0, 0))
    table.add_column("rule", width=35)
    table.add_column("value", justify="right", width=11)
    table.add_column("samples", justify="right", width=12)
    table.add_column("outcome", width=13)
    for rules, trigger in ((told.checks, False), (told.triggers, True)):
        for result in rules:
            table.add_row(*_cells(result, trigger=trigger))
    return table


def _cells(result: RuleResult, *, trigger: bool) -> tuple[Text, str, str, Text]:
    label = Text.assemble((f"{result.name} " if trigger else "", "bold"), result.rule)
    said = words.outcome(result, trigger=trigger)
    term = result.terms[0] if result.terms else None
    return (
        label,
        words.number(term.value, term.unit) if term else "-",
        words.samples(term) if term else "",
        Text(said, style=words.style(result, trigger=trigger)),
    )


def _desk(frame: Frame) -> RenderableType:
    cells = [
        Text.assemble((version, "bold"), f" {part:.0%} ", money_text(frame.money.get(version, 0.0)))
        for version, part in frame.parts.items()
    ]
    return Columns(cells, padding=(0, 4))


def money_text(amount: float) -> Text:
    """US dollars with sign, in the colour of the sign."""
    return Text(f"{amount:+,.0f} USD", style="green" if amount >= 0 else "red")
