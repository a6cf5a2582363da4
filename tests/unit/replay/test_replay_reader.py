"""Reading a scenario file: every mistake at its place, with what to write instead."""

from pathlib import Path

import pytest
from support.marked import GOOD as POLICY
from support.marked import marked

from controller.replay.scenario import LoadedScenarios, load_scenarios

GOOD = """\
policy: signal.yaml
start: 2026-03-02T14:30:00Z
series:
  candidate.accuracy: 88%
scenarios:
  - name: it goes on
    from: canary
    set: {triggers.loss.when: candidate.drawdown > 2%}
    series:
      candidate.latency: [{constant: 120ms, samples: 50}, {at: 1h, step: 1s}]
    observations:
      - {source: signals, from: 0m, every: 1m, to: 5m, version: candidate, fields: {ms: 5}}
    events:
      - {at: 5m, pause: {by: ann}}
      - {at: 6m, source: {name: signals, outage: 1m}}
      - {at: 7m, target: {name: share, outage: 1m}}
    expect:
      - {at: 1m, state: canary, share: 5%}
      - {within: 1h, after: 5m, state: canary.paused}
      - never: {state: rolling_back}
"""

CASES: dict[str, tuple[str, str, str, str]] = {
    # name: (text in the good file, what it becomes, code, words of message or hint)
    "a policy that is not there": ("policy: signal", "policy: »sygnal", "S001", "cannot be read"),
    "no policy": ("policy: signal.yaml\nstart", "»start", "S002", "add `policy: ...`"),
    "no start time": ("start: 2026-03-02T14:30:00Z\n", "", "S002", "add `start: 2026"),
    "a start without zone": ("2026-03-02T14:30:00Z", "»2026-03-02T14:30:00", "S003", "zone"),
    "an unknown key of the file": ("series:\n  candidate.acc", "»serie:\n  candidate.acc", "S002",
                                   "'series'"),
    "an unknown key of a scenario": ("    from: canary", "    »form: canary", "S002", "'from'"),
    "an unknown key of an expectation": ("share: 5%", "»shar: 5%", "S002", "'share'"),
    "an unknown claim of never": ("never: {state:", "never: {»stat:", "S002", "'state'"),
    "two times of one expectation": ("- {at: 1m, state", "- »{at: 1m, within: 2m, state", "S002",
                                     "one of: at"),
    "an expectation without time": ("- {at: 1m, state", "- »{state", "S002", "one of: at"),
    "a claim of nothing": ("- {at: 1m, state: canary, share: 5%}", "- »{at: 1m}", "S002",
                           "always holds"),
    "an unknown state": ("state: canary,", "state: »canry,", "S004", "'canary'"),
    "an unknown side state": ("canary.paused", "»canary.pausd", "S004", "'canary.paused'"),
    "an unknown state that never is": ("rolling_back}", "»rolled_bak}", "S004", "'rolled_back'"),
    "an unknown state to begin in": ("from: canary", "from: »canari", "S004", "'canary'"),
    "an outcome of an unknown rule": ("share: 5%", "outcomes: {los: »firing}", "S004", "'loss'"),
    "an outcome that a check cannot have": (
        "share: 5%", "outcomes: {candidate.accuracy >= 85%: »firing}", "S003", "one of: pass",
    ),
    "an outcome that there is not": ("share: 5%", "outcomes: {loss: »ok}", "S003", "quiet"),
    "a dry run of an unknown trigger": ("share: 5%", "would_have: [»los]", "S004", "'loss'"),
    "an unknown measurement": ("candidate.latency: [", "candidate.latenci: »[", "S004",
                               "'candidate.latency'"),
    "observations of an unknown source": ("{source: signals", "{source: »signal", "S004",
                                          "'signals'"),
    "an outage of an unknown source": ("source: {name: signals", "source: {name: »signal", "S004",
                                       "'signals'"),
    "an outage of an unknown target": ("target: {name: share", "target: {name: »shares", "S004",
                                       "'share'"),
    "a side that is none": ("version: candidate", "version: »v3", "S003",
                            "baseline or shared"),
    "two things at a time": ("- {at: 5m, pause: {by: ann}}",
                             "- »{at: 5m, pause: {by: ann}, resume: {by: ann}}", "S002",
                             "one key beside"),
    "an unknown event": ("at: 5m, pause:", "at: 5m, »pauze:", "S002", "'pause'"),
    "an event without time": ("- {at: 5m, pause", "- »{pause", "S002", "add `at: ...`"),
    "a duration without unit": ("at: 5m, pause", "at: »5, pause", "S003", "unit"),
    "a share without per cent": ("share: 5%", "share: »5", "S003", "5%"),
    "a piece with two shapes": ("{constant: 120ms, samples", "»{constant: 120ms, nan: x, samples",
                                "S002", "one shape"),
    "a piece without shape": ("{constant: 120ms, samples: 50}", "»{samples: 50}", "S002",
                              "one shape"),
    "a ramp in no time": ("{constant: 120ms, samples: 50}", "{ramp: {from: 1, to: 2, over: »0}}",
                          "S003", "`step`"),
    "a ramp without end": ("{constant: 120ms, samples: 50}", "{ramp: »{from: 1, over: 1m}}", "S002",
                           "add `to: ...`"),
    "a recording that is not there": ("{constant: 120ms, samples: 50}",
                                      "{csv: »gone.csv, column: x}", "S003", "columns needed"),
    "a change of what is not there": ("{triggers.loss.when", "»{triggers.los.when", "S004",
                                      "'los'"),
    "a change that breaks the policy": ("  - name: it goes on", "  - »name: it goes on", "S004",
                                        "P202"),
}  # fmt: skip


def read(text: str, folder: Path) -> LoadedScenarios:
    (folder / "signal.yaml").write_text(POLICY, encoding="utf-8")
    path = folder / "signal.scenarios.yaml"
    path.write_text(text, encoding="utf-8")
    return load_scenarios(path, {})


def test_the_file_that_the_cases_change_is_clean(tmp_path: Path) -> None:
    found = read(GOOD, tmp_path)

    assert not found.findings, [str(finding) for finding in found.findings]
    (scenario,) = found.scenarios
    assert (scenario.name, scenario.begin) == ("it goes on", "canary")
    assert sorted(scenario.series) == ["candidate.accuracy", "candidate.latency"]
    assert scenario.own_series == {"candidate.latency"}
    assert "candidate.drawdown > 2%" in scenario.policy_text
    assert scenario.until.total_seconds() == 65 * 60, "the last moment that is spoken of"


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_has_its_code_its_place_and_a_remedy(name: str, tmp_path: Path) -> None:
    old, new, code, words = CASES[name]
    assert GOOD.count(old) == 1, f"{old!r} is {GOOD.count(old)} times in the file"
    text = GOOD.replace(old, new)
    if name == "no start time":
        text = text.replace("- name: it", "- »name: it")
    if name == "a change that breaks the policy":
        text = text.replace("candidate.drawdown > 2%", "candidate.drawdwn > 2%")
    place = marked(text)

    (finding,) = read(place.text, tmp_path).findings

    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert words in f"{finding.message} {finding.hint}"


def test_a_change_may_replace_a_whole_item_of_a_list(tmp_path: Path) -> None:
    new = "{triggers.loss: {name: loss, when: candidate.drawdown > 3%, severity: high}}"
    found = read(GOOD.replace("{triggers.loss.when: candidate.drawdown > 2%}", new), tmp_path)

    policy = found.scenarios[0].load({}).policy
    assert policy is not None
    (loss,) = [trigger for trigger in policy.triggers if trigger.name == "loss"]
    assert (loss.when, loss.severity) == ("candidate.drawdown > 3%", "high")


def test_a_file_that_is_not_there_or_no_yaml_is_a_finding(tmp_path: Path) -> None:
    (gone,) = load_scenarios(tmp_path / "gone.yaml", {}).findings
    assert (gone.code, gone.line) == ("S001", 1)
    (broken,) = read("policy: [\n", tmp_path).findings
    assert broken.line == 2


def test_the_scenarios_of_a_policy_that_must_be_rejected_need_no_valid_one(tmp_path: Path) -> None:
    text = GOOD.partition("    from: canary")[0]
    text += "    set: {triggers.loss.when: candidate.drawdwn > 2%}\n    rejected: [P202]\n"

    found = read(text, tmp_path)

    assert not found.findings
    assert found.scenarios[0].rejected == ("P202",)
