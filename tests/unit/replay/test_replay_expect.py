"""Expectations: each kind and each claim holds where it should, and says why where it does not."""

from pathlib import Path

import pytest
from support.marked import GOOD as POLICY

from controller.replay.outcome import ScenarioResult, run_scenario
from controller.replay.scenario import load_scenarios

STORY = """\
policy: signal.yaml
start: 2026-03-02T14:30:00Z
series:
  candidate.accuracy: 88%
  candidate.latency: 120ms
  candidate.pnl: 5
  candidate.drawdown: 0%
  signals.silent: 1s
scenarios:
  - name: a person takes it back
    from: canary
    events:
      - {at: 5m, approve: {by: ann}}
      - {at: 10m, rollback: {by: ann, reason: enough}}
    expect:
      - EXPECTED
"""


def told(expected: str, folder: Path, policy: str = POLICY) -> ScenarioResult:
    """The story with one expectation."""
    (folder / "signal.yaml").write_text(policy, encoding="utf-8")
    path = folder / "signal.scenarios.yaml"
    path.write_text(STORY.replace("EXPECTED", expected), encoding="utf-8")
    found = load_scenarios(path, {})
    assert not found.findings, [str(finding) for finding in found.findings]
    return run_scenario(found.scenarios[0])


@pytest.mark.parametrize(
    ("holds", "fails", "why"),
    [
        # each kind of time
        ("{at: 9m, state: canary}", "{at: 11m, state: canary}", "the state is rolling_back.verify"),
        ("{always: {share: 5%}, to: 9m}", "{always: {share: 5%}, to: 11m}", "the share is 0%"),
        ("{never: {share: 0%}, to: 9m}", "{never: {share: 0%}, to: 11m}", "it came true"),
        ("{within: 1m, after: 9m, state: rolling_back}",
         "{within: 1m, after: 7m, state: rolling_back}", "it did not come true until then"),
        ("{stays: {state: canary}, for: 9m}", "{stays: {state: canary}, for: 11m}",
         "the state is rolling_back"),
        # each claim
        ("{at: 9m, share: 5%}", "{at: 9m, share: 25%}", "the share is 5%"),
        ("{at: 9m, epoch: 1}", "{at: 11m, epoch: 1}", "the epoch is 2"),
        ("{at: 9m, dwell: 9m}", "{at: 9m, dwell: 8m}", "the dwell is 9m"),
        ("{at: 11m, reasons: rollback}", "{at: 11m, reasons: loss}",
         "the last move does not name loss"),
        ("{at: 10m, effects: [{set_share: 0%}]}", "{at: 10m, effects: [{activate: v1}]}",
         "activate v1 was not asked for then, but: set_share 0%"),
        ("{at: 10m, effects: [{alert: high rollback}]}",
         "{at: 10m, effects: [{alert: critical rollback}]}",
         "was not asked for then, but: alert rollback, alert high rollback"),
        ("{at: 11m, alerts: {rollback: 1}}", "{at: 11m, alerts: {rollback: 2}}",
         "1 alerts of kind rollback"),
        ("{at: 9m, blocked_by: dwell}", "{at: 9m, blocked_by: candidate.accuracy}",
         "not blocked by 'candidate.accuracy', but: dwell"),
        ("{at: 9m, outcomes: {candidate.accuracy >= 85%: pass, silent: quiet}}",
         "{at: 9m, outcomes: {candidate.accuracy >= 85%: no_data}}",
         "candidate.accuracy >= 85% is pass"),
        ("{at: 9m, outcomes: {silent: pass}}", "{at: 9m, outcomes: {silent: firing}}",
         "silent is pass and quiet"),
        ("{at: 9m, would_have: []}", "{at: 9m, would_have: [loss]}",
         "on a dry run would have acted: nobody"),
        ("{at: 9m, measured: {candidate.accuracy: {value: 0.88, samples: 1000}}}",
         "{at: 9m, measured: {candidate.accuracy: {samples: 5}}}",
         "candidate.accuracy has samples 1000"),
        ("{at: 9m, measured: {candidate.accuracy: {variance: 0.1056}}}",
         "{at: 9m, measured: {candidate.acuracy: {value: 0.88}}}",
         "candidate.acuracy has value None"),
        ("{at: 9m, refused: approve}", "{at: 11m, refused: rollback}", "rollback was not refused"),
        ("repeatable: true", "{at: 0m, state: shadow}", "the state is canary"),
    ],
)  # fmt: skip
def test_an_expectation_can_hold_and_can_fail(
    holds: str, fails: str, why: str, tmp_path: Path
) -> None:
    assert told(holds, tmp_path).passed

    (failure,) = told(fails, tmp_path).failures

    assert any(why in problem for problem in failure.problems), failure.problems


def test_a_failure_names_file_line_moment_values_and_rule(tmp_path: Path) -> None:
    (failure,) = told("{at: 9m, share: 25%, blocked_by: loss}", tmp_path).failures

    lines = str(failure).splitlines()
    assert lines[0] == f"FAIL {tmp_path / 'signal.scenarios.yaml'}:16: a person takes it back"
    assert lines[1] == "  expected  {at: 9m, share: 25%, blocked_by: loss}"
    assert lines[2] == "  at        9m (2026-03-02 14:39:00 UTC)"
    assert "  but       the share is 5%" in lines
    assert any(line.startswith("  rule      loss: candidate.drawdown > 1%") for line in lines)
    assert any("dwell: 21m of 30m to go" in line for line in lines)


def test_the_bytes_of_a_configuration_can_be_claimed(tmp_path: Path) -> None:
    policy = POLICY.replace("baseline: v1", "baseline: {version: v1, config: a.json}")
    policy = policy.replace("candidate: v3", "candidate: {version: v3, config: b.json}")
    policy = policy.replace(
        "triggers:\n", "publish: {live: {type: config, path: x.json}}\ntriggers:\n"
    )

    assert told("{at: 11m, files: {live: a.json}}", tmp_path, policy).passed
    (failure,) = told("{at: 11m, files: {live: b.json}}", tmp_path, policy).failures
    assert failure.problems == ("live holds a.json",)


@pytest.mark.parametrize(
    ("codes", "words"),
    [("[P331]", ()), ("[P202]", ("the policy has the findings ['P331']",))],
)
def test_a_policy_that_must_be_rejected_is_rejected_for_that(
    codes: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "signal.yaml").write_text(POLICY, encoding="utf-8")
    path = tmp_path / "signal.scenarios.yaml"
    path.write_text(
        "policy: signal.yaml\nstart: 2026-03-02T14:30:00Z\nscenarios:\n"
        "  - name: says nothing\n    set: {triggers.loss.when: candidate.drawdown < 0}\n"
        f"    rejected: {codes}\n",
        encoding="utf-8",
    )

    result = run_scenario(load_scenarios(path, {}).scenarios[0])

    assert tuple(word for failure in result.failures for word in failure.problems) == words


def test_a_policy_that_is_accepted_fails_its_rejection(tmp_path: Path) -> None:
    (tmp_path / "signal.yaml").write_text(POLICY, encoding="utf-8")
    path = tmp_path / "signal.scenarios.yaml"
    path.write_text(
        "policy: signal.yaml\nstart: 2026-03-02T14:30:00Z\n"
        "scenarios: [{name: fine, rejected: [P202]}]\n",
        encoding="utf-8",
    )

    (failure,) = run_scenario(load_scenarios(path, {}).scenarios[0]).failures

    assert failure.problems == ("the policy is accepted",)
