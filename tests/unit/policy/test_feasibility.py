"""What a rule will have by when, and the smallest effect that it shows, in numbers."""

from datetime import timedelta
from math import log, sqrt

import pytest
from support.marked import load
from support.traffic import changed, effect, gated, rule, samples

from controller.core.bounds import bounds
from controller.core.measurement import Contrast, Pairs, Side
from controller.judge import growing, ranks
from controller.policy import precision
from controller.policy.evidence import Evidence, Spread
from controller.policy.precision import split_evidence

HOUR = timedelta(hours=1)
ALPHA = 0.05


def half(contrast: Contrast, ratio: float = 1.0, alpha: float = ALPHA) -> float:
    """Half the width of the bounds that the core gives."""
    found = bounds(contrast, ratio, alpha)
    assert found is not None and found.upper is not None
    return found.upper - found.value


def side(samples: float, variance: float, worth: float = 1.0) -> Side:
    return Side(0.5, round(samples), variance, variance / (samples * worth))


def evidence(spread: Spread, metric: str = "pnl", rate: float = 4000 / 3600) -> Evidence:
    rates = {f"metric:{metric}": rate, "source:signals": rate}
    return Evidence(rate, None, {metric: spread}, rates, "a file")


def test_the_judge_bounds_nothing_below_the_same_numbers() -> None:
    assert (growing.LEAST, growing.LEAST_DEPENDENT) == (precision.LEAST, precision.LEAST_DEPENDENT)
    assert ranks.NEWEST == precision.NEWEST_RANKED


# Samples ------------------------------------------------------------------------------------


def test_a_window_has_what_its_share_of_the_traffic_brings() -> None:
    found = samples(changed(), "candidate.accuracy")

    assert found.needed == 100
    assert found.by_hold == pytest.approx(100)  # the hold is longer than the window
    assert found.by_deadline == pytest.approx(100)
    assert found.reached is not None
    assert found.reached / timedelta(minutes=30) == pytest.approx(1)
    assert found.enough


def test_what_is_compared_adds_up_until_the_deadline_and_has_the_smaller_side() -> None:
    found = samples(changed(("weight: 5%", "weight: 70%")), "pnl")

    assert found.key == "difference.pnl"
    assert (found.by_hold, found.by_deadline) == pytest.approx((1200, 7200))
    assert found.reached == timedelta(minutes=5)


def test_mirrored_work_is_seen_by_both() -> None:
    mirrored = ("mirror: true, hold: 30m", "mirror: true, hold: 30m, advance: [better(pnl)]")
    found = samples(changed(mirrored), "better(pnl)", "shadow")

    assert found.rate == pytest.approx(4000 / 3600)
    assert found.by_hold == pytest.approx(2000)


def test_a_window_of_the_rollout_has_the_steps_before_as_well() -> None:
    text = changed(("unit: USD,", "unit: USD, window: rollout,"))
    found = samples(text, "pnl")

    assert found.by_hold == pytest.approx(2000 + 200)
    assert found.by_deadline == pytest.approx(3 * 2000 + 1200)
    assert found.reached == timedelta(0)


def test_nothing_is_said_where_nobody_knows_the_traffic() -> None:
    found = rule(changed(("traffic: 4000/h\n", ""), (", sd: 40", "")), "not_worse(pnl")

    assert (found.samples, found.effects) == ((), ())


def test_bars_are_counted_besides_observations() -> None:
    text = changed(("sd: 40", "sd: 40, dependence: 30m"))
    found = rule(text, "not_worse(pnl").samples

    assert [(each.kind, each.needed) for each in found] == [("samples", 100), ("bars", 5)]
    assert found[1].reached == timedelta(hours=2, minutes=30)


def test_a_split_waits_until_the_smaller_side_should_have_ten() -> None:
    found = samples(changed(gated("split_as_asked(signals)")), "split")

    assert (found.kind, found.needed) == ("assignments", 200)
    assert found.reached == timedelta(seconds=30 + 180)


def test_ranks_are_of_the_newest_two_hundred() -> None:
    found = samples(changed(("weight: 5%", "weight: 50%"), gated("mann_whitney(pnl)")), "mann")

    assert found.by_deadline == 200


# Effects ------------------------------------------------------------------------------------


def test_two_sides_show_what_the_bounds_of_the_core_would() -> None:
    found = effect(changed(), "not_worse(pnl")

    for size, hours in ((found.by_hold, 1), (found.by_deadline, 6)):
        contrast = Contrast(side(200 * hours, 1600), side(3800 * hours, 1600))
        assert size == pytest.approx(half(contrast))
    assert found.how == "two sides"


def test_a_ratio_is_taken_to_be_at_its_limit() -> None:
    found = effect(changed(), "not_worse(accuracy")
    variance = 0.85 * 0.15

    assert found.by_deadline == pytest.approx(
        half(Contrast(side(1200, variance), side(22_800, variance)))
    )
    assert found.spread is not None
    assert (found.spread.origin, found.certain) == ("limit", False)


def test_a_ratio_without_a_limit_varies_the_most_it_can_and_nothing_is_found_wrong() -> None:
    text = changed(gated("'not_worse(accuracy, margin: 0.1%)'"))
    found = effect(text, "not_worse(accuracy")

    assert found.spread == Spread(0.5, "worst")
    assert found.undecided
    assert load(text.replace(", sd: 40", "")).findings == ()


def test_a_number_is_compared_with_the_candidate_alone() -> None:
    found = effect(changed(gated("'not_worse(pnl, than: 10 USD, margin: 4 USD)'")), "not_worse")

    assert found.how == "alone"
    assert found.by_deadline == pytest.approx(half(Contrast(side(1200, 1600)), 0.0))


def test_a_margin_that_is_a_part_of_the_baseline_widens_the_baseline_too() -> None:
    known = evidence(Spread(40, "measured", mean=50.0))
    text = changed(gated("'not_worse(pnl, margin: 10% of baseline)'"))
    found = effect(text, "not_worse", evidence=known)

    contrast = Contrast(side(1200, 1600), side(22_800, 1600))
    assert found.by_deadline == pytest.approx(half(contrast, 0.9))
    assert found.margin == pytest.approx(5)


def test_pairs_are_reckoned_with_where_both_see_all_the_work_and_somebody_has_seen_them_pair() -> (
    None
):
    mirrored = ("mirror: true, hold: 30m", "mirror: true, hold: 30m, advance: [better(pnl)]")
    known = evidence(Spread(40, "measured", correlation=0.9, pair_worth=0.5))
    found = effect(changed(mirrored), "better(pnl)", "shadow", known)

    form = (1600.0, 1600.0, 0.9 * 1600)
    count = 2000 * 3
    error = (form[0] / count * 2, form[1] / count * 2, form[2] / count * 2)
    assert found.how == "pairs"
    assert found.by_deadline == pytest.approx(half(Contrast(pairs=Pairs(count, 0, 0, form, error))))
    assert effect(changed(mirrored), "better(pnl)", "shadow").how == "two sides"
    assert effect(changed(), "not_worse(pnl", evidence=known).how == "two sides"


def test_bars_count_as_independent_however_much_is_in_them() -> None:
    found = effect(changed(("sd: 40", "sd: 40, dependence: 30m")), "not_worse(pnl")

    error = 1600 / 1200 + 1600 / 22_800
    assert found.by_deadline == pytest.approx(sqrt(error * 12) * precision.radius(12, ALPHA))
    assert found.by_hold is None  # two bars
    assert not found.certain  # what a bar does to both drops out, nobody knows how much


def test_dependence_that_was_measured_leaves_fewer_independent_ones() -> None:
    known = evidence(Spread(40, "measured", worth=0.25))
    found = effect(changed(), "not_worse(pnl", evidence=known)

    contrast = Contrast(side(1200, 1600, 0.25), side(22_800, 1600, 0.25))
    assert found.by_deadline == pytest.approx(half(contrast))


def test_a_frozen_baseline_stays_as_large_as_the_hold_before_made_it() -> None:
    text = changed(
        ("{name: full, weight: 100%, hold: 1h}",
         "{name: full, weight: 100%, hold: 1h, against: frozen_baseline, "
         "advance: [better(pnl)], deadline: {after: 1d}}"),
    )  # fmt: skip
    found = effect(text, "better(pnl)", "full")

    assert (found.how, found.certain) == ("frozen", False)
    assert found.by_deadline == pytest.approx(half(Contrast(side(96_000, 1600), side(3800, 1600))))


def test_versions_that_are_alike_pass_when_the_bounds_are_inside_the_margin() -> None:
    found = effect(changed(), "not_worse(pnl")

    assert found.decided is not None
    assert found.shown(found.decided.total_seconds()) == pytest.approx(5, rel=1e-3)
    assert not found.undecided
    assert effect(changed(gated("better(pnl)")), "better").decided is None


def test_what_a_frozen_baseline_keeps_from_being_seen_is_never_decided() -> None:
    text = changed(
        ("{name: full, weight: 100%, hold: 1h}",
         "{name: full, weight: 100%, hold: 1h, against: frozen_baseline, "
         "advance: ['not_worse(pnl, margin: 1 USD)'], deadline: {after: 1d}}"),
    )  # fmt: skip
    found = effect(text, "margin: 1 USD", "full")

    assert found.decided is None
    assert found.undecided


def test_a_trigger_has_its_part_of_the_false_alarms() -> None:
    text = changed(
        ("triggers:\n", "triggers:\n"
         "  - {name: harm, when: 'worse(pnl, by: 9 USD)', severity: high, stages: [canary]}\n"
         "  - {name: split, when: not split_as_asked(signals), severity: low}\n"),
    )  # fmt: skip
    found = effect(text, "worse(pnl, by")

    assert found.alpha == ALPHA / 2
    contrast = Contrast(side(1200, 1600), side(22_800, 1600))
    assert found.by_deadline == pytest.approx(half(contrast, alpha=ALPHA / 2))
    assert rule(text, "worse(pnl, by").trigger == "harm"


def test_a_share_is_seen_to_be_off_where_the_evidence_is_enough() -> None:
    found = effect(changed(gated("split_as_asked(signals)")), "split")

    total = 4000 * 6 - 4000 / 120
    assert found.by_deadline is not None
    seen = split_evidence((0.05 + found.by_deadline) * total, total, 0.05)
    assert seen == pytest.approx(log(1 / ALPHA), rel=1e-3)


def test_what_cannot_be_known_is_named() -> None:
    found = rule(changed((", sd: 40", "")), "not_worse(pnl")

    assert (found.effects, found.unknown) == ((), ("pnl",))
