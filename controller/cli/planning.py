"""`rollout plan`: the compiled policy, and what each of its steps can show by when."""

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.output import Exit, Stop, emit, say, settings_from, sound, store_of

if TYPE_CHECKING:
    from controller.core.plan import Plan
    from controller.policy.evidence import Evidence
    from controller.policy.findings import Finding
    from controller.policy.models import Policy
    from controller.policy.outlook import Outlook
    from controller.run.calendars import Calendars


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, what is known of the work, what follows for each step, and what cannot be decided in
    time as far as that is known."""

    path: Path
    policy: "Policy"
    plan: "Plan"
    evidence: "Evidence"
    outlooks: tuple["Outlook", ...]
    findings: tuple["Finding", ...]

    @property
    def feasible(self) -> bool:
        """Whether everything can be decided in time, as far as arithmetic goes."""
        return all(finding.severity != "error" for finding in self.findings)


def planned(
    path: Path, at: datetime, history: Path | None, database: str | None, state_dir: Path | None
) -> Planned:
    """Read, compile and reckon. Ends the command where that is not possible."""
    from controller.core.compiler import compile_plan
    from controller.policy.checks.traffic import evidence_of, undecidable
    from controller.policy.evidence import measured
    from controller.policy.load import context_of, load_policy
    from controller.policy.outlook import outlooks
    from controller.run.calendars import CalendarError, Calendars

    loaded = load_policy(path, os.environ)
    policy, calendars = sound(loaded), Calendars()
    try:
        calendar = calendars.span(policy.schedule.calendar, at).calendar
        context = context_of(loaded, os.environ)
        evidence = evidence_of(context)
        found = _measured(policy, calendars, history, database, state_dir)
    except CalendarError as error:
        raise Stop(Exit.FAILED, str(error)) from error
    if found is not None:
        evidence = measured(evidence, found)
    return Planned(
        path,
        policy,
        compile_plan(policy, loaded.gates, loaded.guards, loaded.digest, calendar),
        evidence,
        tuple(outlooks(context, evidence)),
        loaded.findings if found is None else tuple(undecidable(context, evidence)),
    )


def _measured(
    policy: "Policy",
    calendars: "Calendars",
    history: Path | None,
    database: str | None,
    state_dir: Path | None,
) -> "Evidence | None":
    """From the history, or else from the store if it has this rollout; None where neither is."""
    from controller.cli.replaying import rows_counted
    from controller.core.calendar import Calendar
    from controller.replay.evidence import NothingMeasured, of_history, of_store
    from controller.replay.history import HistoryError
    from controller.store.base import StoreError

    def calendar(moment: datetime) -> Calendar:
        return calendars.span(policy.schedule.calendar, moment).calendar

    if history is not None:
        try:
            with rows_counted(as_json=False) as progress:
                return of_history(policy, history, calendar, progress)
        except (HistoryError, NothingMeasured) as error:
            raise Stop(Exit.FAILED, str(error)) from error
    settings = settings_from(database=database, state_dir=state_dir)
    asked = database is not None or state_dir is not None
    if not asked and "://" not in settings.store and not Path(settings.store).exists():
        return None
    try:
        with store_of(settings) as store:
            if store.rollout(policy.rollout) is None:
                return None
            return of_store(policy, store, calendar)
    except NothingMeasured as error:
        if policy.traffic is None:
            sys.stderr.write(f"rollout: not measured: {error}\n")
        return None
    except (Stop, StoreError) as error:
        if asked:
            raise
        sys.stderr.write(f"rollout: not measured, the store cannot be read: {error}\n")
        return None


def show(found: Planned, start: datetime, *, as_json: bool) -> None:
    """For people or for programs."""
    if as_json:
        emit(_data(found))
        return
    from controller.cli.render.blending import blend_lines
    from controller.cli.render.outlook import evidence_words, outlook_words
    from controller.cli.render.plan import plan_text
    from controller.effects.blending import blending

    lines = [list(outlook_words(outlook)) for outlook in found.outlooks]
    text = plan_text(
        found.plan, start, lines, tuple(evidence_words(found.outlooks, found.evidence))
    )
    say("\n".join([text.rstrip("\n"), *blend_lines(blending(found.policy))]))
    if found.plan.parameters is not None:
        from controller.cli.render.parameters import way_lines

        say("\n".join(way_lines(found.plan, found.policy, found.path.parent)))
    if found.plan.handover is not None:
        from controller.cli.render.handover import handover_lines

        say("\n".join(handover_lines(found.plan, found.policy)))
    for finding in found.findings:
        say()
        say(str(finding))


def _data(found: Planned) -> dict[str, Any]:
    from controller.cli.render.findings import finding_data
    from controller.cli.render.outlook import evidence_data, outlook_data
    from controller.cli.render.plan import check_words
    from controller.effects.blending import blending

    compiled = found.plan
    steps = [
        {"name": s.name, "stage": s.stage, "share": s.share, "mirror": s.mirror,
         "hold_ms": s.hold_ms, "deadline_ms": s.deadline_ms, "then": s.deadline_then,
         "needs": [check_words(check) for check in s.checks],
         "approval": s.approval and s.approval.by,
         "outlook": outlook_data(outlook)}
        for s, outlook in zip(compiled.steps, found.outlooks, strict=True)
    ]  # fmt: skip
    triggers = [
        {"name": t.name, "when": t.rule, "severity": t.severity.word, "then": t.then,
         "hard": t.hard, "clear": t.clear and t.clear.rule, "dry_run": t.dry_run}
        for t in compiled.triggers
    ]  # fmt: skip
    edges = [
        {"trigger": e.trigger, "from": e.source, "to": e.destination, "guards": e.guards}
        for e in compiled.machine.edges
    ]
    return {
        "rollout": compiled.rollout, "policy": compiled.digest, "steps": steps,
        "triggers": triggers, "rollback": compiled.rollback.steps,
        "states": compiled.machine.states, "edges": edges,
        "parameters": compiled.parameters and {
            "grid": compiled.parameters.grid, "over_ms": compiled.parameters.over_ms,
            "stages": sorted(compiled.parameters.stages),
            "acknowledge_ms": compiled.parameters.within_ms,
        },
        "blend": blending(found.policy),
        "handover": compiled.handover and {
            "stage": compiled.handover.stage, "phases": compiled.handover.phases,
            "agree_ms": compiled.handover.agree_ms, "otherwise": compiled.handover.otherwise,
            "answer_ms": compiled.handover.answer_ms,
        },
        "evidence": evidence_data(found.evidence),
        "findings": [finding_data(finding) for finding in found.findings],
    }  # fmt: skip
