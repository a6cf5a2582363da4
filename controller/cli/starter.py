"""What `rollout init` writes: a policy that teaches, and scenarios that pass at once; beside them
the schema of `policy.schema`, by which editors complete."""

POLICY = """\
# yaml-language-server: $schema=./policy.schema.json
#
# A rollout: which version moves to which, in what steps, what must hold, and the way back.
# Check it:  rollout validate policies/      Test it:  rollout test policies/
# See it:    rollout plan policies/my-rollout.yaml

rollout: my-rollout
description: What moves, for people
owner: my-team
baseline: v1
candidate: v2

schedule:
  tick: 15s                      # how often it is looked at

sources:
  signals: {type: push, directory: inbox}   # JSON Lines files dropped into inbox/

metrics:
  accuracy:
    source: signals
    value: ratio(correct)        # share of observations with "correct": true
    window: 30m
    min_samples: 100             # with fewer, nobody can tell
    better: higher
  errors: {source: signals, value: ratio(failed), window: 30m, min_samples: 100, better: lower}

stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 30m}
  - name: canary
    weight: 5%
    hold: 1h                     # stay at least so long
    advance: &gate               # and go on only if all of these pass
      - candidate.accuracy >= 85%
      - candidate.errors <= 5%
    deadline: {after: 6h, then: rollback}
  - {name: ramp, weights: [25%, 50%], hold: 1h, advance: *gate, deadline: {after: 12h}}
  - {name: full, weight: 100%, hold: 4h, advance: *gate, deadline: {after: 1d}}

triggers:
  - {name: errors, when: candidate.errors > 10%, severity: high, confirm: 3 of 5}
  - {name: meltdown, when: candidate.errors > 50%, severity: critical, min_samples: 20}
  - {name: silent, when: signals.silent > 5m, severity: medium, then: hold, escalate_after: 30m}

rollback:
  plan: [baseline_traffic, verify]
  verify_after: 5m
  cooldown: 1h
  restart: canary
"""

SCENARIO_FILE = """\
# What the policy does, told in frozen time. Run it: rollout test policies/
policy: my-rollout.yaml
start: 2026-03-02T14:30:00Z
series:                          # what is measured, unless a scenario says otherwise
  candidate.accuracy: {constant: 90%, samples: 200}
  candidate.errors: {constant: 1%, samples: 200}
  signals.silent: 1s

scenarios:
  - name: a healthy canary advances after an hour
    from: canary
    expect:
      - {at: 59m45s, state: canary, share: 5%, blocked_by: [dwell]}
      - {at: 60m, state: ramp-25, share: 25%}

  - name: three bad looks of five go back
    from: canary
    series: {candidate.errors: {constant: 12%, samples: 200}}
    expect:
      - {at: 30s, state: canary}
      - {at: 45s, state: rolling_back, share: 0%, reasons: [errors]}

  - name: a silent feed holds and then goes back
    from: canary
    series: {signals.silent: {ramp: {from: 0s, to: 2h, over: 2h}}}
    expect:
      - {at: 5m15s, state: canary.held, share: 5%}
      - {at: 35m15s, state: rolling_back, reasons: [silent]}
"""
