"""Policy texts with a mark where a finding is expected."""

from dataclasses import dataclass
from pathlib import Path

from controller.policy.findings import Finding
from controller.policy.load import LoadedPolicy, load_text

MARK = "»"
PATH = Path("policy.yaml")

GOOD = """\
rollout: signal
owner: desk
baseline: v1
candidate: v3
schedule: {tick: 30s}
sources:
  signals: {type: push}
  files: {type: sql, tables: {t: t.csv}}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 5m, min_samples: 100, better: higher}
  latency: {source: signals, value: mean(ms), unit: ms, window: 5m, better: lower}
  slow: {source: signals, value: max(ms), unit: ms, window: 1h open}
  recent: {source: signals, value: mean(score), window: last 50}
  pnl: {source: files, query: "select pnl as value from t where v = $version", unit: USD}
  drawdown: {source: signals, value: max_drawdown(pnl), window: rollout, capital: 1_000_000}
  accord: {source: signals, value: agreement(signal), window: 5m}
stages:
  - name: shadow
    weight: 0%
    mirror: true
    hold: 10m
  - name: canary
    weight: 5%
    hold: 30m
    advance:
      - candidate.accuracy >= 85%
      - candidate.latency <= 2000ms
    deadline: {after: 6h}
  - {name: ramp, weights: [25%, 50%], hold: 1h, advance: [candidate.accuracy >= 85%]}
  - {name: watch, weight: 100%, hold: 2h, against: frozen_baseline}
triggers:
  - {name: loss, when: candidate.drawdown > 1%, severity: critical}
  - {name: errors, when: candidate.accuracy < 50%, severity: high, confirm: 3 of 5}
  - {name: silent, when: signals.silent > 2m, severity: medium, then: hold, escalate_after: 10m}
rollback: {plan: [baseline_traffic, restore, verify], restart: canary}
"""


@dataclass(frozen=True)
class Marked:
    """A text without its mark, and where the mark was (from 1)."""

    text: str
    line: int
    column: int


def marked(text: str) -> Marked:
    """Take the one mark out of `text`."""
    before, found, after = text.partition(MARK)
    assert found and MARK not in after, "exactly one mark"
    return Marked(before + after, before.count("\n") + 1, len(before) - before.rfind("\n"))


def edited(old: str, new: str) -> str:
    """`GOOD` with one thing changed."""
    assert GOOD.count(old) == 1, f"{old!r} is {GOOD.count(old)} times in the policy"
    return GOOD.replace(old, new)


def load(text: str, **environ: str) -> LoadedPolicy:
    """What the loader says of a text."""
    return load_text(text, PATH, environ)


def only_finding(text: str, **environ: str) -> tuple[Finding, Marked]:
    """The one finding of a marked text, and the mark's place."""
    place = marked(text)
    loaded = load(place.text, **environ)
    assert len(loaded.findings) == 1, [str(finding) for finding in loaded.findings]
    return loaded.findings[0], place
