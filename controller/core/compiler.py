"""From a checked policy to a plan: names resolved, shares and clocks in integers, rules as
closures, the machine built. Everything that can be wrong was found before (`policy.check`)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from controller.core.calendar import Calendar, milliseconds
from controller.core.effect import Phase, Severity
from controller.core.machine import RolloutMachine
from controller.core.measurement import (
    BASELINE,
    CANDIDATE,
    DIFFERENCE,
    ESTIMATE,
    Outcome,
    reference,
)
from controller.core.plan import (
    HOLD,
    WATCH,
    ApprovalPlan,
    Beside,
    Check,
    Clear,
    Confirm,
    Counting,
    FreezeWindow,
    HandoverPlan,
    MetricPlan,
    ParametersPlan,
    Plan,
    RollbackPlan,
    Step,
    TriggerPlan,
    Unmeasured,
    VersionPlan,
)
from controller.core.routes import compile_alerts
from controller.core.rules import RuleCompiler
from controller.core.share import NONE, WHOLE, Share, from_percent, percent_text
from controller.policy.aggregation import is_statistical
from controller.policy.budgets import Spending, spendings, with_budgets
from controller.policy.checks.context import reads_dry_run, unmeasured
from controller.policy.expression import (
    ABOUT_CANDIDATE,
    Condition,
    Guard,
    references,
)
from controller.policy.handover import agrees, closes, span_of
from controller.policy.interpolation import points
from controller.policy.levels import Levels, can_say, gate_level, trigger_level
from controller.policy.models import (
    Approval,
    Lock,
    Metric,
    Policy,
    Rollback,
    Stage,
    Trigger,
    Unknown,
)
from controller.policy.models import Check as CheckModel
from controller.policy.publisher import LIVE_PUBLISHERS, SHARE_PUBLISHERS, ConfigPublisher
from controller.policy.quality import MEASURES, judged_sources
from controller.policy.sampling import counted, default_min_samples
from controller.policy.source import Quality, Source
from controller.policy.units import PLAIN, RATIO, metric_unit
from controller.policy.values import BarCount, window_length

SHARE_TARGET = "share"
"""Name of the share file that is there when the policy publishes none."""
MAX_AGE = timedelta(hours=1)
"""Age past which a metric whose window has no length says nothing, if it declares none."""
BARS_LATE = 4
"""The same in bars, where that is longer: over a long weekend there are none."""
DEADLINE_HOLDS = 3
"""A stage that declares no deadline has this many times its hold."""

_THEN = {"low": "alert", "medium": "hold", "high": "rollback", "critical": "rollback"}


def compile_plan(
    policy: Policy,
    gates: Mapping[str, tuple[Condition, ...]],
    guards: Mapping[str, Guard],
    digest: str,
    calendar: Calendar,
) -> Plan:
    """`gates` by stage name and `guards` by trigger name are the parsed conditions."""
    budgets = tuple(spendings(policy))
    policy, guards = with_budgets(policy, guards)
    metrics = {
        name: _metric(name, metric, policy.sources.get(metric.source))
        for name, metric in policy.metrics.items()
    }
    quality = dict(judged_sources(policy))
    metrics |= {
        reference(source, name): _of_quality(source, name, rules)
        for source, rules in quality.items()
        for name in MEASURES
    }
    level = trigger_level(policy, gates, guards)
    steps = tuple(_steps(policy, gates, metrics, level, calendar))
    unsampled = _without_samples(metrics, policy.metrics)
    triggers = tuple(
        _trigger(trigger, guards[trigger.name], metrics, unsampled, policy, level, calendar)
        for trigger in policy.triggers
    )
    shares, configs = _targets(policy)
    rollback = _rollback(policy.rollback, steps, has_configs=bool(configs))
    read, compared = _read(gates, guards, budgets)
    return Plan(
        rollout=policy.rollout,
        digest=digest,
        owner=policy.owner,
        baseline=VersionPlan(policy.baseline.version, policy.baseline.config),
        candidate=VersionPlan(policy.candidate.version, policy.candidate.config),
        tick=policy.schedule.tick,
        tick_ms=milliseconds(policy.schedule.tick),
        calendar=calendar,
        freeze=tuple(FreezeWindow(f.name, f.start, f.end) for f in policy.schedule.freeze),
        false_alarm=policy.false_alarm,
        trigger_level=level,
        metrics=metrics,
        sources=tuple(policy.sources),
        references=tuple(sorted(read)),
        quality=quality,
        compared=tuple(sorted(compared)),
        share_targets=shares,
        live_targets=tuple(
            name for name, target in policy.publish.items() if isinstance(target, LIVE_PUBLISHERS)
        ),
        renewed=policy.routing.max_age is not None,
        config_targets=configs,
        steps=steps,
        triggers=triggers,
        budgets=budgets,
        rollback=rollback,
        parameters=_parameters(policy, steps),
        handover=_handover(policy, steps),
        alerts=compile_alerts(policy),
        baseline_kept=frozenset(
            here.name
            for here, following in pairwise(steps)
            if following.frozen_baseline and not here.frozen_baseline
        ),
        machine=RolloutMachine(steps, rollback),
        by_name={step.name: step for step in steps},
        guarding={step.name: tuple(t for t in triggers if _applies(t, step)) for step in steps},
    )


def _read(
    gates: Mapping[str, tuple[Condition, ...]],
    guards: Mapping[str, Guard],
    budgets: tuple[Spending, ...],
) -> tuple[set[str], set[str]]:
    """Keys of every measurement that the plan reads, and the metrics that it compares."""
    read = {key for conditions in gates.values() for c in conditions for key in references(c)}
    read.update(key for guard in guards.values() for key in references(guard.when))
    read.update(f"{CANDIDATE}.{budget.metric}" for budget in budgets)
    compared = {key.partition(".")[2] for key in read if key.startswith(f"{DIFFERENCE}.")}
    read.update(f"{side}.{metric}" for metric in compared for side in (CANDIDATE, BASELINE))
    alone = [key.partition(".")[2] for key in read if key.startswith(f"{ESTIMATE}.")]
    read.update(f"{CANDIDATE}.{metric}" for metric in alone)
    return read, compared


def step_names(stage: Stage) -> tuple[tuple[str, Share], ...]:
    """Names and shares of a stage's steps: `canary`, or `ramp-25`, `ramp-50`, `ramp-0_5`."""
    if stage.weights is None:
        return ((stage.name, from_percent(stage.weight or 0.0)),)
    shares = [from_percent(weight) for weight in stage.weights]
    return tuple(
        (f"{stage.name}-{percent_text(share)[:-1].replace('.', '_')}", share) for share in shares
    )


def stage_deadline(stage: Stage) -> timedelta:
    """The declared deadline, or three times the hold."""
    return stage.deadline.after if stage.deadline else DEADLINE_HOLDS * stage.hold


def _steps(
    policy: Policy,
    gates: Mapping[str, tuple[Condition, ...]],
    metrics: Mapping[str, MetricPlan],
    level: float,
    calendar: Calendar,
) -> Iterator[Step]:
    def check(name: str, said: CheckModel, condition: Condition) -> Check:
        levels = Levels(gate_level(policy, condition), level)
        rules = RuleCompiler(metrics, levels, calendar=calendar)
        return Check(
            name=name,
            rule=said.check,
            evaluate=rules.compile(condition),
            limit=rules.limit(condition),
            counting=_counting(said.confirm, None, said.unknown),
            dry_run=reads_dry_run(condition, policy),
        )

    for stage in policy.stages:
        checks = tuple(
            check(f"{stage.name}[{index}]", said, condition)
            for index, (said, condition) in enumerate(
                zip(stage.advance, gates.get(stage.name, ()), strict=True)
            )
        )
        approval = _approval(stage.approval) if stage.approval else None
        for name, share in step_names(stage):
            yield Step(
                name=name,
                stage=stage.name,
                share=share,
                mirror=stage.mirror,
                hold_ms=milliseconds(stage.hold),
                deadline_ms=milliseconds(stage_deadline(stage)),
                deadline_then=stage.deadline.then if stage.deadline else "rollback",
                approval=approval,
                frozen_baseline=stage.against == "frozen_baseline",
                checks=checks,
                counted=tuple(check for check in checks if check.counting.remembers),
            )


def _approval(approval: Approval) -> ApprovalPlan:
    return ApprovalPlan(approval.by, milliseconds(approval.within), approval.otherwise)


def _trigger(
    trigger: Trigger,
    guard: Guard,
    metrics: Mapping[str, MetricPlan],
    unsampled: Mapping[str, MetricPlan],
    policy: Policy,
    level: float,
    calendar: Calendar,
) -> TriggerPlan:
    condition = guard.when
    keys = tuple(dict.fromkeys(references(condition)))
    counting = _counting(trigger.confirm, trigger.for_, trigger.unknown)
    hard = trigger.severity == "critical" and counting.confirm.k == 1 and not counting.for_ms
    rules = RuleCompiler(
        unsampled if hard else metrics,
        Levels(level, level),
        min_samples=trigger.min_samples,
        guards=True,
        calendar=calendar,
    )
    then = trigger.then or _THEN[trigger.severity]
    return TriggerPlan(
        name=trigger.name,
        rule=trigger.when,
        evaluate=rules.compile(condition),
        quiet=rules.quiet(condition),
        limit=rules.limit(condition),
        severity=Severity[trigger.severity.upper()],
        then=then,  # type: ignore[arg-type]
        counting=counting,
        clear=_clear(trigger, guard, rules),
        escalate_ms=milliseconds(trigger.escalate_after) if trigger.escalate_after else None,
        hard=hard,
        dry_run=reads_dry_run(condition, policy),
        stages=frozenset(trigger.stages or (stage.name for stage in policy.stages)),
        about_candidate=any(key.startswith(ABOUT_CANDIDATE) for key in keys),
        references=keys,
    )


def _applies(trigger: TriggerPlan, step: Step) -> bool:
    """Whether a trigger guards a step."""
    if step.stage not in trigger.stages:
        return False
    works = step.mirror or step.share > NONE
    split = not step.mirror and NONE < step.share < WHOLE
    return can_say(trigger.references, works=works, split=split)


def _clear(trigger: Trigger, guard: Guard, rules: RuleCompiler) -> Clear | None:
    if trigger.clear is None or guard.clear is None:
        return None
    return Clear(trigger.clear, rules.compile(guard.clear), rules.limit(guard.clear))


def _counting(confirm: str | None, for_: timedelta | None, unknown: Unknown | None) -> Counting:
    means = {
        Outcome(outcome): Unmeasured(
            said.meanwhile, milliseconds(said.fail_after) if said.fail_after is not None else None
        )
        for outcome, said in unmeasured(unknown)
    }
    means = {outcome: said for outcome, said in means.items() if said != HOLD}
    may_fail = any(each.fail_ms is not None for each in means.values())
    often = _confirm(confirm)
    for_ms = milliseconds(for_) if for_ else 0
    remembers = often != Confirm(1, 1) or for_ms > 0 or may_fail
    return Counting(often, for_ms, means, may_fail, remembers)


def _confirm(text: str | None) -> Confirm:
    """`3 in a row`, `3 of 5`, `5 in total`; without it a single failure is enough."""
    if text is None:
        return Confirm(1, 1)
    words = text.split()
    count = int(words[0])
    if words[1] == "of":
        return Confirm(count, int(words[2]))
    return Confirm(count, count if words[1:] == ["in", "a", "row"] else 0)


def _metric(name: str, metric: Metric, source: Source | None) -> MetricPlan:
    samples = metric.min_samples
    return MetricPlan(
        name=name,
        source=metric.source,
        expression=metric.query or metric.value or "",
        window=metric.window,
        max_age=metric.max_age or _max_age(metric),
        min_samples=default_min_samples(metric, source) if samples is None else samples,
        lower_is_better=metric.better == "lower",
        unit=metric_unit(metric),
        capital=metric.capital,
        dependence=metric.dependence or "hac",
        column=metric.column or "value",
        beside=Beside(
            value=None if metric.query is None else metric.value,
            step=metric.step,
            samples=metric.samples,
            as_of=metric.as_of,
        ),
        proportion=(
            metric.query is not None
            and metric.value is None
            and metric.unit == RATIO
            and counted(metric, source) == "observations"
        ),
        bar=metric.bar,
        shared=metric.shared,
    )


def _of_quality(source: str, name: str, rules: Quality) -> MetricPlan:
    """A measure of a source's own data, as a metric like any other."""
    return MetricPlan(
        name=name,
        source=source,
        expression=name,
        window=rules.window,
        max_age=rules.window,
        min_samples=rules.min_samples,
        lower_is_better=name != "quality",
        unit=PLAIN,
        capital=None,
    )


def _max_age(metric: Metric) -> timedelta:
    few = BARS_LATE * (metric.bar or timedelta(0))
    if isinstance(metric.window, BarCount):
        return max(few, metric.window.count * (metric.bar or MAX_AGE))
    return max(few, window_length(metric.window) or MAX_AGE)


def _without_samples(
    metrics: Mapping[str, MetricPlan], declared: Mapping[str, Metric]
) -> Mapping[str, MetricPlan]:
    """As a hard limit reads them: money, positions and orders need no number of samples, shares
    and means do (rule 3)."""
    return {
        name: metric
        if name not in declared or is_statistical(declared[name])
        else replace(metric, min_samples=0)
        for name, metric in metrics.items()
    }


def _targets(policy: Policy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the share targets (never none) and of the configuration targets."""
    targets = policy.publish.items()
    shares = tuple(name for name, target in targets if isinstance(target, SHARE_PUBLISHERS))
    configs = tuple(name for name, target in targets if isinstance(target, ConfigPublisher))
    return shares or (SHARE_TARGET,), configs


def _parameters(policy: Policy, steps: tuple[Step, ...]) -> ParametersPlan | None:
    said = policy.transition.parameters
    if said is None:
        return None
    moving = [step.name for step in steps if said.over is None or step.stage in (said.stages or ())]
    asked, back = said.acknowledge, said.back
    return ParametersPlan(
        grid=tuple(Share(int(point * WHOLE)) for point in points(policy, said)),
        over_ms=milliseconds(said.over) if said.over is not None else 0,
        stages=frozenset(said.stages or ()),
        last=moving[-1] if moving else steps[-1].name,
        within_ms=milliseconds(asked.within) if asked is not None else None,
        otherwise=asked.otherwise if asked is not None else "rollback",
        back=back.over if back is not None else None,
        at_once_from=Severity[(back.at_once_from if back is not None else "low").upper()],
    )


def _handover(policy: Policy, steps: tuple[Step, ...]) -> HandoverPlan | None:
    said, tick = policy.transition.handover, policy.schedule.tick
    if said is None:
        return None
    seats, position = said.processes, said.position
    phases = [Phase.WARM, Phase.COPY]
    if agrees(said):
        phases.append(Phase.AGREE)
    if closes(said):
        phases.append(Phase(position.mode))
    return HandoverPlan(
        stage=said.stage or [step.stage for step in steps if step.stage != WATCH][-1],
        phases=(*phases, Phase.FENCE, Phase.WRITE),
        answer_ms=milliseconds(seats.within),
        agree_ms=milliseconds(span_of(said.within, tick)),
        otherwise=said.otherwise or "ramp",
        close_ms=milliseconds(span_of(position.within, tick)),
        close_otherwise=position.otherwise or "rollback",
        converges=position.mode == "converge",
        place=(seats.directory, seats.baseline, seats.candidate),
    )


def _rollback(rollback: Rollback, steps: tuple[Step, ...], *, has_configs: bool) -> RollbackPlan:
    lock: Lock = rollback.lock
    restart = next((s.name for s in steps if s.stage == rollback.restart), steps[0].name)
    return RollbackPlan(
        steps=tuple(step for step in rollback.plan if step != "restore" or has_configs),
        deadline=rollback.deadline,
        verify_after=rollback.verify_after,
        cooldown=rollback.cooldown,
        restart=restart,
        lock_after=lock.after,
        lock_per=lock.per,
    )
