"""From a checked policy to a plan: names resolved, shares and clocks in integers, rules as
closures, the machine built. Everything that can be wrong was found before (`policy.check`)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from controller.core.calendar import Calendar, milliseconds
from controller.core.effect import Severity
from controller.core.machine import RolloutMachine
from controller.core.measurement import BASELINE, CANDIDATE, DIFFERENCE, reference
from controller.core.plan import (
    ApprovalPlan,
    Check,
    Confirm,
    FreezeWindow,
    MetricPlan,
    Plan,
    RollbackPlan,
    Step,
    TriggerPlan,
    VersionPlan,
)
from controller.core.rules import RuleCompiler
from controller.core.share import NONE, Share, from_percent, percent_text
from controller.policy.aggregation import default_min_samples, is_statistical
from controller.policy.expression import Condition, references
from controller.policy.models import (
    Approval,
    BarCount,
    Lock,
    Metric,
    Policy,
    Quality,
    Rollback,
    Stage,
    Trigger,
)
from controller.policy.quality import MEASURES, judged_sources
from controller.policy.units import PLAIN, metric_unit

SHARE_TARGET = "share"
"""Name of the share file that is there when the policy publishes none."""
MAX_AGE = timedelta(hours=1)
"""Age past which a metric over a session, stage or rollout says nothing, if it declares none."""
BARS_LATE = 4
"""The same in bars, where that is longer: over a long weekend there are none."""
DEADLINE_HOLDS = 3
"""A stage that declares no deadline has this many times its hold."""

_THEN = {"low": "alert", "medium": "hold", "high": "rollback", "critical": "rollback"}


def compile_plan(
    policy: Policy,
    gates: Mapping[str, tuple[Condition, ...]],
    guards: Mapping[str, Condition],
    digest: str,
    calendar: Calendar,
) -> Plan:
    """`gates` by stage name and `guards` by trigger name are the parsed conditions."""
    metrics = {name: _metric(name, metric) for name, metric in policy.metrics.items()}
    quality = dict(judged_sources(policy))
    metrics |= {
        reference(source, name): _of_quality(source, name, rules)
        for source, rules in quality.items()
        for name in MEASURES
    }
    steps = tuple(_steps(policy.stages, gates, RuleCompiler(metrics)))
    unsampled = _without_samples(metrics, policy.metrics)
    triggers = tuple(
        _trigger(trigger, guards[trigger.name], metrics, unsampled, policy.stages)
        for trigger in policy.triggers
    )
    shares, configs = _targets(policy)
    rollback = _rollback(policy.rollback, steps, has_configs=bool(configs))
    read = {key for conditions in gates.values() for c in conditions for key in references(c)}
    read.update(key for condition in guards.values() for key in references(condition))
    compared = {key.partition(".")[2] for key in read if key.startswith(f"{DIFFERENCE}.")}
    read.update(f"{side}.{metric}" for metric in compared for side in (CANDIDATE, BASELINE))
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
        metrics=metrics,
        sources=tuple(policy.sources),
        references=tuple(sorted(read)),
        quality=quality,
        compared=tuple(sorted(compared)),
        share_targets=shares,
        config_targets=configs,
        steps=steps,
        triggers=triggers,
        rollback=rollback,
        baseline_kept=frozenset(
            here.name
            for here, following in pairwise(steps)
            if following.frozen_baseline and not here.frozen_baseline
        ),
        machine=RolloutMachine(steps, rollback),
        by_name={step.name: step for step in steps},
        guarding={step.name: tuple(t for t in triggers if _applies(t, step)) for step in steps},
    )


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
    stages: tuple[Stage, ...],
    gates: Mapping[str, tuple[Condition, ...]],
    rules: RuleCompiler,
) -> Iterator[Step]:
    for stage in stages:
        checks = tuple(
            Check(
                name=f"{stage.name}[{index}]",
                rule=text,
                evaluate=rules.compile(condition),
                limit=rules.limit(condition),
            )
            for index, (text, condition) in enumerate(
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
            )


def _approval(approval: Approval) -> ApprovalPlan:
    return ApprovalPlan(approval.by, milliseconds(approval.within), approval.otherwise)


def _trigger(
    trigger: Trigger,
    condition: Condition,
    metrics: Mapping[str, MetricPlan],
    unsampled: Mapping[str, MetricPlan],
    stages: tuple[Stage, ...],
) -> TriggerPlan:
    confirm = _confirm(trigger.confirm)
    keys = tuple(dict.fromkeys(references(condition)))
    for_ms = milliseconds(trigger.for_) if trigger.for_ else 0
    hard = trigger.severity == "critical" and confirm.k == 1 and for_ms == 0
    rules = RuleCompiler(
        unsampled if hard else metrics, min_samples=trigger.min_samples, guards=True
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
        confirm=confirm,
        for_ms=for_ms,
        escalate_ms=milliseconds(trigger.escalate_after) if trigger.escalate_after else None,
        hard=hard,
        stages=frozenset(trigger.stages or (stage.name for stage in stages)),
        about_candidate=any(key.startswith((f"{CANDIDATE}.", f"{DIFFERENCE}.")) for key in keys),
        references=keys,
    )


def _applies(trigger: TriggerPlan, step: Step) -> bool:
    """Whether a trigger guards a step: it is meant for the stage, and where the candidate sees
    no work at all nothing can be said about it."""
    if step.stage not in trigger.stages:
        return False
    return not trigger.about_candidate or step.mirror or step.share != NONE


def _confirm(text: str | None) -> Confirm:
    """`3 in a row`, `3 of 5`, `5 in total`; without it a single failure is enough."""
    if text is None:
        return Confirm(1, 1)
    words = text.split()
    count = int(words[0])
    if words[1] == "of":
        return Confirm(count, int(words[2]))
    return Confirm(count, count if words[1:] == ["in", "a", "row"] else 0)


def _metric(name: str, metric: Metric) -> MetricPlan:
    samples = metric.min_samples
    return MetricPlan(
        name=name,
        source=metric.source,
        expression=metric.value or metric.query or "",
        window=metric.window,
        max_age=metric.max_age or _max_age(metric),
        min_samples=default_min_samples(metric) if samples is None else samples,
        lower_is_better=metric.better == "lower",
        unit=metric_unit(metric),
        capital=metric.capital,
        bar=metric.bar,
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
    if isinstance(metric.window, BarCount):
        return max(metric.window.count, BARS_LATE) * (metric.bar or MAX_AGE)
    if isinstance(metric.window, timedelta):
        return metric.window
    return max(MAX_AGE, BARS_LATE * (metric.bar or timedelta(0)))


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
    shares = tuple(name for name, target in policy.publish.items() if target.type == "file")
    configs = tuple(name for name, target in policy.publish.items() if target.type == "config")
    return shares or (SHARE_TARGET,), configs


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
