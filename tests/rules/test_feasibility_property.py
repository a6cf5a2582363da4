"""What is reckoned before the start is what the judge will say: held on simulated observations. And
more of anything never makes a policy less feasible."""

from collections.abc import Callable
from datetime import timedelta
from math import sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.marked import load
from support.traffic import changed, context, effect, gated, look

from controller.core.bounds import bounds
from controller.core.calendar import EPOCH
from controller.core.measurement import Contrast, Side
from controller.judge.growing import Dependence, GrowingSet
from controller.judge.ranks import mann_whitney
from controller.judge.window import Observation
from controller.policy.checks.shortfalls import shortfalls
from controller.policy.checks.traffic import evidence_of
from controller.policy.evidence import Evidence, Spread

ALPHA = 0.05
START = EPOCH + timedelta(days=20_000)
PER_SECOND = 4000 / 3600
Values = Callable[[Random, int], tuple[float, float]]


def grown(
    values: Values, seconds: int, share: float, dependence: Dependence, *, keyed: bool = False
) -> GrowingSet:
    """What the judge has summed up after `seconds` of 4,000 an hour, of which the candidate gets
    the `share`; `keyed`: both get all, under the same keys."""
    random = Random(20260302)
    found = GrowingSet(("v3", "v1"), "mean(x)", START, dependence)
    for number in range(round(seconds * PER_SECOND)):
        at = START + timedelta(seconds=(number + 1) / PER_SECOND)
        key = f"k{number}" if keyed else None
        mine, other = values(random, number)
        candidate = random.random() < share
        if keyed or candidate:
            found.add(Observation("v3", at, {"x": mine}, None, key), None)
        if keyed or not candidate:
            found.add(Observation("v1", at, {"x": other}, None, key), None)
    return found


def half_width(found: GrowingSet, seconds: int, ratio: float = 1.0) -> float:
    bounded = bounds(found.contrast(START + timedelta(seconds=seconds + 1)), ratio, ALPHA)
    assert bounded is not None and bounded.upper is not None
    return bounded.upper - bounded.value


def independent(random: Random, number: int) -> tuple[float, float]:
    del number
    return random.gauss(0, 40), random.gauss(0, 40)


def right_or_wrong(random: Random, number: int) -> tuple[float, float]:
    del number
    return float(random.random() < 0.85), float(random.random() < 0.85)


def in_common(random: Random, number: int) -> tuple[float, float]:
    del number
    shared = random.gauss(0, 40 * sqrt(0.9))
    own = 40 * sqrt(0.1)
    return shared + random.gauss(0, own), shared + random.gauss(0, own)


@pytest.mark.parametrize("hours", [1, 6])
@pytest.mark.parametrize("dependence", ["independent", "hac", "30m"])
def test_the_bounds_of_two_sides_are_as_wide_as_was_reckoned(dependence: str, hours: int) -> None:
    held: Dependence = timedelta(minutes=30) if dependence == "30m" else dependence  # type: ignore[assignment]
    text = changed(("sd: 40", f"sd: 40, dependence: {dependence}"))
    reckoned = effect(text, "not_worse(pnl").shown(3600.0 * hours)
    if reckoned is None:
        assert (dependence, hours) == ("30m", 1)
        return

    judged = half_width(grown(independent, 3600 * hours, 0.05, held), 3600 * hours)

    # Few bars tell little of how much they vary, and a long-run variance of few not much either.
    room = {"independent": 0.08, "hac": 0.25, "30m": 0.5}[dependence]
    assert judged == pytest.approx(reckoned, rel=room)


def test_the_bounds_of_a_ratio_at_its_limit_are_as_wide_as_was_reckoned() -> None:
    text = changed(("min_samples: 100, better: higher}", "min_samples: 100, better: higher, "
                    "dependence: independent}"))  # fmt: skip
    reckoned = effect(text, "not_worse(accuracy").by_deadline

    judged = half_width(grown(right_or_wrong, 6 * 3600, 0.05, "independent"), 6 * 3600)

    assert judged == pytest.approx(reckoned, rel=0.08)


def test_the_bounds_of_pairs_are_as_wide_as_was_reckoned() -> None:
    mirrored = ("mirror: true, hold: 30m", "mirror: true, hold: 30m, advance: [better(pnl)]")
    known = Evidence(
        PER_SECOND,
        spreads={"pnl": Spread(40, "measured", correlation=0.9)},
        rates={"metric:pnl": PER_SECOND},
        told="a file",
    )
    reckoned = effect(changed(mirrored), "better(pnl)", "shadow", known).by_deadline

    seconds = 90 * 60
    judged = half_width(grown(in_common, seconds, 0, "independent", keyed=True), seconds)

    assert judged == pytest.approx(reckoned, rel=0.05)


def test_a_shift_of_ranks_is_seen_from_about_the_size_that_was_reckoned() -> None:
    text = changed(("weight: 5%", "weight: 50%"), gated("'mann_whitney(pnl, tolerance: 0%)'"))
    reckoned = effect(text, "mann").by_deadline
    random = Random(7)

    widths = []
    for _ in range(40):
        one, other = ([random.gauss(0, 40) for _ in range(200)] for _ in range(2))
        found = mann_whitney(one, other)
        widths.append((found.upper - found.lower) / 2)

    assert sum(widths) / len(widths) == pytest.approx(reckoned, rel=0.015)


def passes(seconds: float, margin: float) -> float:
    """The part of versions that are alike that a `not_worse` lets pass at one look."""
    random = Random(11)
    counts = [round(seconds * PER_SECOND * share) for share in (0.05, 0.95)]

    def side(count: int) -> Side:
        variance = 1600 * (1 + random.gauss(0, sqrt(2 / count)))
        return Side(random.gauss(0, 40 / sqrt(count)), count, variance, variance / count)

    found = [bounds(Contrast(side(counts[0]), side(counts[1])), 1.0, ALPHA) for _ in range(1000)]
    lower = [each.lower for each in found if each is not None and each.lower is not None]
    return sum(low > -margin for low in lower) / 1000


def test_half_of_the_versions_that_are_alike_pass_when_it_was_reckoned_and_most_later() -> None:
    found = effect(changed(), "not_worse(pnl")
    assert found.decided is not None and found.margin is not None
    seconds = found.decided.total_seconds()

    assert passes(seconds / 2, found.margin) < 0.25
    assert 0.45 < passes(seconds, found.margin) < 0.55
    assert passes(seconds * 3, found.margin) > 0.9


# More is never less -------------------------------------------------------------------------

lines = st.sampled_from([
    "candidate.accuracy >= 85%",
    "candidate.pnl >= 1.1 * baseline.pnl",
    "better(pnl)",
    "'not_worse(pnl, margin: 3 USD)'",
    "'not_worse(accuracy, margin: 2%)'",
    "'not_worse(accuracy, than: 85%, margin: 2%)'",
    "mann_whitney(pnl)",
    "split_as_asked(signals)",
])  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> str:
    """Policies whose traffic is written `TRAFFIC`."""
    sample = draw(st.sampled_from([0, 5, 30, 100, 250]))
    deadline = draw(st.sampled_from(["2h", "6h", "9d"]))
    dependence = draw(st.sampled_from(["hac", "independent", "10m", "2h"]))
    window = draw(st.sampled_from(["30m", "stage", "session", "rollout"]))
    return changed(
        ("traffic: 4000/h", "traffic: TRAFFIC/h"),
        ("weight: 5%", f"weight: {draw(st.sampled_from([0.5, 5, 30, 50, 80]))}%"),
        ("unit: USD, min_samples: 100, better: higher, sd: 40",
         f"unit: USD, min_samples: {sample}, better: higher, window: {window}, "
         f"sd: {draw(st.sampled_from([1, 40, 500]))}, dependence: {dependence}"),
        gated(*draw(st.lists(lines, min_size=1, max_size=4, unique=True))),
        ("deadline: {after: 6h}", f"deadline: {{after: {deadline}}}"),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(policies(), st.integers(1, 50_000), st.floats(1, 50))
def test_more_traffic_never_makes_a_policy_less_feasible(
    text: str, traffic: int, times: float
) -> None:
    less = text.replace("TRAFFIC", str(traffic))
    more = text.replace("TRAFFIC", f"{traffic * times:.2f}")

    few, many = (context(each) for each in (less, more))
    short = [{tuple(one.where) for one in shortfalls(each, evidence_of(each))}
             for each in (few, many)]  # fmt: skip

    assert short[1] <= short[0]
    for before, after in zip(look(less), look(more), strict=True):
        for one, other in zip(before.rules, after.rules, strict=True):
            for little, much in zip(one.samples, other.samples, strict=True):
                assert much.by_deadline >= little.by_deadline * (1 - 1e-9)
            for wide, narrow in zip(one.effects, other.effects, strict=True):
                if wide.by_deadline is not None:
                    assert narrow.by_deadline is not None
                    assert narrow.by_deadline <= wide.by_deadline * (1 + 1e-3)


@settings(max_examples=40, deadline=None)
@given(policies(), st.integers(10, 50_000), st.floats(60, 1e6), st.floats(1, 10))
def test_more_time_never_shows_less(text: str, traffic: int, seconds: float, times: float) -> None:
    for outlook in look(text.replace("TRAFFIC", str(traffic))):
        for rule in outlook.rules:
            for found in rule.effects:
                soon, late = found.shown(seconds), found.shown(seconds * times)
                if soon is not None:
                    assert late is not None
                    assert late <= soon * (1 + 1e-3)


@settings(max_examples=40, deadline=None)
@given(policies(), st.integers(1, 50_000))
def test_a_gate_is_short_of_nothing_that_is_said_to_be_enough(text: str, traffic: int) -> None:
    written = text.replace("TRAFFIC", str(traffic))
    codes = {finding.code for finding in load(written).findings}
    canary = look(written)[1]

    few = any(not found.enough for rule in canary.rules for found in rule.samples)

    assert few == ("P338" in codes)
