"""Names: those that do not exist, that are used twice, and that are taken."""

from collections.abc import Iterator
from posixpath import normpath

from controller.policy.checks.context import WATCH, Context, percent_text, weights
from controller.policy.findings import Finding, did_you_mean
from controller.policy.models import Stage
from controller.policy.publisher import HaproxyPublisher, Publisher, WebhookPublisher

RESERVED = frozenset(
    {"pending", "rolling_back", "partial", "cooldown", "rolled_back", "locked", "completed"}
)
"""States of every rollout, beside its own stages."""
SUBJECTS = frozenset({"candidate", "baseline", "difference", "estimate", "shift", "split"})
"""What stands before the point in a condition, so no source may be called so."""


def unknown_names(context: Context) -> Iterator[Finding]:
    """Sources of metrics, stages of triggers, the stage to restart from."""
    policy, places = context.policy, context.places
    for name, metric in policy.metrics.items():
        if metric.source not in policy.sources:
            hint = did_you_mean(metric.source, policy.sources, _sources(list(policy.sources)))
            where = ("metrics", name, "source")
            yield places.at(where, "P301", f"unknown source {metric.source!r}", hint)
    stages = [stage.name for stage in policy.stages]
    for number, trigger in enumerate(policy.triggers):
        for index, stage in enumerate(trigger.stages or ()):
            if stage not in stages:
                where_stage = ("triggers", number, "stages", index)
                hint = did_you_mean(stage, stages)
                yield places.at(where_stage, "P301", f"unknown stage {stage!r}", hint)
    restart = policy.rollback.restart
    if restart is not None and restart not in stages:
        hint = did_you_mean(restart, stages)
        yield places.at(("rollback", "restart"), "P301", f"unknown stage {restart!r}", hint)
    elif restart == WATCH:
        hint = "restart from a stage before promotion"
        yield places.at(("rollback", "restart"), "P314", "nothing restarts from watch", hint)


def _sources(names: list[str]) -> str:
    return f"sources are: {', '.join(names)}" if names else "declare it under `sources`"


def names_used_twice(context: Context) -> Iterator[Finding]:
    """Stages, triggers, freeze windows; steps of a ramp against other stages."""
    policy, places = context.policy, context.places
    seen: dict[str, str] = {}
    names = [stage.name for stage in policy.stages]
    for number, stage in enumerate(policy.stages):
        for step in _steps(stage):
            where = ("stages", number, "name")
            if seen.get(step, stage.name) != stage.name or stage.name in names[:number]:
                message = f"two states are called {step!r}"
                yield places.at(where, "P302", message, "rename one of their stages")
                break
            seen.setdefault(step, stage.name)
    yield from _twice(context, ("triggers",), [trigger.name for trigger in policy.triggers])
    windows = [window.name for window in policy.schedule.freeze]
    yield from _twice(context, ("schedule", "freeze"), windows)


def places_written_once(context: Context) -> Iterator[Finding]:
    """No two publishers to one place, and none over a version's own configuration."""
    policy = context.policy
    versions = {
        normpath(version.config): f"{version.version} has its configuration there"
        for version in (policy.baseline, policy.candidate)
        if version.config is not None
    }
    written: dict[str, str] = {}
    for name, publisher in policy.publish.items():
        key, place = _written(publisher)
        other = written.setdefault(place, name)
        message = f"{name} writes to the same place as {other}" if other != name else ""
        if key == "path" and place in versions:
            message = f"{name} would write over its own source: {versions[place]}"
        if message:
            where = ("publish", name, key)
            yield context.places.at(where, "P302", message, "give it a place of its own")


def _written(publisher: Publisher) -> tuple[str, str]:
    """The key that says where a publisher writes, and the place."""
    match publisher:
        case HaproxyPublisher():
            return "backend", f"{normpath(publisher.socket)} {publisher.backend}"
        case WebhookPublisher():
            return "url", publisher.url
        case _:
            return "path", normpath(publisher.path)


def _twice(context: Context, what: tuple[str, ...], names: list[str]) -> Iterator[Finding]:
    for number, name in enumerate(names):
        if name in names[:number]:
            where: tuple[str | int, ...] = (*what, number, "name")
            message = f"{name!r} is there twice in {'.'.join(what)}"
            yield context.places.at(where, "P302", message, "rename one of them")


def _steps(stage: Stage) -> list[str]:
    """Names of the stage's states, as the machine has them."""
    if stage.weights is None:
        return [stage.name]
    return [
        f"{stage.name}-{percent_text(weight)[:-1].replace('.', '_')}" for weight in weights(stage)
    ]


def names_taken(context: Context) -> Iterator[Finding]:
    """Stages called like a state of every rollout, sources like a side."""
    for number, stage in enumerate(context.policy.stages):
        if stage.name in RESERVED:
            message = f"{stage.name!r} is a state that every rollout has"
            where = ("stages", number, "name")
            yield context.places.at(where, "P303", message, "choose another name")
    if context.policy.transition.handover is not None and "handover" in context.policy.publish:
        message = "'handover' is the target that tells both processes who writes"
        yield context.places.at_key(("publish", "handover"), "P303", message, "choose another name")
    for name in context.policy.sources:
        if name in SUBJECTS:
            message = f"{name!r} stands for a side in conditions"
            where_source = ("sources", name)
            yield context.places.at_key(where_source, "P303", message, "choose another name")


def same_version(context: Context) -> Iterator[Finding]:
    """Baseline and candidate must differ."""
    policy = context.policy
    if policy.baseline.version == policy.candidate.version:
        where = ("candidate", "version")
        hint = "name the version that is to be rolled out"
        message = "the candidate is the baseline: there is nothing to roll out"
        yield context.places.at(where, "P304", message, hint)
