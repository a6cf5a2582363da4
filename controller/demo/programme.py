"""The evening's programme: two acts, then what happened, in figures that were read back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.cli.render.explain import explain_screen
from controller.core.share import NONE, WHOLE, Share, percent_text
from controller.core.state import COMPLETED, ROLLED_BACK
from controller.demo.market import sp500
from controller.demo.play import Act, Outcome, Theatre
from controller.demo.screen import money_text, screen_for

PACE = 60.0
"""Market days in a second of the real clock."""

WANTED = ((COMPLETED, WHOLE), (ROLLED_BACK, NONE))
"""What the demo is there to show: state and published share at the end of each act."""
PROMOTION = Act(
    rollout="demo",
    title="Act one: a better algorithm takes over",
    story=(
        "The desk trades the S&P 500 by a moving-average crossover (1.4). Momentum sized by\n"
        "volatility (2.0) goes from shadow to all hundred books, if it does no harm on the way."
    ),
    baseline="crossover-1.4",
    candidate="momentum-2.0",
)
SABOTAGE = Act(
    rollout="demo-sabotaged",
    title="Act two: a version with a defect",
    story=(
        "Version 2.1 comes with a rewritten order handler, which is broken: it sends the target\n"
        "as the order. Its signals are good, so the shadow finds nothing. Then it gets real books."
    ),
    baseline="momentum-2.0",
    candidate="momentum-2.1",
)


def perform(
    console: Console,
    folder: Path,
    answer: Callable[[dict[str, Any]], None] | None = None,
    pace: float = PACE,
) -> int:
    """Play both acts in `folder` and tell what happened; see `run_demo`."""
    if answer is not None:
        console = Console(quiet=True)
    bars = sp500()
    console.print(
        f"{len(bars):,} daily closes of the S&P 500, {bars[0].day} to {bars[-1].day}; "
        f"{pace:g} market days a second; files in {folder}",
        soft_wrap=True,
    )
    outcomes: list[Outcome] = []
    with Theatre(folder, bars, pace) as theatre:
        for act in (PROMOTION, SABOTAGE):
            screen = screen_for(console)
            screen.begin(act.title, act.story)
            try:
                outcomes.append(theatre.perform(act, screen))
            finally:
                screen.end()
        _explain(console, theatre, outcomes[-1])
    if answer is not None:
        answer({"folder": str(folder), "rollouts": [_as_data(outcome) for outcome in outcomes]})
    _summary(console, outcomes)
    _next_commands(console, folder)
    return 0 if all(map(_as_hoped, outcomes, WANTED)) else 1


def _as_hoped(outcome: Outcome, wanted: tuple[str, Share]) -> bool:
    return (outcome.state, outcome.share) == wanted and outcome.audit.whole


def _as_data(outcome: Outcome) -> dict[str, Any]:
    return {
        "rollout": outcome.act.rollout,
        "state": outcome.state,
        "share_in_file": percent_text(outcome.share),
        "from": outcome.first_day.isoformat(),
        "to": outcome.last_day.isoformat(),
        "bars": outcome.bars,
        "seconds": round(outcome.seconds, 1),
        "money_usd": {version: round(amount, 2) for version, amount in outcome.money.items()},
        "journal_whole": outcome.audit.whole,
        "moves": [
            {"day": move.day.isoformat(), "state": move.state, "reasons": move.reasons}
            for move in outcome.moves
        ],
    }


def _summary(console: Console, outcomes: list[Outcome]) -> None:
    table = Table(title="What happened", title_justify="left", box=None, pad_edge=False)
    for column in ("rollout", "ended as", "from", "to", "bars", "seconds", "money made by version"):
        table.add_column(column, no_wrap=column != "money made by version")
    for outcome in outcomes:
        money = Text("  ").join(
            Text.assemble(f"{version} ", money_text(amount))
            for version, amount in sorted(outcome.money.items())
        )
        table.add_row(
            outcome.act.rollout,
            Text(outcome.state, style="green" if outcome.state == COMPLETED else "yellow"),
            str(outcome.first_day),
            str(outcome.last_day),
            str(outcome.bars),
            f"{outcome.seconds:.0f}",
            money,
        )
    console.print()
    console.print(table)
    for outcome in outcomes:
        read_back = f"share read back from the file: {percent_text(outcome.share)}"
        console.print(f"{outcome.act.rollout}: {read_back}", highlight=False, soft_wrap=True)
        word = "journal verified" if outcome.audit.whole else "JOURNAL BROKEN"
        console.print(f"  {word}: {outcome.audit}", highlight=False, soft_wrap=True)


def _explain(console: Console, theatre: Theatre, outcome: Outcome) -> None:
    """Why the candidate went back: the decision, taken again from the journal."""
    found = theatre.reason_for_rollback(outcome)
    if found is None:
        console.print("\nNothing turned it back.", style="red")
        return
    entry = found.entry
    console.print("\nWhy it went back (rollout explain):", style="bold")
    console.print(explain_screen(entry.seq, entry.event, found.before, found.decision, local=False))


def _next_commands(console: Console, folder: Path) -> None:
    console.print("\nTry next:")
    for command in (
        f"rollout status --state-dir {folder}",
        f"rollout explain demo-sabotaged --state-dir {folder}",
        f"rollout audit --state-dir {folder}",
        "rollout plan policies/demo.yaml",
        "rollout test policies/demo.yaml",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True)
