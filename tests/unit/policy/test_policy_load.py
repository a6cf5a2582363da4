"""Loading: YAML as people write it, hostile YAML, variables, places."""

import hashlib
import os
from pathlib import Path

import pytest
from support.marked import GOOD, edited, load, marked, only_finding

from controller.policy import document
from controller.policy.expression import Combine, Compare, Versus
from controller.policy.load import load_policy, load_text

DESIGN = """\
# yaml-language-server: $schema=./policy.schema.json
rollout: ifd-v3
description: Institutional Flow Detection 1.0 to 3.0, NQ options signals
owner: quant-desk
baseline: ifd-1.0
candidate: ifd-3.0

schedule:
  tick: 15s
  calendar: CMES            # exchange_calendars code; durations count open time only
  freeze: [{name: fomc, from: 2026-03-18T17:30Z, to: 2026-03-18T20:00Z}]

sources:
  signals: {type: push}
  ops: {type: sql, database: "${OPS_DATABASE}"}

metrics:
  accuracy:   {source: signals, value: mean(correct), window: 30m, min_samples: 100, better: higher}
  error_rate: {source: signals, value: ratio(failed), window: 30m, min_samples: 100, better: lower}
  latency:    {source: ops, query: 'select ms as value from t where v = $version', unit: ms, better: lower}
  p99:        {source: signals, value: quantile(latency, 99%), unit: ms}
  drawdown:   {source: signals, value: max_drawdown(pnl), window: session, capital: 1_000_000}

stages:
  - {name: shadow,  weight: 0%, mirror: true, hold: 4h}
  - {name: canary,  weight: 5%, hold: 1h, advance: &gate [
       candidate.accuracy >= 0.85,
       candidate.error_rate <= 5%,
       candidate.latency <= 2000ms,
       not_worse(accuracy, margin: 2%)],                  # anytime-valid, paired
     deadline: {after: 6h, then: rollback}}
  - {name: ramp, weights: [25%, 50%, 75%], hold: 2h, advance: *gate, approval: {by: risk, within: 8h, else: rollback}}
  - {name: full, weight: 100%, hold: 4h, against: frozen_baseline}
  - {name: watch, weight: 100%, hold: 5d}                 # after promotion, still one step from back

triggers:
  - {name: loss,     when: candidate.drawdown > 1%,    severity: critical}          # hard limit: no samples, no delay
  - {name: errors,   when: candidate.error_rate > 10%, severity: high, confirm: 3 of 5}
  - {name: stale,    when: signals.silent > 2m,        severity: medium, then: hold, escalate_after: 10m}
  - {name: worse,    when: not not_worse(accuracy, margin: 20%), severity: low, stages: [canary]}

rollback:
  plan: [baseline_traffic, restore, verify]
  deadline: 30s
  verify_after: 5m
  cooldown: 60m
  lock: {after: 3, per: 1h}        # locks re-promotion; never refuses the way back
"""  # noqa: E501


def test_the_policy_of_the_design_loads_as_written() -> None:
    loaded = load(DESIGN, OPS_DATABASE="ops.db")

    assert loaded.ok, [str(finding) for finding in loaded.findings]
    assert loaded.policy is not None
    assert [len(loaded.gates[name]) for name in ("shadow", "canary", "ramp")] == [0, 4, 4]
    assert isinstance(loaded.gates["canary"][3], Versus)
    assert loaded.policy.sources["ops"].database == "ops.db"  # type: ignore[union-attr]
    assert loaded.policy.metrics["p99"].value == "quantile(latency, 99%)"


@pytest.mark.parametrize(
    "gate",
    [
        "advance: [not_worse(accuracy, margin: 2%), candidate.accuracy >= 85%]",
        "advance: [not_worse(accuracy, margin: 2%) and better(accuracy, by: 1%), "
        "candidate.accuracy >= 85%]",
        "advance: ['not_worse(accuracy, margin: 2%)', \"candidate.accuracy >= 85%\"]",
        "advance:\n      - not_worse(accuracy, margin: 2%)\n      - candidate.accuracy >= 85%",
        "advance:\n      - >-\n        not_worse(accuracy,\n        margin: 2%)\n"
        "      - |\n        candidate.accuracy\n          >= 85%",
    ],
    ids=["flow", "two calls in one", "quoted", "block", "block scalars"],
)
def test_a_call_may_stand_unquoted_in_every_style(gate: str) -> None:
    text = edited(
        "advance:\n      - candidate.accuracy >= 85%\n      - candidate.latency <= 2000ms", gate
    )

    loaded = load(text)

    assert loaded.ok, [str(finding) for finding in loaded.findings]
    first, second = loaded.gates["canary"]
    assert isinstance(first, Versus | Combine) and isinstance(second, Compare)


def test_what_looks_like_a_call_in_a_text_stays_as_it_is() -> None:
    text = edited("owner: desk", "owner: 'f(a, b: c)'\ndescription: see g(x, y: z), and more")

    policy = load(text).policy

    assert policy is not None
    assert policy.owner == "f(a, b: c)"
    assert policy.description == "see g(x, y: z), and more"


def test_parentheses_across_two_quoted_values_do_not_join_them() -> None:
    text = edited("{type: push}", '{type: push, directory: "f("}')

    assert load(text.replace("tables: {t: t.csv}", 'tables: {t: "a(", u: "b)"}')).ok


@pytest.mark.parametrize(
    "line",
    [
        "      - candidate.»wrong <= 1",
        "      - 'candidate.»wrong <= 1'",
        '      - "candidate.»wrong <= 1"',
        "      - candidate.accuracy > 0.1 and\n        candidate.»wrong <= 1",
        "      - >-\n        candidate.accuracy > 0.1 and\n        candidate.»wrong <= 1",
        "      - |\n\n        candidate.accuracy > 0.1\n\n          and candidate.»wrong <= 1",
        "      - not_worse(»wrong, margin: 2%)",
    ],
    ids=["plain", "single", "double", "plain in two lines", "folded", "literal", "call"],
)
def test_a_finding_points_at_the_character_in_the_file(line: str) -> None:
    text = edited("      - candidate.latency <= 2000ms", line)

    finding, place = only_finding(text)

    assert (finding.line, finding.column) == (place.line, place.column)


def test_a_finding_in_an_escaped_text_points_at_its_beginning() -> None:
    line = r'      - »"candidate.\x77rong <= 1"'

    finding, place = only_finding(edited("      - candidate.latency <= 2000ms", line))

    assert (finding.line, finding.column) == (place.line, place.column)


def test_a_condition_shared_by_alias_is_found_once() -> None:
    finding, place = only_finding(DESIGN.replace("candidate.latency <=", "candidate.»latenzy <="),
                                  OPS_DATABASE="ops.db")  # fmt: skip

    assert (finding.code, finding.line) == ("P202", place.line)


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("restart: canary", "restart: canry").replace("drawdown > 1%", "drawdwn > 1")

    codes = [finding.code for finding in load(text.replace("weight: 5%", "weight: 80%")).findings]

    assert codes == ["P312", "P312", "P202", "P301"]


# hostile ------------------------------------------------------------------------------------


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"

    finding = load(bomb).findings[0]

    assert (finding.code, "aliases" in finding.message) == ("P002", True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "P005"),
        ("# nothing\n", "P005"),
        ("[" * 51 + "]" * 51, "P002"),
        ("a: " + "x" * document.MAX_BYTES, "P002"),
        ("a: é" + "é" * (document.MAX_BYTES // 2), "P002"),
        ("[" + "a, " * 20_001 + "]", "P002"),
        ("- " * 51 + "a", "P002"),
        ("a: \x00", "P003"),
        ("a: \ud800", "P003"),
        ('a: "\\U99999999"', "P004"),
        ("a: 'b", "P004"),
        ("? [a]\n: b\n", "P004"),
        ("%YAML 9999999999999999999.1\n---\na: b\n", "P004"),
        ("just text", "P103"),
        ("- a\n- b\n", "P103"),
        ("a: *a", "P004"),
        ("rollout: 1" + "0" * 5000, "P009"),
    ],
)
def test_what_is_no_policy_is_a_finding_never_a_crash(text: str, code: str) -> None:
    loaded = load(text)

    assert not loaded.ok
    assert code in {finding.code for finding in loaded.findings}


def test_a_file_of_another_encoding_is_a_finding_at_its_first_strange_byte(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"rollout: a\nowner: caf\xe9\n")

    (finding,) = load_policy(path, {}).findings

    assert (finding.code, finding.line, finding.column) == ("P003", 2, 11)


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path, Path("nul\0byte.yaml")):
        loaded = load_policy(path, {})

        assert [finding.code for finding in loaded.findings] == ["P001"]
        assert not loaded.ok and loaded.policy is None


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)

    (finding,) = load_policy(path, {}).findings

    assert finding.code == "P001" and "not a file" in finding.message


def test_no_more_than_the_limit_is_read_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"# \xc3\xa9\n" * document.MAX_BYTES)

    (finding,) = load_policy(path, {}).findings

    assert finding.code == "P002"


# variables ----------------------------------------------------------------------------------


def test_a_variable_is_filled_in_and_a_default_stands_in_for_it() -> None:
    text = edited("{t: t.csv}", "{t: '${DIR}/t.csv', u: '${OTHER:-b}.csv', w: '${EMPTY:-c}.csv'}")

    policy = load(text, DIR="data", EMPTY="").policy

    assert policy is not None
    assert policy.sources["files"].tables == {  # type: ignore[union-attr]
        "t": "data/t.csv", "u": "b.csv", "w": "c.csv",
    }  # fmt: skip


def test_the_digest_is_of_the_text_as_written() -> None:
    text = edited("owner: desk", "owner: ${DESK}")

    one, other = load(text, DESK="a"), load(text, DESK="b")

    assert one.digest == other.digest == hashlib.sha256(text.encode()).hexdigest()
    assert one.policy != other.policy


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())

    loaded = load_policy(path, {})

    assert loaded.ok, [str(finding) for finding in loaded.findings]
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        ("{type: push}", "{type: '${SECRET}'}"),
        ("tables: {t: t.csv}", "timeout: '${SECRET}'"),
        ("candidate: v3", "candidate: '${SECRET}'"),
        ("owner: desk", "owner: '${SECRET}'"),
        ("tables: {t: t.csv}", "tables: '${SECRET}'"),
    ],
)
def test_no_finding_shows_the_value_of_a_variable(changed: tuple[str, str]) -> None:
    secret = "hunter2-" * 300
    text = edited(*changed).replace("baseline: v1", "baseline: '${SECRET}'")

    findings = load(text, SECRET=secret).findings

    assert findings
    assert not any("hunter2" in str(finding) for finding in findings)


def test_a_version_that_is_the_same_by_variable_is_found_without_its_value() -> None:
    text = edited("baseline: v1\ncandidate: v3", "baseline: '${V}'\ncandidate: »'${V}'")

    finding, place = only_finding(text, V="hunter2")

    assert (finding.code, finding.column) == ("P304", place.column)
    assert "hunter2" not in str(finding)


# what is read -------------------------------------------------------------------------------


def test_numbers_with_underscores_and_times_without_seconds_are_read() -> None:
    loaded = load(DESIGN, OPS_DATABASE="ops.db")

    assert loaded.policy is not None
    assert loaded.policy.metrics["drawdown"].capital == 1_000_000
    assert loaded.policy.schedule.freeze[0].start.isoformat() == "2026-03-18T17:30:00+00:00"


def test_a_version_is_a_name_or_a_name_with_its_configuration() -> None:
    text = edited("candidate: v3", "candidate: {version: v3, config: configs/v3.json}")

    policy = load(text).policy

    assert policy is not None
    assert (policy.baseline.version, policy.baseline.config) == ("v1", None)
    assert (policy.candidate.version, policy.candidate.config) == ("v3", "configs/v3.json")


def test_the_shipped_policies_are_clean() -> None:
    paths = sorted(Path(__file__).parents[3].glob("policies/*.yaml"))
    policies = [path for path in paths if ".scenarios" not in path.name]

    assert policies
    for path in policies:
        loaded = load_policy(path, {})
        assert loaded.ok, "\n".join(str(finding) for finding in loaded.findings)


def test_the_mark_is_where_the_tests_say() -> None:
    assert marked("a\nb: »c") == type(marked("»"))("a\nb: c", 2, 4)
    assert load_text("", Path("x"), {}).path == Path("x")
