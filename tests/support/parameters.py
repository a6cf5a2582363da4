"""A policy whose parameters go over, with its two files."""

from pathlib import Path

from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.core.plan import Plan
from controller.policy.load import load_text

FLOW_1 = """\
flow: {threshold: 2000, fast: 10, slow: 30, decay: 0.001, step: 0.25, mode: plain}
limits: {position: 10}
"""
FLOW_3 = """\
flow: {threshold: 2400, fast: 60, slow: 90, decay: 0.00001, step: 1.0, mode: full}
limits: {position: 15}
"""
POLICY = """\
rollout: flow
baseline: {version: v1, config: v1.yaml}
candidate: {version: v3, config: v3.yaml}
schedule: {tick: 30s}
sources:
  signals: {type: push}
metrics:
  accuracy: {source: signals, value: ratio(correct), window: 5m, min_samples: 100, better: higher}
publish:
  share: {type: file, path: share.json}
  live: {type: config, path: live.yaml}
transition:
  parameters:
    over: 1h
    stages: [sync]
    changes: 20
    rules:
      - {path: flow.threshold, curve: smoothstep, tick: 50}
      - {path: flow.fast, curve: linear}
      - {path: flow.slow, curve: linear}
      - {path: flow.decay, curve: log}
      - {path: flow.step, curve: logistic, tick: 0.25}
      - {path: flow.mode, switch_at: 50%}
    rest: {switch_at: 100%}
    constraints:
      - flow.fast < flow.slow
    acknowledge: {directory: said, by: [engine], within: 5m}
    back: {over: 10m}
stages:
  - {name: sync, weight: 0%, mirror: true, hold: 1h}
  - {name: ramp, weights: [25%, 50%], hold: 1h, advance: [candidate.accuracy >= 85%]}
  - {name: watch, weight: 100%, hold: 2h, against: frozen_baseline}
triggers:
  - {name: harm, when: candidate.accuracy < 50%, severity: critical}
  - {name: trouble, when: candidate.accuracy < 70%, severity: medium, then: rollback}
rollback: {restart: sync, cooldown: 1h, verify_after: 5m}
"""
SHARED = POLICY.replace("    over: 1h\n    stages: [sync]\n    changes: 20\n", "")
"""The same where progress is the candidate's share."""


def write_files(directory: Path, v1: str = FLOW_1, v3: str = FLOW_3) -> Path:
    """Both configurations, and where the policy would be."""
    (directory / "v1.yaml").write_text(v1)
    (directory / "v3.yaml").write_text(v3)
    return directory / "policy.yaml"


def plan_of(text: str, path: Path) -> Plan:
    """The plan of a policy at `path`, which must be clean."""
    loaded = load_text(text, path, {})
    assert loaded.policy is not None and loaded.ok, [str(f) for f in loaded.findings]
    return compile_plan(loaded.policy, loaded.gates, loaded.guards, loaded.digest, AlwaysOpen())
