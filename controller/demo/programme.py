"""The evening's programme: two acts, then what happened, in figures that were read back."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.core.share import NONE, WHOLE, percent_text
from controller.core.state import COMPLETED, ROLLED_BACK
from controller.demo.market import DemoError, sp500
from controller.demo.play import Act, Outcome, Theatre
from controller.demo.screen import money_text, screen_for

PACE = 60.0
"""Market days in a second of the real clock."""

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


def perform(console: Console, folder: Path, pace: float = PACE) -> int:
    """Play both acts in `folder` and print what happened; the exit code of `rollout demo`."""
    try:
        bars = sp500()
        console.print(
            f"{len(bars):,} daily closes of the S&P 500, {bars[0].day} to {bars[-1].day}; "
            f"{pace:g} market days a second; files in {folder}"
        )
        with Theatre(folder, bars, pace) as theatre:
            outcomes = []
            for act in (PROMOTION, SABOTAGE):
                screen = screen_for(console)
                screen.begin(act.title, act.story)
                try:
                    outcomes.append(theatre.perform(act, screen))
                finally:
                    screen.end()
            _explain(console, theatre, outcomes[1])
    except DemoError as error:
        console.print(f"error: {error}", style="red", highlight=False)
        return 1
    _summary(console, outcomes)
    good = [_as_hoped(outcome, wanted) for outcome, wanted in zip(outcomes, WANTED, strict=True)]
    _next_commands(console, folder)
    return 0 if all(good) else 1


WANTED = ((COMPLETED, WHOLE), (ROLLED_BACK, NONE))


def _as_hoped(outcome: Outcome, wanted: tuple[str, int]) -> bool:
    return (outcome.state, outcome.share) == wanted and bool(outcome.audit and outcome.audit.whole)


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
        if outcome.audit is not None:
            word = "journal verified" if outcome.audit.whole else "JOURNAL BROKEN"
            console.print(f"  {word}: {outcome.audit}", highlight=False, soft_wrap=True)


def _explain(console: Console, theatre: Theatre, outcome: Outcome) -> None:
    """Why the candidate went back, from the journal entry that decided it."""


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
