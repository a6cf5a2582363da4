"""What a person sees of the demo: a live picture on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from controller.cli.render import words
from controller.cli.render.rules import rules_table
from controller.cli.render.status import state_style
from controller.core.decision import Explanation
from controller.core.share import WHOLE, Share, percent_text


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
    """Everything on the screen at one moment. `books` and `money` (US dollars) are by version;
    `published` is the share in the file, `told` the last look of the controller."""

    rollout: str
    state: str
    day: date
    bars: int
    seconds: float
    published: Share
    told: Explanation | None
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
    text = Text.assemble(
        (f"{move.seconds:6.1f}s  {move.day}  ", "dim"),
        (f"{move.state:<30}", state_style(move.state)),
        (f"{percent_text(move.share):>5}", "bold"),
    )
    if move.reasons:
        text.append("  " + "; ".join(move.reasons), "dim")
    return text


def picture(frame: Frame) -> RenderableType:
    """The panel of one rollout: share, clocks, rules with their distance, books and money."""
    share = f"{words.bar(frame.published / WHOLE)} {percent_text(frame.published)} published"
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{frame.rollout}  ", "bold"),
            (frame.state, f"bold {state_style(frame.state)}"),
            (f"   market day {frame.day}, bar {frame.bars}, {frame.seconds:.0f} s", "dim"),
        ),
        Text(f"share     {share}"),
    ]
    if frame.told is not None:
        parts += [Text(words.clock(clock)) for clock in frame.told.clocks]
        parts += [rules_table(frame.told)] if frame.told.triggers else []
    parts.append(_desk(frame))
    if frame.told is not None and frame.told.blockers:
        parts.append(Text("waits for " + "; ".join(frame.told.blockers), style="yellow"))
    return Panel(Group(*parts), border_style="dim")


def _desk(frame: Frame) -> RenderableType:
    cells = [
        Text.assemble(
            (version, "bold"), f" {count} books ", money_text(frame.money.get(version, 0.0))
        )
        for version, count in frame.books.items()
    ]
    return Columns(cells, padding=(0, 4))


def money_text(amount: float) -> Text:
    """US dollars with sign, in the colour of the sign."""
    return Text(f"{amount:+,.0f} USD", style="green" if amount >= 0 else "red")
