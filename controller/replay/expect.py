"""Expectations held against what happened; a failure says the moment, the values and the rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import inf, isclose
from pathlib import Path

from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.core.decision import Explanation, RuleResult
from controller.core.effect import (
    Activate,
    Alert,
    Effect,
    HandOver,
    Notify,
    SetParameters,
    SetShare,
    Verify,
    VerifyActive,
)
from controller.core.event import Command, Tick
from controller.core.measurement import Outcome
from controller.core.plan import Plan
from controller.core.share import NONE, WHOLE, percent_text
from controller.core.state import ROLLING_BACK
from controller.replay.scenario import Claims, Expectation, Scenario
from controller.replay.timeline import Happened, Timeline

TOLERANCE = 1e-9
FEW_RULES = 6
"""Rules told with a failure, unless more of them stand out."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that does not hold, ready to be read."""

    scenario: Scenario
    expectation: Expectation
    at: timedelta
    problems: tuple[str, ...]
    picture: tuple[str, ...]

    def __str__(self) -> str:
        head = f"FAIL {self.scenario.path}:{self.expectation.line}: {self.scenario.name}"
        wall = self.scenario.start + self.at
        lines = [
            head,
            f"  expected  {self.expectation.text}",
            f"  at        {clock(self.at)} ({wall:%Y-%m-%d %H:%M:%S} UTC)",
            *(f"  but       {problem}" for problem in self.problems),
            *(f"  {line}" for line in self.picture),
        ]
        return "\n".join(lines)


def clock(at: timedelta) -> str:
    """Scenario time."""
    return span(milliseconds(at)) if at >= timedelta(0) else f"-{span(milliseconds(-at))}"


def failures(scenario: Scenario, plan: Plan, timeline: Timeline) -> tuple[Failure, ...]:
    """Every expectation that does not hold, each with its first moment."""
    found = []
    for expectation in scenario.expectations:
        wrong = _first_wrong(scenario, plan, timeline, expectation)
        if wrong is not None:
            at, problems = wrong
            picture = tuple(_picture(timeline, at, expectation.claims))
            found.append(Failure(scenario, expectation, at, problems, picture))
    return tuple(found)


def _first_wrong(
    scenario: Scenario, plan: Plan, timeline: Timeline, expected: Expectation
) -> tuple[timedelta, tuple[str, ...]] | None:
    ends = expected.ends if expected.ends is not None else scenario.until
    match expected.kind:
        case "at":
            problems = _problems(scenario, plan, timeline, expected.claims, expected.begins)
            return (expected.begins, problems) if problems else None
        case "always" | "stays":
            for at in timeline.moments(expected.begins, ends):
                problems = _problems(scenario, plan, timeline, expected.claims, at)
                if problems:
                    return at, problems
            return None
        case "never":
            for at in timeline.moments(expected.begins, ends):
                if not _problems(scenario, plan, timeline, expected.claims, at):
                    return at, ("it came true",)
            return None
        case "within":
            last: tuple[str, ...] = ()
            for at in timeline.moments(expected.begins, ends):
                last = _problems(scenario, plan, timeline, expected.claims, at)
                if not last:
                    return None
            return ends, ("it did not come true until then", *last)
        case _:
            return None


def _problems(
    scenario: Scenario, plan: Plan, timeline: Timeline, claims: Claims, at: timedelta
) -> tuple[str, ...]:
    """What of the claims does not hold at a moment."""
    state = timeline.state_at(at)
    found = []
    if claims.state is not None and not _is_state(state.name, claims.state):
        found.append(f"the state is {state.name}")
    if claims.share is not None and state.share != claims.share:
        found.append(f"the share is {percent_text(state.share)}")
    if claims.epoch is not None and state.epoch != claims.epoch:
        found.append(f"the epoch is {state.epoch}")
    if claims.would_have is not None and set(state.would_have) != set(claims.would_have):
        found.append(f"on a dry run would have acted: {', '.join(state.would_have) or 'nobody'}")
    if claims.dwell is not None and state.dwell_ms != milliseconds(claims.dwell):
        found.append(f"the dwell is {span(state.dwell_ms)}")
    past = timeline.up_to(at)
    now = [one for one in past if one.at == at]
    found += _about_moves(claims, past)
    found += _about_effects(claims, now, past)
    found += _about_measurements(claims, past)
    found += _about_files(scenario, plan, claims, timeline, past)
    return tuple(found)


def _is_state(name: str, wanted: str) -> bool:
    """`rolling_back` stands for each of its steps; every other state is meant exactly."""
    return name == wanted or (wanted == ROLLING_BACK and name.startswith(f"{ROLLING_BACK}."))


def _about_moves(claims: Claims, past: list[Happened]) -> list[str]:
    found = []
    if claims.reasons:
        reasons = next(
            (
                one.decision.reasons
                for one in reversed(past)
                if one.decision.move and one.decision.move != "acknowledge"
            ),
            (),
        )
        named = [_name_of(reason) for reason in reasons]
        missing = [name for name in claims.reasons if name not in named]
        if missing:
            found.append(f"the last move does not name {', '.join(missing)}: {list(reasons)}")
    if claims.refused is not None:
        refused = [
            one
            for one in past
            if isinstance(one.event, Command)
            and one.event.name == claims.refused
            and one.decision.refused
        ]
        if not refused:
            found.append(f"{claims.refused} was not refused")
    return found


def _name_of(reason: str) -> str:
    """`trigger loss (critical): ...` -> loss; `deadline: ...` -> deadline."""
    words = reason.split()
    return words[1] if words[0] == "trigger" else words[0].rstrip(":")


def _about_effects(claims: Claims, now: list[Happened], past: list[Happened]) -> list[str]:
    found = []
    asked = [name for one in now for e in one.decision.effects for name in _names_of(e)]
    for kind, value in claims.effects:
        if (kind, value) not in asked:
            alike = (f"{k} {v}" for k, v in asked if (k == "alert") == (kind == "alert"))
            listed = ", ".join(alike) or "nothing"
            found.append(f"{kind} {value} was not asked for then, but: {listed}")
    if claims.alerts:
        told = Counter(
            effect.kind
            for one in past
            for effect in one.decision.effects
            if isinstance(effect, Alert)
        )
        for kind, count in claims.alerts.items():
            if told[kind] != count:
                found.append(f"{told[kind]} alerts of kind {kind}; told so far: {dict(told)}")
    return found


def _names_of(effect: Effect) -> list[tuple[str, str]]:
    """What a scenario may call an effect: an alert also by its severity, `critical rollback`."""
    kind, value = as_claimed(effect)
    if isinstance(effect, Alert):
        return [(kind, value), (kind, f"{effect.severity.word} {value}")]
    return [(kind, value)]


def as_claimed(effect: Effect) -> tuple[str, str]:
    """An effect as scenarios name it: kind and value."""
    match effect:
        case SetShare():
            return "set_share", percent_text(effect.share)
        case Verify():
            return "verify", percent_text(effect.share)
        case SetParameters():
            return "set_parameters", percent_text(effect.progress)
        case HandOver():
            return "hand_over", effect.phase.value
        case Activate():
            return "activate", effect.version
        case VerifyActive():
            return "verify_active", effect.version
        case Alert():
            return "alert", effect.kind
        case Notify():
            return "notify", effect.target


def _last_tick(past: list[Happened]) -> Happened | None:
    return next((one for one in reversed(past) if isinstance(one.event, Tick)), None)


def _about_measurements(claims: Claims, past: list[Happened]) -> list[str]:
    if not (claims.measured or claims.blocked_by or claims.outcomes):
        return []
    last = _last_tick(past)
    if last is None:
        return ["nothing was measured yet"]
    assert isinstance(last.event, Tick)
    found = []
    told = last.decision.explanation
    blockers = told.blockers
    found += _about_outcomes(claims, told)
    for wanted in claims.blocked_by:
        if not any(blocker.startswith(wanted) for blocker in blockers):
            found.append(f"not blocked by {wanted!r}, but: {'; '.join(blockers) or 'nothing'}")
    for reference, wanted_values in claims.measured.items():
        there = last.event.measurements.get(reference)
        for key, value in wanted_values.items():
            got = getattr(there, key, None) if there is not None else None
            if got is None or not isclose(got, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                found.append(f"{reference} has {key} {got}")
    return found


def _about_outcomes(claims: Claims, told: Explanation) -> list[str]:
    """Each rule by the name of the trigger or the text of the check. A trigger that fires has its
    outcome as well."""
    there = {result.name: {result.outcome.value, _word(result)} for result in told.triggers}
    there |= {result.rule: {result.outcome.value} for result in told.checks}
    return [
        f"{name} is {' and '.join(sorted(there.get(name, {'not judged'})))}"
        for name, wanted in claims.outcomes.items()
        if wanted not in there.get(name, ())
    ]


def _word(trigger: RuleResult) -> str:
    """As `explain` says it, without the mark of a dry run."""
    if trigger.firing:
        return "firing"
    if trigger.outcome is Outcome.FAIL:
        return "pending"
    return "quiet" if trigger.outcome is Outcome.PASS else trigger.outcome.value


def _about_files(
    scenario: Scenario, plan: Plan, claims: Claims, timeline: Timeline, past: list[Happened]
) -> list[str]:
    """A configuration target holds a file's bytes: read from the target of a live run; of a pure
    run, the version last activated is the one with that file."""
    found = []
    configs = {v.name: v.config for v in (plan.baseline, plan.candidate)}
    for target, wanted in claims.files.items():
        if target in timeline.files:
            expected = (scenario.policy_path.parent / wanted).read_bytes()
            if timeline.files[target] != expected:
                found.append(f"{target} does not hold the bytes of {wanted}")
            continue
        active = [
            _version(plan, effect)
            for one in past
            for effect in one.decision.effects
            if isinstance(effect, Activate | SetParameters) and effect.target == target
        ]
        there = configs.get(active[-1], active[-1]) if active else None
        if there is None or Path(there) != Path(wanted):
            found.append(f"{target} holds {there or 'nothing'}")
    return found


def _version(plan: Plan, effect: Activate | SetParameters) -> str:
    """Whose file an effect puts there; between both ends it is nobody's."""
    if isinstance(effect, Activate):
        return effect.version
    ends = {NONE: plan.baseline.name, WHOLE: plan.candidate.name}
    return ends.get(effect.progress, f"parameters at {percent_text(effect.progress)}")


def _picture(timeline: Timeline, at: timedelta, claims: Claims) -> list[str]:
    """The last look until then: rules with value and limit, what blocks, the last move."""
    past = timeline.up_to(at)
    lines = []
    last = _last_tick(past)
    if last is not None:
        told = last.decision.explanation
        lines.append(f"tick      {clock(last.at)}, in {told.state}")
        lines += _rules((*told.triggers, *told.checks), claims)
        lines += [f"blocked   {blocker}" for blocker in told.blockers]
        lines += [f"note      {note}" for note in told.notes]
    move = next((one for one in reversed(past) if one.decision.move), None)
    if move is not None:
        reasons = "; ".join(move.decision.reasons)
        lines.append(f"last move {clock(move.at)} to {move.decision.state.name}: {reasons}")
    return lines


def _rules(results: Sequence[RuleResult], claims: Claims) -> list[str]:
    """The rules that matter: spoken of, or not passing, then those nearest to their limit."""
    wanted = (*claims.reasons, *claims.blocked_by, *claims.outcomes)
    matter: list[RuleResult] = []
    others: list[RuleResult] = []
    for result in results:
        spoken = any(result.name in words or words in result.rule for words in wanted)
        stands_out = result.firing or result.outcome is not Outcome.PASS
        (matter if spoken or stands_out else others).append(result)
    others.sort(key=_nearness)
    shown = [*matter, *others[: max(0, FEW_RULES - len(matter))]]
    lines = [_rule_line(result) for result in shown]
    left = len(results) - len(shown)
    return [*lines, f"          and {left} more that pass"] if left else lines


def _nearness(result: RuleResult) -> float:
    """Distance to the limit, as a part of it: the smaller, the nearer."""
    parts = [
        abs(term.distance / term.limit)
        for term in result.terms
        if term.distance is not None and term.limit
    ]
    return min(parts, default=inf)


def _rule_line(result: RuleResult) -> str:
    outcome = _word(result) if result.severity else result.outcome.value
    outcome = f"{'dry run: ' if result.dry_run else ''}{outcome.replace('_', ' ')}"
    count = f" {result.count}" if result.count else ""
    name = f"{result.name}: " if result.severity else ""
    terms = []
    for term in result.terms:
        value = "none" if term.value is None else f"{term.value:.6g}{term.unit}"
        needed = f" of {term.min_samples}" if term.min_samples else ""
        detail = f", {term.detail}" if term.detail else ""
        terms.append(f"{term.reference} is {value} (samples {term.samples}{needed}{detail})")
    return f"rule      {name}{result.rule} -> {outcome}{count}: {', '.join(terms)}"
