"""The evening's programme: two acts, then what happened, in figures that were read back."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from controller.cli.render.explain import explain_screen
from controller.core.share import NONE, WHOLE, Share, percent_text
from controller.core.state import COMPLETED, ROLLED_BACK
from controller.demo.market import sp500
from controller.demo.play import Act, Outcome, Theatre
from controller.demo.screen import money_text, screen_for

PACE = 60.0
"""Market days in a second of the real clock."""

WANTED = ((COMPLETED, WHOLE, "momentum-2.0"), (ROLLED_BACK, NONE, "momentum-2.0"))
"""What the demo is there to show at the end of each act: state, and the share and configuration
that are published."""
PROMOTION = Act(
    rollout="demo",
    title="Act one: a better algorithm takes over",
    story=(
        "The desk trades the S&P 500 by a moving-average crossover (1.4). What it holds is blended "
        "with what momentum sized by volatility (2.0) wants, more and more of it, if that does no "
        "harm on the way."
    ),
    baseline="crossover-1.4",
    candidate="momentum-2.0",
)
SABOTAGE = Act(
    rollout="demo-sabotaged",
    title="Act two: a version with a defect",
    story=(
        "In the shadow, 2.1 takes on its own parameters step by step. Its rewritten order handler "
        "is broken: it sends the target as the order. Its signals are good, so the shadow finds "
        "nothing. Then it gets the first of a hundred books."
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
        f"{len(bars):,} daily closes of the S&P 500, {bars[0].day.year} to {bars[-1].day.year}, "
        f"{pace:g} of them a second.\nFiles: {folder}"
    )
    outcomes: list[Outcome] = []
    with Theatre(folder, bars, pace) as theatre:
        for act in (PROMOTION, SABOTAGE):
            screen = screen_for(console, answer)
            screen.begin(act.title, act.story)
            try:
                outcomes.append(theatre.perform(act, screen))
            finally:
                screen.end()
        _explain(console, theatre, outcomes[-1])
    for outcome in outcomes:
        if answer is not None:
            answer(_as_data(outcome))
    _summary(console, outcomes)
    _next_commands(console, folder, outcomes[-1])
    return 0 if all(map(_as_hoped, outcomes, WANTED)) else 1


def _as_hoped(outcome: Outcome, wanted: tuple[str, Share, str]) -> bool:
    found = (outcome.state, outcome.share, outcome.configuration)
    return found == wanted and outcome.audit.whole


def _as_data(outcome: Outcome) -> dict[str, Any]:
    return {
        "rollout": outcome.act.rollout,
        "ended_as": outcome.state,
        "share_in_file": percent_text(outcome.share),
        "from": outcome.first_day.isoformat(),
        "to": outcome.last_day.isoformat(),
        "bars": outcome.bars,
        "seconds": round(outcome.seconds, 1),
        "money_usd": {version: round(amount, 2) for version, amount in outcome.money.items()},
        "turnover": asdict(outcome.turnover) if outcome.turnover is not None else None,
        "vectors_acknowledged": outcome.vectors,
        "configuration_of": outcome.configuration,
        "journal_whole": outcome.audit.whole,
    }


def _summary(console: Console, outcomes: list[Outcome]) -> None:
    console.print("\nWhat happened", style="bold")
    for outcome in outcomes:
        audit = outcome.audit
        whole = f"journal verified: {audit.links} entries whole, {audit.folded} decided again"
        money = Text(", ").join(
            Text.assemble(f"{version} ", money_text(amount))
            for version, amount in sorted(outcome.money.items())
        )
        lines = (
            Text.assemble(
                (f"{outcome.act.rollout} ", "bold"),
                (outcome.state, "green" if outcome.state == COMPLETED else "yellow"),
                f", {outcome.first_day} to {outcome.last_day}: "
                f"{outcome.bars} days in {outcome.seconds:.0f} s",
            ),
            Text(f"  share read back from the file: {percent_text(outcome.share)}"),
            Text(f"  {whole if audit.whole else f'JOURNAL BROKEN: {audit}'}"),
            Text.assemble("  money made: ", money),
            *map(Text, _handed_over(outcome)),
        )
        console.print(*lines, sep="\n")


def _handed_over(outcome: Outcome) -> Iterator[str]:
    """What the handover took: the turnover beside that of a switch at once, the parameters."""
    taken = outcome.turnover
    if taken is not None:
        yield f"  turnover of the handover alone, in times the capital, over {taken.days} days:"
        yield (
            f"    as it was, in {taken.changes} steps: {taken.handover:.2f}, at most "
            f"{taken.largest:.2f} in a day; all trades {taken.total:.1f}"
        )
        yield (
            f"    a hard switch: {taken.switch:.2f} in one day, from {taken.switch_least:.2f} to "
            f"{taken.switch_most:.2f} by the day; all trades {taken.switch_total:.1f}"
        )
    if outcome.vectors:
        yield f"  parameters: {outcome.vectors} vectors taken on and acknowledged by the desk"
    whose = f"that of {outcome.configuration}, byte for byte"
    yield f"  configuration in force: {whose if outcome.configuration else 'NEITHER VERSION'}"


def _explain(console: Console, theatre: Theatre, outcome: Outcome) -> None:
    """Why the candidate went back: the decision, taken again from the journal."""
    found = theatre.reason_for_rollback(outcome)
    if found is None:
        console.print("\nNothing turned it back.", style="red")
        return
    entry = found.entry
    console.print("\nWhy it went back (rollout explain):", style="bold")
    console.print(explain_screen(entry.seq, entry.event, found.before, found.decision, local=False))


def _next_commands(console: Console, folder: Path, last: Outcome) -> None:
    turn = f" --seq {last.turn.seq}" if last.turn else ""
    program = "rollout" if shutil.which("rollout") else sys.argv[0]
    console.print("\nTry next", style="bold")
    for command in (
        f"status --state-dir {folder}",
        f"explain {last.act.rollout}{turn} --state-dir {folder}",
        f"audit verify --state-dir {folder}",
        f"plan {folder}/policies/demo.yaml",
        f"test {folder}/policies",
    ):
        console.print(f"  {program} {command}", soft_wrap=True)
