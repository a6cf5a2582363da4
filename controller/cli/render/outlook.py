"""What a step has to look forward to, in words and for programs."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from controller.cli.render import words
from controller.core.assess import span
from controller.core.calendar import milliseconds
from controller.policy.checks.context import percent_text
from controller.policy.evidence import Evidence
from controller.policy.expected import Samples
from controller.policy.expression import MannWhitney, SplitAsAsked, Versus
from controller.policy.feasibility import HOW, Effect, basis, difference_text
from controller.policy.functions import write_call
from controller.policy.models import Policy
from controller.policy.outlook import Outlook, RuleOutlook

HOUR = 3600


def evidence_words(outlooks: Sequence[Outlook], evidence: Evidence) -> Iterator[str]:
    """What the reckoning rests on, and where to say more."""
    if evidence.traffic is None:
        yield (
            "When the gates have their samples nobody knows: add `traffic: 4000/h`, or show what "
            "there was: --history FILE"
        )
        return
    if evidence.told:
        yield f"Reckoned with what was measured in {evidence.told}"
    else:
        yield f"Reckoned with {_per_hour(evidence.traffic)} as declared"
    told = [
        basis(outlook.step.policy, effect.condition.metric, effect.spread)
        for outlook in outlooks
        for rule in outlook.rules
        for effect in rule.effects
        if effect.spread is not None and not isinstance(effect.condition, SplitAsAsked)
    ]
    yield from (f"  {words}" for words in dict.fromkeys(told))
    even = "  the work evenly spread over open time"
    yield even if evidence.told else f"{even}, each observation taken as news"


def outlook_words(outlook: Outlook) -> Iterator[str]:
    """When the samples are there, then what each comparison can show."""
    step = outlook.step
    rules = [rule for rule in outlook.rules if rule.samples or rule.effects or rule.unknown]
    if step.evidence.traffic is None or not rules:
        return
    share = "all" if step.stage.mirror else percent_text(step.weight)
    yield f"at {share} of {_per_hour(step.evidence.traffic)}:"
    policy = step.policy
    gate = [found for rule in rules if not rule.trigger for found in rule.samples]
    for line in _sample_words(gate):
        yield f"  {line}"
    for rule in rules:
        begins = f"trigger {rule.trigger}: " if rule.trigger else ""
        for effect in rule.effects:
            yield f"  {begins}{_effect_words(policy, rule, effect)}"
        for name in rule.unknown:
            yield (
                f"  {begins}{rule.rule}: nobody knows how much {name} varies: add `sd:` to it, or "
                "show what there was: --history FILE"
            )


def _sample_words(samples: list[Samples]) -> Iterator[str]:
    """Those that come together are told together."""
    together: dict[tuple[str, int, str], list[str]] = {}
    for found in samples:
        if found.needed:
            told = (found.kind, found.needed, _reached_words(found))
            named = together.setdefault(told, [])
            name = _key_words(found.key)
            named += [] if name in named else [name]
    for (kind, needed, reached), names in together.items():
        yield f"{needed:,} {kind} ({', '.join(names)}) {reached}"


def _key_words(key: str) -> str:
    subject, _, name = key.partition(".")
    match subject:
        case "split":
            return name
        case "difference":
            return f"{name} of both"
        case "estimate":
            return f"candidate.{name}"
        case "shift":
            return f"ranks of {name}"
        case _:
            return key


def _reached_words(found: Samples) -> str:
    if found.reached is not None:
        return f"after {_after(found.reached.total_seconds())}"
    return f"never: {span(milliseconds(found.within))} brings {found.by_deadline:,.3g}"


def _effect_words(policy: Policy, rule: RuleOutlook, effect: Effect) -> str:
    name = rule.rule if rule.rule.count("(") == 1 else write_call(effect.condition)
    sizes = ((effect.by_hold, "by the hold"), (effect.by_deadline, "by the deadline"))
    told = [(_size(policy, effect, size), when) for size, when in sizes if size is not None]
    if not told:
        return f"{name} can show nothing by the deadline"
    how = f", {HOW[effect.how]}" if effect.how in HOW else ""
    (first, when), *later = told
    text = f"{name} can show {_what(effect)} {first} or more {when}"
    text += "".join(f", {size} {when}" for size, when in later) + how
    if effect.margin is None:
        return text
    if effect.decided is None:
        return f"{text}; versions that are alike would never pass"
    late = ", which is too late" if effect.undecided else ""
    after = _after(effect.decided.total_seconds())
    return f"{text}; versions that are alike pass after {after}{late}"


def effect_name(rule: RuleOutlook, effect: Effect) -> str:
    """The rule that an effect belongs to, as a heading."""
    begins = f"trigger {rule.trigger}: " if rule.trigger else ""
    return begins + write_call(effect.condition)


def _what(effect: Effect) -> str:
    match effect.condition:
        case SplitAsAsked():
            return "a share that is off by"
        case MannWhitney(metric=metric):
            return f"a shift of {metric} of"
        case Versus() as node:
            better = node.function == "better"
            return f"a {'rise' if better != node.lower_is_better else 'drop'} of {node.metric} of"


def _size(policy: Policy, effect: Effect, size: float) -> str:
    """Beyond what the rule itself asks for."""
    node = effect.condition
    beyond = 0.0
    if isinstance(node, Versus) and node.function != "not_worse":
        mean = effect.spread.mean if effect.spread is not None else None
        beyond = node.margin.value * (1.0 if not node.relative else abs(mean or 0.0))
    return difference_text(policy, node, beyond + size)


def _after(seconds: float) -> str:
    """Rounded up to what a person would plan with."""
    grid = 1 if seconds < 600 else 60
    return span(ceil(seconds / grid - 1e-6) * grid * 1000)


def _per_hour(rate: float) -> str:
    return f"{words.number(rate * HOUR)}/h"


# For programs -------------------------------------------------------------------------------


def evidence_data(evidence: Evidence) -> dict[str, Any]:
    """Rates are of an hour of open time, deviations in the metric's base unit."""
    return {
        "origin": "measured" if evidence.told else "declared",
        "traffic_per_hour": None if evidence.traffic is None else evidence.traffic * HOUR,
        "told": evidence.told,
        "spreads": {
            name: {
                "sd": spread.sd,
                "origin": spread.origin,
                "baseline_sd": spread.baseline_sd,
                "mean": spread.mean,
                "correlation": spread.correlation,
                "worth": spread.worth,
                "pair_worth": spread.pair_worth,
            }
            for name, spread in evidence.spreads.items()
        },
    }


def outlook_data(outlook: Outlook) -> list[dict[str, Any]]:
    """By rule: its samples, and its effects in the metric's base unit (of a split, in share)."""
    return [
        {
            "rule": rule.rule,
            "trigger": rule.trigger or None,
            "samples": [_samples_data(found) for found in rule.samples],
            "effects": [_effect_data(effect) for effect in rule.effects],
            "unknown": rule.unknown,
        }
        for rule in outlook.rules
    ]


def _samples_data(found: Samples) -> dict[str, Any]:
    return {
        "of": found.key,
        "kind": found.kind,
        "needed": found.needed,
        "per_hour": found.rate * HOUR,
        "within_ms": milliseconds(found.within),
        "by_hold": found.by_hold,
        "by_deadline": found.by_deadline,
        "reached_ms": None if found.reached is None else milliseconds(found.reached),
        "enough": found.enough,
    }


def _effect_data(effect: Effect) -> dict[str, Any]:
    return {
        "rule": write_call(effect.condition),
        "how": effect.how,
        "level": effect.alpha,
        "by_hold": effect.by_hold,
        "by_deadline": effect.by_deadline,
        "margin": effect.margin,
        "decided_ms": None if effect.decided is None else milliseconds(effect.decided),
        "undecided": effect.undecided,
        "certain": effect.certain,
    }
