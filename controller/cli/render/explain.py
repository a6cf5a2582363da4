"""One decision, in full: what was known, what was decided, what would have to happen."""

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from controller.cli.render import words
from controller.cli.render.budgets import spent_lines
from controller.cli.render.rules import rules_table
from controller.core.decision import Decision, Explanation
from controller.core.event import Acknowledgement, Command, Drift, Event, PolicyEdit, Tick
from controller.core.share import percent_text
from controller.core.state import State


def explain_screen(
    entry_seq: int,
    event: Event,
    before: State,
    decision: Decision,
    *,
    local: bool,
    blend: str = "",
) -> RenderableType:
    """A recalled decision for people. `blend`: what the blend comes to after it."""
    told = decision.explanation
    after = decision.state
    moved = f"{before.name} → {after.name}" if before.name != after.name else before.name
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{after.rollout} ", "bold"),
            f"decision {entry_seq}, {words.moment(decision.at, local=local)}, ",
            (event_words(event), "bold"),
        ),
        Text.assemble((moved, "bold cyan"), f" at {percent_text(after.share)}"),
    ]
    if decision.refused:
        parts.append(Text(f"refused: {decision.refused}", style="bold red"))
    parts += [Text(f"  because {reason}") for reason in decision.reasons]
    parts += [Text(f"  {blend}")] if blend else []
    parts += _measured(told)
    parts += [Text(f"  dry run: {line}", style="cyan") for line in told.would_have]
    parts += spent_lines(told.budgets)
    if told.blockers:
        goal = f"to advance to {told.next_state}" if told.next_state else "to advance"
        parts.append(Rule(goal, align="left", style="dim"))
        parts += [Text(f"  · {blocker}") for blocker in told.blockers]
    if decision.effects:
        parts.append(Rule("asked of the world", align="left", style="dim"))
        parts += [Text(f"  {effect_words(effect)}") for effect in decision.effects]
    return Group(*parts)


def _measured(told: Explanation) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(f"  {words.clock(clock)}") for clock in told.clocks]
    parts += [Text(f"  note: {note}", style="yellow") for note in told.notes]
    if told.checks or told.triggers:
        parts += [Rule("rules", align="left", style="dim"), rules_table(told)]
    return parts


def event_words(event: Event) -> str:
    """What happened, in a word or two."""
    match event:
        case Tick(scheduled=scheduled):
            return "tick" if scheduled else "observation between ticks"
        case Command():
            return f"{event.name} by {event.by}"
        case Acknowledgement():
            return f"{'done' if event.ok else 'not done'}: {event.key} {event.detail}".rstrip()
        case Drift():
            return f"{event.target} read: {event.detail}"
        case PolicyEdit():
            return "policy edited"


def effect_words(effect: object) -> str:
    """An effect in a line."""
    from controller.core.effect import (
        Activate,
        Alert,
        HandOver,
        Notify,
        SetParameters,
        SetShare,
        Verify,
        VerifyActive,
    )

    match effect:
        case SetShare():
            mirror = ", mirrored" if effect.mirror else ""
            return f"share {percent_text(effect.share)}{mirror} at {effect.target}"
        case SetParameters():
            return f"parameters at {percent_text(effect.progress)} of their way at {effect.target}"
        case HandOver():
            ramps = ", by a ramp" if effect.ramps else ""
            return f"handover: {effect.phase.value}{ramps}"
        case Verify():
            return f"read {percent_text(effect.share)} back from {effect.target}"
        case VerifyActive():
            return f"read the configuration of {effect.version} back from {effect.target}"
        case Activate():
            return f"configuration of {effect.version} at {effect.target}"
        case Alert():
            return f"alert ({effect.severity.word}): {effect.title}"
        case Notify():
            told = ", ".join(f"{news.name} {news.status}" for news in effect.news)
            return f"word to {effect.target}: {told}"
        case _:
            return str(effect)
