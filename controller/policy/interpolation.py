"""What a policy says of its parameters, as rules; the two files; and the points of the way."""

from fractions import Fraction
from pathlib import Path

from controller import configuration
from controller.configuration import LARGEST, Configuration, Unreadable
from controller.parameters.curves import Curve
from controller.parameters.vector import Interpolation, Rule
from controller.policy.models import Policy, Version
from controller.policy.transition import CHANGES, STEEPNESS, ParameterRule, Parameters

UNITS = 100_000
"""Progress is kept in so many parts, like a share."""


def interpolation(
    parameters: Parameters, baseline: Configuration, candidate: Configuration
) -> Interpolation:
    """What leads from one configuration to the other; its `problems` say what does not fit."""
    rest = part(parameters.rest.switch_at) if parameters.rest is not None else None
    rules = [_rule(rule) for rule in parameters.rules]
    return Interpolation(baseline.values, candidate.values, rules, rest)


def part(percent: float) -> Fraction:
    """A percentage as a part of the whole, in `UNITS`."""
    return Fraction(round(percent * UNITS / 100), UNITS)


def points(policy: Policy, parameters: Parameters) -> tuple[Fraction, ...]:
    """Every progress at which parameters are published, rising from 0 to 1."""
    if parameters.over is not None:
        count = parameters.changes or CHANGES
        return tuple(Fraction(round(n * UNITS / count), UNITS) for n in range(count + 1))
    weights = [
        weight
        for stage in policy.stages
        for weight in (stage.weights if stage.weights is not None else (stage.weight or 0.0,))
    ]
    return tuple(sorted({Fraction(0), Fraction(1), *map(part, weights)}))


def read_configuration(version: Version, directory: Path) -> Configuration:
    """The configuration of a version. Raises Unreadable, with the name of its file."""
    if version.config is None:
        raise Unreadable(f"{version.version} has no `config`")
    path = directory / version.config
    try:
        form = configuration.form_of(path)
        with path.open("rb") as file:
            return configuration.read(file.read(LARGEST + 1), form)
    except OSError as error:
        raise Unreadable(f"{version.config}: {error.strerror or error}") from None
    except Unreadable as error:
        raise Unreadable(f"{version.config}: {error}") from None


def _rule(rule: ParameterRule) -> Rule:
    if rule.switch_at is not None:
        return Rule(rule.path, part(rule.switch_at))
    steepness = STEEPNESS if rule.steepness is None else rule.steepness
    curve = Curve(rule.curve or "linear", rule.steps or 0, steepness, rule.tick)
    return Rule(rule.path, curve)
