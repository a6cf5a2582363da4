"""A policy with traffic, and what is reckoned of it."""

from controller.policy.checks.context import Context
from controller.policy.checks.traffic import evidence_of
from controller.policy.evidence import Evidence
from controller.policy.expected import Samples, Step
from controller.policy.feasibility import Effect
from controller.policy.load import context_of
from controller.policy.outlook import Outlook, RuleOutlook, outlooks
from support.marked import load

TEXT = """\
rollout: signal
baseline: v1
candidate: v3
schedule: {tick: 30s}
traffic: 4000/h
sources: {signals: {type: push}}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 30m, min_samples: 100, better: higher}
  pnl: {source: signals, value: mean(pnl), unit: USD, min_samples: 100, better: higher, sd: 40}
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 30m}
  - name: canary
    weight: 5%
    hold: 1h
    advance:
      - candidate.accuracy >= 85%
      - 'not_worse(accuracy, margin: 5%)'
      - 'not_worse(pnl, margin: 5 USD)'
    deadline: {after: 6h}
  - {name: full, weight: 100%, hold: 1h}
triggers:
  - {name: silent, when: signals.silent > 2m, severity: medium, then: hold, escalate_after: 10m}
"""
GATE = TEXT[TEXT.index("    advance:") : TEXT.index("    deadline:")]


def changed(*edits: tuple[str, str]) -> str:
    """`TEXT` with each thing changed once."""
    text = TEXT
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in the policy"
        text = text.replace(old, new)
    return text


def gated(*lines: str) -> tuple[str, str]:
    """The edit that gives the canary another gate."""
    return GATE, "    advance:\n" + "".join(f"      - {line}\n" for line in lines)


def context(text: str) -> Context:
    """What checks read, of a text that is clean but for its traffic."""
    loaded = load(text)
    assert loaded.policy is not None
    return context_of(loaded, {})


def look(text: str, evidence: Evidence | None = None) -> list[Outlook]:
    """Of every step."""
    found = context(text)
    return list(outlooks(found, evidence_of(found) if evidence is None else evidence))


def rule(
    text: str, of: str, stage: str = "canary", evidence: Evidence | None = None
) -> RuleOutlook:
    """The one rule that has the words `of`, at the first step of a stage."""
    step = next(each for each in look(text, evidence) if each.step.stage.name == stage)
    (found,) = [each for each in step.rules if of in each.rule]
    return found


def samples(text: str, of: str, stage: str = "canary") -> Samples:
    """Its first samples."""
    return rule(text, of, stage).samples[0]


def effect(text: str, of: str, stage: str = "canary", evidence: Evidence | None = None) -> Effect:
    """Its one effect."""
    (found,) = rule(text, of, stage, evidence).effects
    return found


def step(text: str, stage: str = "canary") -> Step:
    """The first step of a stage."""
    return next(each.step for each in look(text) if each.step.stage.name == stage)
