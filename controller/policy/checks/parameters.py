"""Parameters on their way: every difference has a rule that fits, and every point is allowed."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from controller.configuration import Configuration, Unreadable, form_of, write_between
from controller.parameters.vector import Interpolation, Problem, shown
from controller.policy.checks.context import WATCH, Context, deadline, duration_text, weights
from controller.policy.constraint import NoNumber, holds, parse_constraint
from controller.policy.document import Scalar
from controller.policy.expression import Condition, references
from controller.policy.findings import Finding, did_you_mean
from controller.policy.interpolation import interpolation, points, read_configuration
from controller.policy.places import Where
from controller.policy.publisher import ConfigPublisher
from controller.policy.tokens import ConditionError
from controller.policy.transition import ParameterRule, Parameters

HERE = ("transition", "parameters")
MOST_TOLD = 10
"""Parameters named in one finding."""
_OF_CURVE = {"steps": "steps", "steepness": "logistic"}
"""Keys that belong to one curve."""


def lead_across(context: Context) -> Iterator[Finding]:
    """Both files can be read, the rules lead from one to the other, and no point on the way breaks
    a constraint. A policy that runs already is not asked about its files."""
    parameters = context.policy.transition.parameters
    if parameters is None or context.environment is None:
        return
    wrong = [
        finding
        for number, rule in enumerate(parameters.rules)
        for finding in _shape(context, (*HERE, "rules", number), rule)
    ]
    yield from wrong
    files = []
    for side in ("baseline", "candidate"):
        try:
            version = getattr(context.policy, side)
            files.append(read_configuration(version, context.places.directory))
        except Unreadable as error:
            hint = f"`{side}: {{version: NAME, config: FILE}}`, a file of YAML, JSON or TOML"
            yield context.places.at((side, "config"), "P395", str(error), hint)
    if len(files) == 2 and files[0].form != files[1].form:
        message = f"the configurations are of different forms, {files[0].form} and {files[1].form}"
        hint = "write both in the form that the algorithm reads"
        yield context.places.at(("candidate", "config"), "P395", message, hint)
    elif len(files) == 2 and not wrong:
        yield from _lead(context, parameters, files[0], files[1])


def _lead(
    context: Context, parameters: Parameters, baseline: Configuration, candidate: Configuration
) -> Iterator[Finding]:
    way = interpolation(parameters, baseline, candidate)
    for problem in way.problems:
        if problem.rule is not None:
            yield _problem(context, way, problem, problem.rule)
    yield from _unnamed(context, [p for p in way.problems if p.rule is None])
    grid = points(context.policy, parameters)
    broken = bool(way.unfit)
    if not broken:
        try:
            for progress in grid[1:-1][:: max(1, len(grid) - 3)]:
                write_between(baseline, candidate, way.settings(progress))
        except ValueError as error:
            yield context.places.at(("baseline", "config"), "P395", str(error))
    for number in range(len(parameters.constraints)):
        yield from _constraint(context, (*HERE, "constraints", number), way, grid, broken=broken)


def _unnamed(context: Context, problems: Sequence[Problem]) -> Iterator[Finding]:
    """All in one finding: they have one place, and one remedy does for all."""
    if not problems:
        return
    told = "; ".join(f"{p.name}: {p.words}" for p in problems[:MOST_TOLD])
    more = f"; and {len(problems) - MOST_TOLD} more" if len(problems) > MOST_TOLD else ""
    message = f"the configurations differ, and nothing says how to get across: {told}{more}"
    hint = f"{problems[0].hint}, or for all of them `rest: {{switch_at: 50%}}`"
    yield context.places.at_key((*HERE, "rules"), "P396", message, hint)


def _problem(context: Context, way: Interpolation, problem: Problem, number: int) -> Finding:
    places, name = context.places, problem.name
    where: Where = (*HERE, "rules", number, "path")
    match problem.about:
        case "path":
            hint = problem.hint or did_you_mean(name, way.paths)
            return places.at(where, "P396", f"{name}: {problem.words}", hint)
        case "same":
            return places.at(where, "P344", f"{name}: {problem.words}", "leave the rule out")
        case "values":
            key = "tick" if "tick" in problem.words else "curve"
            where = (*HERE, "rules", number, key)
            return places.at(where, "P397", f"{name}: {problem.words}", problem.hint)


def _shape(context: Context, where: Where, rule: ParameterRule) -> Iterator[Finding]:
    """A rule is a curve with what belongs to it, or a switch."""
    places = context.places
    if (rule.curve is None) == (rule.switch_at is None):
        told = "neither of" if rule.curve is None else "both"
        message = f"{rule.path} has {told} `curve` and `switch_at`"
        hint = "a number follows a `curve`, anything else has a `switch_at`"
        yield places.at_key((*where, "switch_at"), "P397", message, hint)
        return
    if rule.switch_at is not None and rule.switch_at <= 0:
        message = f"{rule.path} cannot switch at the start, which is the baseline's"
        yield places.at((*where, "switch_at"), "P397", message, "write more than 0%")
    if rule.curve == "steps" and rule.steps is None:
        message = f"{rule.path}: how many steps?"
        yield places.at((*where, "curve"), "P397", message, "add `steps: 4`")
    for key in ("tick", "steps", "steepness"):
        wanted = _OF_CURVE.get(key, rule.curve)
        if getattr(rule, key) is not None and (rule.curve is None or rule.curve != wanted):
            message = f"{rule.path}: {key} says nothing of {rule.curve or 'a switch'}"
            yield places.at_key((*where, key), "P344", message, "leave it out")


# Constraints ------------------------------------------------------------------------------


def _constraint(
    context: Context, where: Where, way: Interpolation, grid: Sequence[Fraction], *, broken: bool
) -> Iterator[Finding]:
    node = context.places.node(where)
    assert isinstance(node, Scalar)
    try:
        condition = parse_constraint(node.text, way.paths)
    except ConditionError as error:
        yield context.places.inside(where, error.column, error.code, error.message, error.hint)
        return
    if broken:
        return
    for progress in grid:
        words = _breaks(condition, way, progress)
        if words:
            hint = "change the curves or switches, so that it holds at every point of the way"
            if progress in (0, 1):
                side = "baseline" if progress == 0 else "candidate"
                hint = f"the {side}'s own file breaks it; change the file or the constraint"
            message = f"{node.text} breaks at {percent(progress)} of the way: {words}"
            yield context.places.at(where, "P398", message, hint)
            return


def _breaks(condition: Condition, way: Interpolation, progress: Fraction) -> str:
    """The values with which a constraint breaks; empty where it holds."""
    try:
        if holds(condition, lambda name: way.value(name, progress)):
            return ""
    except NoNumber as error:
        return f"{error.name} is {shown(error.value)}, no number"
    names = dict.fromkeys(references(condition))
    return ", ".join(f"{name} is {shown(way.value(name, progress))}" for name in names)


def percent(progress: Fraction) -> str:
    """`40%`, `33.333%`."""
    return f"{float(progress * 100):.3f}".rstrip("0").rstrip(".") + "%"


# From the first point to the last -----------------------------------------------------------


def come_to_an_end(context: Context) -> Iterator[Finding]:
    """What moves has a place to be published, and the time to arrive."""
    parameters, places = context.policy.transition.parameters, context.places
    if parameters is None:
        return
    yield from _published(context)
    if parameters.over is None:
        for name in ("stages", "changes"):
            if getattr(parameters, name) is not None:
                message = f"without `over` progress is the candidate's share, and {name} is unused"
                yield places.at_key((*HERE, name), "P344", message, "add `over: 2h`")
    elif parameters.stages is None:
        message = "`over` runs in no stage"
        hint = f"add `stages: [{context.policy.stages[0].name}]`"
        yield places.at_key((*HERE, "over"), "P399", message, hint)
    else:
        yield from _stages(context, parameters, parameters.stages)
    if parameters.acknowledge is not None:
        names = parameters.acknowledge.by
        for number, name in enumerate(names):
            if name in names[:number]:
                where = (*HERE, "acknowledge", "by", number)
                yield places.at(where, "P302", f"{name} is there twice", "name it once")


def _published(context: Context) -> Iterator[Finding]:
    publishers = context.config_publishers()
    if not publishers:
        message = "nothing publishes the parameters"
        hint = "add `publish: {live: {type: config, path: live/parameters.yaml}}`"
        yield context.places.at_key(HERE, "P395", message, hint)
    for name in publishers:
        publisher, config = context.policy.publish[name], context.policy.baseline.config
        assert isinstance(publisher, ConfigPublisher)
        try:
            fits = config is None or form_of(publisher.path) == form_of(config)
        except Unreadable:
            fits = False
        if not fits:
            message = f"{name} is not of the form of the configurations"
            where = ("publish", name, "path")
            yield context.places.at(where, "P395", message, f"give it the suffix of {config}")


def _stages(context: Context, parameters: Parameters, names: Sequence[str]) -> Iterator[Finding]:
    policy, places = context.policy, context.places
    known = [stage.name for stage in policy.stages]
    for number, name in enumerate(names):
        where = (*HERE, "stages", number)
        if name not in known:
            yield places.at(where, "P301", f"unknown stage {name!r}", did_you_mean(name, known))
        elif name == WATCH:
            message = "in watch the candidate is in charge, with its own configuration"
            yield places.at(where, "P399", message, "name stages before promotion")
    moving = [stage for stage in policy.stages if stage.name in names]
    if len(moving) < len(names) or parameters.over is None:
        return
    longest = sum((len(weights(s)) * deadline(s) for s in moving), start=0 * parameters.over)
    if longest < parameters.over:
        message = (
            f"the parameters need {duration_text(parameters.over)}, and {', '.join(names)} must be "
            f"left within {duration_text(longest)}"
        )
        hint = "write a later deadline, more stages, or a shorter `over`"
        yield places.at((*HERE, "over"), "P399", message, hint)
    restart = policy.rollback.restart
    if restart in known and known.index(restart) > known.index(moving[0].name):
        message = f"started again from {restart}, the parameters would not go their whole way"
        hint = f"write `restart: {moving[0].name}`, or leave it out"
        yield places.at(("rollback", "restart"), "P399", message, hint)
