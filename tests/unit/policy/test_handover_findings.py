"""Every error of a handover: code, place (the mark ») and hint."""

from pathlib import Path

import pytest
from support.handover import POLICY
from support.marked import marked

from controller.policy.load import load_text
from controller.policy.values import Ticks, parse_patience

CLOSED = POLICY.replace("within: 20 ticks\n    ramp: 10m", "position: {mode: drain, within: 10m}")
LONG = POLICY.replace("20 ticks", "40m")
READY = POLICY.replace("    within: 20 ticks\n    ramp: 10m\n", "    when: ready\n")
PARAMETERS = POLICY.replace(
    "  handover:\n    stage",
    "  parameters:\n    acknowledge: {directory: live/handover, by: [one]}\n  handover:\n    stage",
)
CASES = {
    "to itself": (POLICY, "candidate: engine-3", "candidate: »engine-1", "P411", "that runs the"),
    "called writer": (POLICY, "candidate: engine-3", "candidate: »writer", "P303", "another name"),
    "a taken place": (PARAMETERS, "{directory: live/handover, baseline",
                      "{directory: »live/handover, baseline", "P412", "of its own, such as"),
    "a taken target": (POLICY, "  share: {type", "  »handover: {type", "P303", "another name"),
    "no such stage": (POLICY, "stage: handover", "stage: »handovre", "P301", "mean 'handover'?"),
    "in watch": (POLICY, "stage: handover", "stage: »watch", "P413", "before promotion"),
    "too long": (LONG, "  handover:\n    stage: handover\n",
                 "  »handover:\n    stage: shadow\n", "P414", "later deadline"),
    "started later": (POLICY, "{cooldown: 1h", "{restart: »watch, cooldown: 1h", "P415",
                      "restart: handover"),
    "agreed on nothing": (CLOSED, "    position:", "    when: »targets_agree\n    position:",
                          "P416", "`when: ready`"),
    "a band of none": (READY, "when: ready", "when: ready\n    »band: 0.1", "P344", "leave it out"),
    "time of none": (READY, "when: ready", "when: ready\n    »within: 1m", "P344", "leave it out"),
    "an else of none": (READY, "when: ready", "when: ready\n    »else: ramp", "P344", "leave it"),
    "a ramp of none": (POLICY, "    ramp: 10m", "    else: rollback\n    »ramp: 10m", "P344",
                       "leave it out"),
    "a ramp when ready": (READY, "when: ready", "when: ready\n    »ramp: 10m", "P344", "leave it"),
    "a transfer in time": (POLICY, "    ramp: 10m", "    position: {»within: 1m}", "P344", "leave"),
    "a close or else": (CLOSED, "{mode: drain, within: 10m}", "{mode: flatten, »else: flatten}",
                        "P344", "leave it out"),
    "no time to agree": (POLICY, "within: 20 ticks", "within: »0s", "P345", "write a duration"),
    "no time to answer": (POLICY, "candidate: engine-3}", "candidate: engine-3, within: »0s}",
                          "P345", "write a duration"),
    "no time to ramp": (POLICY, "ramp: 10m", "ramp: »0s", "P345", "write a duration"),
    "no time to close": (CLOSED, "within: 10m}", "within: »0s}", "P345", "write a duration"),
    "no ticks": (POLICY, "within: 20 ticks", "within: »0 ticks", "P103", ""),
    "a mode that is none": (POLICY, "    ramp: 10m", "    position: {mode: »hedge}", "P104", ""),
    "nobody": (POLICY, ", candidate: engine-3", "", "P102", ""),
}  # fmt: skip


@pytest.mark.parametrize("text", [POLICY, CLOSED, READY])
def test_the_policies_they_are_made_of_are_good(text: str) -> None:
    assert load_text(text, Path("p.yaml"), {}).findings == ()


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_at_its_place_with_a_remedy(name: str) -> None:
    text, old, new, code, hint = CASES[name]
    assert text.count(old) == 1, old
    if name == "nobody":
        text = text.replace("processes: {", "»processes: {")
    place = marked(text.replace(old, new))
    findings = load_text(place.text, Path("p.yaml"), {}).findings
    told = [str(finding) for finding in findings]
    here = [f for f in findings if (f.code, f.line, f.column) == (code, place.line, place.column)]
    assert len(here) == 1, told
    assert hint in here[0].hint, told


def test_only_a_watch_is_no_place_for_a_handover() -> None:
    stages = POLICY.index("stages:")
    text = POLICY[:stages] + "stages:\n  - {name: watch, weight: 100%, hold: 1h}\n"
    text = text.replace("    stage: handover\n", "")
    findings = load_text(text, Path("p.yaml"), {}).findings
    assert [(f.code, f.line, f.column) for f in findings if f.code == "P413"] == [("P413", 14, 3)]


def test_without_a_stage_it_is_the_last_before_watch() -> None:
    text = POLICY.replace("    stage: handover\n", "")
    loaded = load_text(text, Path("p.yaml"), {})
    assert loaded.findings == ()


@pytest.mark.parametrize(
    ("text", "count"), [("20 ticks", 20), ("1 tick", 1), ("1_000 ticks", 1000)]
)
def test_a_patience_in_ticks(text: str, count: int) -> None:
    assert parse_patience(text) == Ticks(count)


@pytest.mark.parametrize("text", ["0 ticks", "ticks", "-1 ticks", "200_000 ticks", "1.5 ticks", 7])
def test_what_is_no_patience_says_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_patience(text)
