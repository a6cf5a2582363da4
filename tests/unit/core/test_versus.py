"""What comparisons say: pass, fail or not yet, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest
from support.plans import POLICY, Driver, plan_of

from controller.core.decision import Term
from controller.core.event import Acknowledgement
from controller.core.measurement import Contrast, Measurement, Outcome, Pairs, Side
from controller.core.plan import Plan
from controller.policy.condition import parse_condition, write_condition
from controller.policy.names import MetricName, Names
from controller.policy.units import UNITS

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
PASS, FAIL, UNSURE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
LATENCY = "latency: {source: signals, value: mean(ms), unit: ms, window: 5m, better: lower}"


def with_rule(rule: str, **more: str) -> Plan:
    text = POLICY.replace(
        "advance: [candidate.accuracy >= 85%, candidate.errors <= 5%]", f"advance: ['{rule}']"
    )
    text = text.replace("  drawdown:", f"  {LATENCY}\n  drawdown:")
    for old, new in more.items():
        text = text.replace(old, new)
    return plan_of(text)


def said(rule: str, found: Measurement) -> tuple[Outcome, Term]:
    plan = with_rule(rule)
    (key,) = (k for k in plan.references if k.split(".")[0] in rule or found.contrast or "." in k
              if k.partition(".")[0] in ("difference", "estimate", "shift", "split"))  # fmt: skip
    outcome, (term,) = plan.by_name["canary"].checks[0].evaluate({key: found}, T0)
    return outcome, term


def two(
    candidate: float, baseline: float, *, samples: int = 10_000, sd: float = 0.3
) -> Measurement:
    """Both sides' means."""
    sides = [Side(mean, samples, sd * sd, sd * sd / samples) for mean in (candidate, baseline)]
    contrast = Contrast(sides[0], sides[1])
    return Measurement(value=candidate - baseline, samples=samples, contrast=contrast)


@pytest.mark.parametrize(
    ("rule", "candidate", "baseline", "outcome"),
    [
        # half of an interval is about 0.016 here
        ("not_worse(accuracy, margin: 2%)", 0.90, 0.90, PASS),
        ("not_worse(accuracy, margin: 2%)", 0.85, 0.90, FAIL),
        ("not_worse(accuracy, margin: 2%)", 0.88, 0.90, UNSURE),
        ("better(accuracy)", 0.90, 0.85, PASS),
        ("better(accuracy, by: 10%)", 0.90, 0.85, FAIL),
        ("worse(accuracy)", 0.85, 0.90, PASS),
        ("worse(accuracy, by: 5%)", 0.90, 0.90, FAIL),
        ("worse(accuracy, by: 5%)", 0.85, 0.90, UNSURE),
        ("worse(latency, by: 1s)", 5.0, 3.0, PASS),
        ("not_worse(latency, margin: 1s)", 5.0, 3.0, FAIL),
        ("not_worse(latency, margin: 10% of baseline)", 1.05, 1.0, PASS),
        ("not_worse(latency, margin: 10% of baseline)", 1.15, 1.0, FAIL),
        ("not_worse(accuracy, margin: 10% of baseline)", 0.85, 0.90, PASS),
        ("better(latency, by: 10% of baseline)", 0.85, 1.0, PASS),
        ("better(latency, by: 10% of baseline)", 0.95, 1.0, FAIL),
        ("worse(accuracy, by: 10% of baseline)", 0.75, 0.90, PASS),
        ("better(accuracy, than: 85%)", 0.88, 0.0, PASS),
        ("not_worse(accuracy, than: 85%, margin: 2%)", 0.828, 0.0, UNSURE),
        ("not_worse(accuracy, margin: 2%, than: 85%)", 0.80, 0.0, FAIL),
        ("better(latency, than: 2s)", 1.9, 9.0, PASS),
        ("worse(latency, than: 2s)", 2.1, 0.0, PASS),
    ],
)
def test_the_whole_interval_decides(
    rule: str, candidate: float, baseline: float, outcome: Outcome
) -> None:
    assert said(rule, two(candidate, baseline))[0] is outcome


def test_pairs_are_judged_and_told_as_pairs() -> None:
    pairs = Pairs(400, 0.90, 0.88, (0.09, 0.1, 0.0945), (0.0009, 0.001, 0.000945))
    found = Measurement(value=0.02, samples=400, contrast=Contrast(pairs=pairs))
    outcome, term = said("not_worse(accuracy, margin: 2%)", found)
    assert outcome is PASS
    assert term.value == pytest.approx(2.0)
    assert (term.limit, term.unit, term.samples) == (-2.0, "%", 400)
    assert term.independent == pytest.approx(100)
    assert term.lower is not None and term.distance == pytest.approx(term.lower + 2)
    assert "paired, 400 worth 100 independent ones, 95% sure at every look" in term.detail
    assert f"interval {term.lower:.4g} to {term.upper:.4g} %" in term.detail


def test_a_part_of_the_baseline_is_told_in_per_cent_of_it() -> None:
    outcome, term = said("not_worse(latency, margin: 10% of baseline)", two(1.05, 1.0))
    assert (outcome, term.unit, term.limit) == (PASS, "%", -10.0)
    assert term.value == pytest.approx(-5.0)
    assert term.lower is not None and term.upper is not None
    assert -10 < term.lower < -5 < term.upper


def test_a_number_is_told_beside_the_candidates_own_value() -> None:
    _, term = said("not_worse(latency, than: 2000ms, margin: 100ms)", two(1.9, 0.0))
    assert term.operator == "<"
    assert [term.value, term.limit] == pytest.approx([1900, 2100])
    assert term.distance is not None and 0 < term.distance < 200


@pytest.mark.parametrize("baseline", [0.0, -3.0])
def test_a_part_of_nothing_is_no_margin(baseline: float) -> None:
    outcome, term = said("not_worse(latency, margin: 10% of baseline)", two(1.0, baseline))
    assert outcome is Outcome.NO_DATA
    assert "is no margin" in term.detail


def test_no_bounds_and_too_few_are_inconclusive() -> None:
    rule = "not_worse(accuracy, margin: 2%)"
    outcome, term = said(rule, Measurement(value=0.1, samples=500, contrast=Contrast()))
    assert outcome is UNSURE and term.detail.startswith("no bounds")
    alike = Measurement(value=0.0, samples=500, contrast=two(7, 7, sd=0.0).contrast)
    assert said(rule, alike)[0] is UNSURE
    assert said(rule, two(0.9, 0.9, samples=99, sd=1e-6))[0] is UNSURE


# Levels -------------------------------------------------------------------------------------


def width(found: Term) -> float:
    assert found.lower is not None and found.upper is not None
    return found.upper - found.lower


def trigger_width(plan: Plan, number: int = 0) -> float:
    found = {key: two(0.9, 0.9) for key in plan.references}
    return width(plan.triggers[number].evaluate(found, T0)[1][0])


TRIGGER = "triggers:\n  - {name: harm, when: 'worse(accuracy, by: 5%)', severity: high"


def test_each_line_of_a_gate_has_the_whole_level_and_alternatives_share_it() -> None:
    found = {key: two(0.9, 0.9) for key in ("difference.accuracy", "difference.errors")}
    both = "not_worse(accuracy, margin: 2%) {} not_worse(errors, margin: 2%)"
    widths = {}
    for word in ("and", "or"):
        plan = with_rule(both.format(word))
        _, terms = plan.by_name["canary"].checks[0].evaluate(found, T0)
        widths[word] = width(terms[0])
    alone = width(said("not_worse(accuracy, margin: 2%)", two(0.9, 0.9))[1])
    assert widths["and"] == alone < widths["or"]


def test_triggers_share_the_level_over_all_the_steps_that_they_guard() -> None:
    steps = 5  # shadow, canary, ramp-25, ramp-50, watch
    plan = plan_of(POLICY.replace("triggers:", f"{TRIGGER}}}"))
    assert plan.trigger_level == pytest.approx(0.05 / steps)
    named = plan_of(POLICY.replace("triggers:", f"{TRIGGER}, stages: [canary]}}"))
    assert named.trigger_level == 0.05
    assert trigger_width(named) < trigger_width(plan)


def test_the_same_bounds_count_once_whatever_the_margin() -> None:
    again = TRIGGER.replace("harm", "more").replace("5%", "9%").replace("triggers:\n", "")
    plan = plan_of(POLICY.replace("triggers:", f"{TRIGGER}}}\n{again}}}"))
    assert plan.trigger_level == pytest.approx(0.05 / 5)
    other = again.replace("9%", "9% of baseline")
    plan = plan_of(POLICY.replace("triggers:", f"{TRIGGER}}}\n{other}}}"))
    assert plan.trigger_level == pytest.approx(0.05 / 10)


def test_over_the_whole_rollout_a_comparison_counts_once() -> None:
    text = POLICY.replace("triggers:", f"{TRIGGER}}}")
    text = text.replace(
        "value: ratio(correct), window: 5m", "value: ratio(correct), window: rollout"
    )
    assert plan_of(text).trigger_level == 0.05


def test_without_correction_each_comparison_has_the_whole_level() -> None:
    text = POLICY.replace("triggers:", f"{TRIGGER}}}")
    assert plan_of(f"correction: none\n{text}").trigger_level == 0.05


# Ranks and splits -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "low", "high", "outcome"),
    [
        ("", 0.06, 0.12, FAIL),
        ("", -0.12, -0.06, PASS),
        ("", 0.01, 0.12, PASS),
        (", tolerance: 5%", 0.01, 0.12, FAIL),
        (", direction: either", -0.12, -0.06, FAIL),
        (", direction: decrease", 0.06, 0.12, PASS),
    ],
)
def test_the_interval_of_the_shift_beyond_its_tolerance_fails(
    arguments: str, low: float, high: float, outcome: Outcome
) -> None:
    found = Measurement(value=(low + high) / 2, samples=60, lower=low, upper=high)
    assert said(f"mann_whitney(latency{arguments})", found)[0] is outcome


@pytest.mark.parametrize(
    ("direction", "ends", "mean", "outcome"),
    [
        ("increase", (0.06, 0.12), 1.10, FAIL),
        ("increase", (0.06, 0.12), 1.09, PASS),
        ("increase", (0.06, 0.12), None, FAIL),
        ("decrease", (-0.12, -0.06), 0.90, FAIL),
        ("decrease", (-0.12, -0.06), 0.91, PASS),
        ("either", (-0.12, -0.06), 1.5, PASS),
    ],
)
def test_a_shift_within_the_allowed_effect_passes(
    direction: str, ends: tuple[float, float], mean: float | None, outcome: Outcome
) -> None:
    """Where a mean is 0 there is no effect size, and it is not asked for."""
    found = Measurement(value=sum(ends) / 2, samples=60, lower=ends[0], upper=ends[1], mean=mean)
    call = f"mann_whitney(latency, allowed: 10%, direction: {direction})"
    assert said(call, found)[0] is outcome


def test_few_observations_are_not_ranked() -> None:
    found = Measurement(value=0.1, samples=29, lower=0.06, upper=0.12)
    outcome, term = said("mann_whitney(latency)", found)
    assert (outcome, term.min_samples) == (UNSURE, 30)


@pytest.mark.parametrize(
    ("share", "samples", "outcome"),
    [(0.05, 199, UNSURE), (0.05, 200, PASS), (0.06, 2000, PASS), (0.10, 2000, FAIL),
     (1.0, 50, FAIL), (0.0, 2000, FAIL)],
)  # fmt: skip
def test_a_split_is_right_wrong_or_too_small_to_tell(
    share: float, samples: int, outcome: Outcome
) -> None:
    found = Measurement(value=share, samples=samples, mean=0.05)
    judged, term = said("split_as_asked(signals)", found)
    assert judged is outcome
    assert term.limit == 5.0


def test_a_wrong_split_takes_the_rollout_back() -> None:
    rule = "  - {name: split, when: 'not split_as_asked(signals)', severity: high}"
    driver = Driver(plan_of(POLICY.replace("triggers:", f"triggers:\n{rule}")))
    driver.to("canary")
    driver.tick(split__signals=Measurement(value=0.05, samples=4000, mean=0.05))
    assert driver.state.name == "canary"
    driver.tick(split__signals=Measurement(value=0.09, samples=4000, mean=0.05))
    assert driver.state.name.startswith("rolling_back")


def test_where_nothing_is_split_nobody_looks_at_the_split() -> None:
    rule = "  - {name: split, when: 'not split_as_asked(signals)', severity: high}"
    plan = plan_of(POLICY.replace("triggers:", f"triggers:\n{rule}"))
    guarded = {name for name, triggers in plan.guarding.items() if triggers[0].name == "split"}
    assert guarded == {"canary", "ramp-25", "ramp-50"}
    assert plan.trigger_level == pytest.approx(0.05 / 3)


def test_the_split_is_counted_from_the_acknowledgement_of_the_share_on() -> None:
    driver = Driver(plan_of())
    driver.to("canary")
    driver.tick()
    assert driver.state.split_since == driver.state.entered_at
    driver.acknowledges = False
    driver.command("advance")
    driver.tick()
    assert driver.state.name == "ramp-25"
    assert driver.state.split_since is None
    asked = driver.state.unacknowledged
    driver.now += timedelta(minutes=2)
    driver.acknowledges = True
    for key in asked:
        driver.event(Acknowledgement(key, ok=True))
    assert driver.state.split_since == driver.now


NAMES = Names(
    {"latency": MetricName(UNITS["ms"], better="lower")}, frozenset({"ops"}), frozenset({"ops"})
)


@pytest.mark.parametrize(
    "text",
    [
        "worse(latency, by: 20ms)",
        "not_worse(latency, margin: 10% of baseline)",
        "better(latency, by: 0.1 of baseline)",
        "not_worse(latency, margin: 5ms, than: 2s)",
        "mann_whitney(latency, tolerance: 10%, direction: either)",
        "mann_whitney(latency, tolerance: 25%, allowed: 15%, direction: increase)",
        "split_as_asked(ops)",
    ],
)
def test_every_function_is_written_as_it_is_read(text: str) -> None:
    assert write_condition(parse_condition(text, NAMES)) == text
