"""`rollout replay`: the timeline of a recorded history, with a small chart of the share."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.output import Exit, Stop, console, emit
from controller.core.share import WHOLE, percent_text

if TYPE_CHECKING:
    from controller.policy.load import LoadedPolicy
    from controller.replay.timeline import Timeline

CHART_WIDTH = 72
BLOCKS = " ▁▂▃▄▅▆▇█"


def replay_file(loaded: "LoadedPolicy", path: Path, *, as_json: bool) -> None:
    """Replay, and show what would have happened."""
    from controller.replay.history import HistoryError, replay_history

    try:
        with rows_counted(as_json=as_json) as progress:
            _, start, timeline = replay_history(loaded, path, progress)
    except HistoryError as error:
        raise Stop(Exit.FAILED, str(error)) from error
    if as_json:
        emit(_data(timeline, start))
    else:
        _show(timeline, start)


@contextmanager
def rows_counted(*, as_json: bool) -> Iterator[Callable[[int], None]]:
    """Takes how many rows were read, and shows it to a person who waits."""
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"))
    with Progress(*columns, console=console(error=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda count: shown.update(task, completed=count)


def _data(timeline: "Timeline", start: datetime) -> dict[str, Any]:
    return {
        "start": start,
        "ticks": timeline.ticks,
        "moves": [
            {
                "at": start + one.at,
                "state": one.decision.state.name,
                "share": percent_text(one.decision.state.share),
                "reasons": one.decision.reasons,
            }
            for one in timeline.happened
            if one.decision.move
        ],
        "state": timeline.happened[-1].decision.state if timeline.happened else timeline.initial,
    }


def _show(timeline: "Timeline", start: datetime) -> None:
    from rich.table import Table
    from rich.text import Text

    from controller.cli.render import words
    from controller.cli.render.status import state_style

    out = console()
    end = timeline.happened[-1].at if timeline.happened else timedelta(0)
    out.print(f"share  {chart(timeline, end)}")
    begins, ends = (words.moment(start + at, local=False) for at in (timedelta(0), end))
    out.print(f"       {begins}{ends:>{max(1, CHART_WIDTH - len(begins))}}", style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold dim")
    for column in ("time", "state", "share", "why"):
        table.add_column(column, overflow="fold")
    for one in timeline.happened:
        if one.decision.move:
            state = one.decision.state
            table.add_row(
                words.moment(start + one.at, local=False),
                Text(state.name, style=state_style(state.name)),
                percent_text(state.share),
                "; ".join(one.decision.reasons),
            )
    out.print(table)
    out.print(f"{timeline.ticks:,} ticks", style="dim")


def chart(timeline: "Timeline", end: timedelta) -> str:
    """The share over time, one block a column."""
    shares = [
        timeline.state_at(end * column / (CHART_WIDTH - 1)).share for column in range(CHART_WIDTH)
    ]
    return "".join(BLOCKS[-(-share * (len(BLOCKS) - 1) // WHOLE)] for share in shares)
