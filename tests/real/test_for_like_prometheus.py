"""`for` fires when Prometheus's does: random series through both, compared at every minute."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import T0, plan_of

from controller.core.decide import decide
from controller.core.event import Acknowledgement, Command, Tick
from controller.core.measurement import Measurement
from controller.core.state import State

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        shutil.which("promtool") is None,
        reason="promtool is missing: apt-get install prometheus",
    ),
]

LIMIT = 5.0
MINUTE = timedelta(minutes=1)
GAP, NAN = "stale", "NaN"
"""As promtool writes a series that is absent, and a value that is no number."""


@dataclass(frozen=True)
class Rule:
    """One alert: fires when the series is above the limit for so many minutes."""

    minutes: int
    series: tuple[str, ...]


def rules(*values: str) -> st.SearchStrategy[list[Rule]]:
    """Several rules over series of one length: runs of the same value, as bad times are."""
    runs = st.lists(st.tuples(st.sampled_from(values), st.integers(1, 7)), min_size=6, max_size=6)

    def rule(minutes: int, found: list[tuple[str, int]]) -> Rule:
        series = [value for value, length in found for _ in range(length)]
        return Rule(minutes, (*series, *["1"] * (42 - len(series))))

    return st.lists(st.builds(rule, st.integers(0, 6), runs), min_size=1, max_size=20)


def fired_here(rule: Rule, unknown: str = "") -> list[bool]:
    """Minute by minute, decided tick by tick."""
    how = f", for: {rule.minutes}m" if rule.minutes else ""
    plan = plan_of(
        "rollout: alone\nbaseline: v1\ncandidate: v2\nschedule: {tick: 1m}\n"
        "sources: {s: {type: push}}\nmetrics: {m: {source: s, value: max(x), window: 1m}}\n"
        "stages: [{name: long, weight: 100%, hold: 60d}]\ntriggers:\n"
        f"  - {{name: t, when: candidate.m > 5, severity: low, then: hold, escalate_after: 50d"
        f"{how}{unknown}}}\n"
    )
    start = T0 - MINUTE
    state = decide(plan, State("alone", plan.digest), Command("start", "ann"), start).state
    for key in state.unacknowledged:
        state = decide(plan, state, Acknowledgement(key, ok=True), start).state
    fired = []
    for minute, value in enumerate(rule.series):
        missing = Measurement(status="no_data")
        found = missing if value == GAP else Measurement(value=float(value), samples=1)
        state = decide(plan, state, Tick({"candidate.m": found}), T0 + minute * MINUTE).state
        fired.append(bool(state.firing))
    return fired


def assert_prometheus_fires(found: Sequence[Rule], fired: Sequence[Sequence[bool]]) -> None:
    """`promtool test rules` expects of every rule, at every minute, what was seen here."""
    alerts = "".join(
        f"  - alert: T{number}\n    expr: m{number} > {LIMIT}\n    for: {rule.minutes}m\n"
        for number, rule in enumerate(found)
    )
    series = "".join(
        f"  - {{series: m{number}, values: '{' '.join(rule.series)}'}}\n"
        for number, rule in enumerate(found)
    )
    expected = "".join(
        f"  - {{eval_time: {minute}m, alertname: T{number}, exp_alerts: [{'{}' * fires}]}}\n"
        for number, minutes in enumerate(fired)
        for minute, fires in enumerate(minutes)
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(f"groups:\n- name: all\n  rules:\n{alerts}")
        (folder / "test.yml").write_text(
            "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n"
            f"  input_series:\n{series}  alert_rule_test:\n{expected}"
        )
        done = subprocess.run(
            ["promtool", "test", "rules", str(folder / "test.yml")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@settings(max_examples=25, deadline=None)
@given(rules("1", "5", "9"))
def test_a_series_without_gaps_fires_at_the_minutes_at_which_prometheus_fires(
    found: list[Rule],
) -> None:
    assert_prometheus_fires(found, [fired_here(rule) for rule in found])


@settings(max_examples=25, deadline=None)
@given(rules("1", "9", GAP, NAN))
def test_with_gaps_that_reset_it_fires_at_the_minutes_at_which_prometheus_fires(
    found: list[Rule],
) -> None:
    fired = [fired_here(rule, ", unknown: {no_data: reset}") for rule in found]
    assert_prometheus_fires(found, fired)


@settings(max_examples=25, deadline=None)
@given(rules("1", "9", "9", GAP, NAN))
def test_by_default_it_fires_as_prometheus_does_on_the_series_without_its_gaps(
    found: list[Rule],
) -> None:
    """A look that measured nothing is as if it had not been, and changes nothing itself."""
    closed, fired = [], []
    for rule in found:
        known = [minute for minute, value in enumerate(rule.series) if value not in (GAP, NAN)]
        here = fired_here(rule)
        closed.append(Rule(rule.minutes, tuple(rule.series[minute] for minute in known)))
        fired.append([here[minute] for minute in known])
        for minute in range(1, len(here)):
            assert minute in known or here[minute] == here[minute - 1]
    assert_prometheus_fires(closed, fired)


def test_the_comparison_sees_a_difference_of_one_minute() -> None:
    rule = Rule(3, ("1", "9", "9", "9", "9", "1"))
    fired = fired_here(rule)
    assert fired == [False, False, False, False, True, False]
    assert_prometheus_fires([rule], [fired])
    with pytest.raises(AssertionError, match="exp"):
        assert_prometheus_fires([rule], [[False, False, False, True, True, False]])
