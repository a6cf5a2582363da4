"""Every error of parameters on their way: code, place (the mark ») and hint."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.marked import marked
from support.parameters import FLOW_1, FLOW_3, POLICY, SHARED, write_files

from controller.parameters.curves import Curve
from controller.parameters.vector import Interpolation, Rule
from controller.policy.change import classify
from controller.policy.constraint import NoNumber, holds, parse_constraint
from controller.policy.interpolation import UNITS, points
from controller.policy.load import LoadedPolicy, load_text
from controller.policy.tokens import ConditionError

CASES = {
    "no file": ("config: v3.yaml", "config: »v4.yaml", "P395", "a file of YAML, JSON or TOML"),
    "no form": ("config: v3.yaml", "config: »v3.ini", "P395", "a file of YAML, JSON or TOML"),
    "no config": ("{version: v3, config: v3.yaml}", "»v3", "P395", "config: FILE"),
    "another form": ("config: v3.yaml", "config: »v3.json", "P395", "write both in the form"),
    "another suffix": ("path: live.yaml", "path: »live.json", "P395", "suffix of v1.yaml"),
    "misspelt": ("path: flow.fast", "path: »flow.fats", "P396", "did you mean 'flow.fast'?"),
    "twice": ("path: flow.slow", "path: »flow.fast", "P396", "name it once"),
    "part of another": ("path: flow.mode", "path: »flow", "P396", "name it once"),
    "not named": ("    »rules:", "", "P396", "add {path: limits.position, curve: linear}, or"),
    "no number": ("flow.fast, curve", "limits, curve", "P397", "name what is in it, or"),
    "text on a curve": ("flow.mode, switch_at: 50%", "flow.mode, curve: »log", "P397", "switch_at"),
    "off the tick": ("tick: 50}", "tick: »300}", "P397", "both must be multiples"),
    "no way": ("{path: flow.fast, curve: linear", "»{path: flow.fast", "P397", "`curve`, anything"),
    "two ways": ("mode, switch_at: 50%", "mode, curve: log, »switch_at: 50%", "P397", "`curve`"),
    "at the start": ("switch_at: 50%", "switch_at: »0%", "P397", "more than 0%"),
    "how many steps": ("flow.fast, curve: linear", "flow.fast, curve: »steps", "P397", "steps: 4"),
    "steps of a line": ("fast, curve: linear", "fast, curve: linear, »steps: 4", "P344", "leave"),
    "tick of a switch": ("switch_at: 50%}", "switch_at: 50%, »tick: 1}", "P344", "leave it out"),
    "unknown in a constraint": ("- flow.fast <", "- »flow.fsat <", "P202", "mean 'flow.fast'?"),
    "a function": ("flow.fast < flow.slow", "»better(flow.fast)", "P201", "compare parameters"),
    "no parameter": ("flow.fast < flow.slow", "»1 < 2", "P204", "one side must be PARAMETER"),
    "it breaks": ("flow.fast < flow.slow", "»flow.fast < 30", "P398", "at every point"),
    "it is no number": ("flow.fast < flow.slow", "»flow.mode < 30", "P398", "baseline's own file"),
    "over nowhere": ("over: 1h\n    stages: [sync]", "»over: 1h", "P399", "add `stages: [sync]`"),
    "over too long": ("over: 1h", "over: »4h", "P399", "a later deadline"),
    "in watch": ("stages: [sync]", "stages: [sync, »watch]", "P399", "before promotion"),
    "in no stage": ("stages: [sync]", "stages: [»snyc]", "P301", "did you mean 'sync'?"),
    "started later": ("restart: sync", "restart: »ramp", "P399", "restart: sync"),
    "over nothing": ("over: 1h", "over: »0s", "P345", "write a duration"),
    "within nothing": ("within: 5m", "within: »0s", "P345", "write a duration"),
    "back in nothing": ("over: 10m", "over: »0s", "P345", "write a duration"),
    "asked twice": ("by: [engine]", "by: [engine, »engine]", "P302", "name it once"),
    "stages of a share": ("over: 1h\n    stages", "»stages", "P344", "add `over: 2h`"),
}  # fmt: skip


def load(text: str, directory: Path) -> LoadedPolicy:
    path = write_files(directory)
    (directory / "v3.json").write_text('{"flow": {}}')
    (directory / "v3.ini").write_text("[flow]")
    return load_text(text, path, {})


def test_the_policy_they_are_made_of_is_good(tmp_path: Path) -> None:
    assert load(POLICY, tmp_path).findings == ()
    assert load(SHARED, tmp_path).findings == ()


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_at_its_place_with_a_remedy(name: str, tmp_path: Path) -> None:
    old, new, code, hint = CASES[name]
    if name == "not named":
        text = POLICY.replace("    rest: {switch_at: 100%}\n", "").replace("    rules:", old)
    elif name == "no number":
        text = POLICY.replace("flow.fast, curve: linear", "limits, curve: »linear")
    elif name == "stages of a share":
        text = POLICY.replace(old, new).replace("    changes: 20\n", "")
    else:
        assert POLICY.count(old) == 1, old
        text = POLICY.replace(old, new)
    place = marked(text)
    findings = load(place.text, tmp_path).findings
    told = [str(finding) for finding in findings]
    here = [f for f in findings if (f.code, f.line, f.column) == (code, place.line, place.column)]
    assert len(here) == 1, told
    assert hint in here[0].hint, told


def test_nowhere_to_publish_is_told(tmp_path: Path) -> None:
    text = POLICY.replace("  live: {type: config, path: live.yaml}\n", "")
    (finding,) = load(text, tmp_path).findings
    assert (finding.code, finding.line) == ("P395", 12)
    assert "type: config" in finding.hint


def test_a_constraint_that_breaks_part_way_says_where_and_with_which_values(tmp_path: Path) -> None:
    """fast goes from 10 to 60 and slow stays at 30 to the end: the ends are fine."""
    text = POLICY.replace("flow.slow, curve: linear", "flow.slow, switch_at: 100%")
    (finding,) = load(text, tmp_path).findings
    assert finding.code == "P398"
    assert finding.message == (
        "flow.fast < flow.slow breaks at 40% of the way: flow.fast is 30, flow.slow is 30"
    )


def test_many_differences_are_one_finding(tmp_path: Path) -> None:
    path = write_files(tmp_path)
    for name, base in (("v1", 0), ("v3", 1)):
        lines = [f"k{n}: {base}" for n in range(12)]
        (tmp_path / f"{name}.yaml").write_text("\n".join(lines))
    start, end = POLICY.index("    rules:"), POLICY.index("    acknowledge:")
    found = load_text(POLICY[:start] + "    rules: []\n" + POLICY[end:], path, {}).findings
    (finding,) = found
    assert "k0: 0 and 1; k1: 0 and 1;" in finding.message
    assert finding.message.endswith("and 2 more")


def test_a_policy_that_runs_already_is_not_asked_about_its_files(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    assert not load_text(POLICY, path, {}).ok
    assert load_text(POLICY, path, {}, keep_unset=True).ok


def test_no_edit_of_the_way_takes_over_by_itself(tmp_path: Path) -> None:
    before, after = load(POLICY, tmp_path), load(POLICY.replace("over: 1h", "over: 2h"), tmp_path)
    assert before.policy is not None and after.policy is not None
    edit = classify(before.policy, after.policy)
    assert not edit.safe
    assert edit.words[0].startswith("transition")


def test_the_points_are_those_of_the_changes_or_of_the_stages(tmp_path: Path) -> None:
    found = []
    for text in (POLICY.replace("changes: 20", "changes: 3"), SHARED):
        policy = load(text, tmp_path).policy
        assert policy is not None and policy.transition.parameters is not None
        told = points(policy, policy.transition.parameters)
        found.append([int(point * UNITS) for point in told])
    assert found == [[0, 33_333, 66_667, 100_000], [0, 25_000, 50_000, 100_000]]


# Constraints --------------------------------------------------------------------------------

ENDS = st.tuples(st.integers(1, 60), st.integers(1, 60))
SHAPES = st.sampled_from(
    [Curve("linear"), Curve("smoothstep"), Curve("log"), Curve("logistic", steepness=6.0),
     Curve("steps", steps=3), Fraction(1, 2), Fraction(1)]
)  # fmt: skip


@given(ENDS, ENDS, SHAPES, SHAPES, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_a_constraint_agrees_with_reckoning_it_at_every_point(
    fast: tuple[int, int],
    slow: tuple[int, int],
    one: Curve | Fraction,
    other: Curve | Fraction,
    sign: str,
) -> None:
    start, end = ({"fast": fast[n], "slow": slow[n], "risk": 0.1} for n in (0, 1))
    way = Interpolation(start, end, [Rule("fast", one), Rule("slow", other)], None)
    text = f"fast * 2 {sign} slow + risk * 10 or not fast / 2 {sign} slow"
    tree = parse_constraint(text, way.paths)
    for number in range(21):
        progress = Fraction(number, 20)
        values = way.tree(progress)
        scope = {name: Fraction(str(value)) for name, value in values.items()}
        wanted = eval(text, {"__builtins__": {}}, scope)  # noqa: S307 (the test's own text)
        assert holds(tree, values.__getitem__) is wanted
        assert all(way.value(name, progress) == values[name] for name in values)


def test_numbers_are_compared_as_they_are_written() -> None:
    tree = parse_constraint("a + b == 0.3 and a <= 10%", ["a", "b"])
    assert holds(tree, {"a": 0.1, "b": 0.2}.__getitem__)


def test_a_division_by_nothing_breaks_it() -> None:
    assert not holds(parse_constraint("1 / a < 5", ["a"]), {"a": 0}.__getitem__)


def test_what_is_no_number_is_told_wherever_it_stands() -> None:
    with pytest.raises(NoNumber):
        holds(parse_constraint("a < 5 or b < 5", ["a", "b"]), {"a": 1, "b": True}.__getitem__)


def test_a_constraint_has_a_limit() -> None:
    with pytest.raises(ConditionError, match="P206"):
        parse_constraint("a < 1 and " * 60 + "a < 1", ["a"])


def test_the_files_of_these_tests_differ_everywhere() -> None:
    assert FLOW_1 != FLOW_3
