"""The smallest effect that a comparison shows by when, reckoned from `policy.evidence` before the
start, with the formulas by which it will be judged (`policy.precision`)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf, log, pi, sqrt
from typing import Literal, assert_never

from controller.policy.evidence import Spread, is_ratio
from controller.policy.expected import Step, earlier, needed_by, within_of
from controller.policy.expression import Combine, Condition, MannWhitney, Not, SplitAsAsked, Versus
from controller.policy.models import Metric, Policy
from controller.policy.precision import LEAST, NEWEST_RANKED, half_width, split_evidence
from controller.policy.sampling import counted
from controller.policy.units import metric_unit
from controller.policy.values import LONGEST

_RANKED = 2.3263478740408408
"""Quantile of the normal distribution at 99%: the interval of `mann_whitney` is of 98%."""
How = Literal["two sides", "pairs", "bars", "alone", "frozen", "ranks", "split"]
"""How a comparison is made, as far as it is known."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The smallest difference that one comparison shows, in the metric's base unit: half the width
    of its bounds (of a split, in share; of a margin that is a part of the baseline, in the
    metric's unit all the same). None where nothing is bounded by then.

    `margin` is the one that a `not_worse` must decide, None elsewhere and where nobody knows how
    large it is. `certain`: no assumption of ours is in it that would make it wider than it is."""

    condition: Versus | MannWhitney | SplitAsAsked
    how: How
    alpha: float
    spread: Spread | None
    by_hold: float | None
    by_deadline: float | None
    margin: float | None
    certain: bool
    shown: Callable[[float], float | None]
    """The smallest difference after so many seconds."""

    @property
    def decided(self) -> timedelta | None:
        """When two versions that are alike pass, deadline or not; None for never."""
        shown, margin = self.shown, self.margin
        if margin is None:
            return None
        seconds = soonest(lambda at: (shown(at) or inf) < margin)
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def undecided(self) -> bool:
        """Whether two versions that are alike would not pass by the deadline."""
        if self.margin is None:
            return False
        return self.by_deadline is None or self.by_deadline >= self.margin


def effects_of(
    step: Step,
    condition: Condition,
    comparison: float,
    split: float,
    min_samples: int | None = None,
) -> Iterator[Effect]:
    """What the comparisons of a condition can show, at the levels of `comparison` and `split`.
    `min_samples` is a trigger's own. Nothing where nobody knows how much there is, or how it
    varies."""
    for part, must in _comparisons(condition, must=True):
        match part:
            case Versus():
                found = _versus(step, part, comparison, min_samples, must=must)
            case MannWhitney():
                found = _ranks(step, part, min_samples)
            case SplitAsAsked():
                found = _split(step, part, split)
        if found is not None:
            yield found


def _comparisons(
    condition: Condition, *, must: bool
) -> Iterator[tuple[Versus | MannWhitney | SplitAsAsked, bool]]:
    """Every comparison, and whether the condition cannot hold without it."""
    match condition:
        case Versus() | MannWhitney() | SplitAsAsked():
            yield condition, must
        case Combine():
            for part in condition.parts:
                yield from _comparisons(part, must=must and condition.operator == "and")
        case Not():
            yield from _comparisons(condition.part, must=False)
        case _:
            return


def _effect(
    step: Step,
    condition: Versus | MannWhitney | SplitAsAsked,
    how: How,
    alpha: float,
    spread: Spread | None,
    shown: Callable[[float], float | None],
    margin: float | None = None,
    *,
    certain: bool = True,
) -> Effect:
    return Effect(
        condition,
        how,
        alpha,
        spread,
        shown(step.hold) if step.hold else None,
        shown(step.deadline) if step.deadline else None,
        margin,
        certain,
        shown,
    )


def _versus(
    step: Step, node: Versus, alpha: float, min_samples: int | None, *, must: bool
) -> Effect | None:
    metric = step.policy.metrics[node.metric]
    spread = step.evidence.spreads.get(node.metric)
    rate = step.evidence.rate("metric", node.metric)
    counts = counted(metric, step.policy.sources.get(metric.source)) == "observations"
    if spread is None or rate is None or not counts or not step.share("candidate"):
        return None
    how = _how(step, node, metric, spread)
    needed = needed_by(step.policy, metric, "difference", min_samples)
    bar = metric.dependence if isinstance(metric.dependence, timedelta) else None

    def shown(at: float) -> float | None:
        candidate, baseline = _sides(step, metric, rate, at, how)
        if candidate < needed or (node.ratio and baseline < needed):
            return None
        variance, error = _precision(node, spread, candidate, baseline, how)
        if bar is not None:
            bars = at / bar.total_seconds()
            if bars < LEAST:
                return None
            variance = error * bars
        return half_width(variance, error, alpha) if error > 0 else None

    return _effect(
        step, node, how, alpha, spread, shown, _margin(node, spread) if must else None,
        certain=spread.certain
        and not _may_pair(step, node, spread, bar)
        and not _may_have_more(step, metric, how),
    )  # fmt: skip


def _how(step: Step, node: Versus, metric: Metric, spread: Spread) -> How:
    if not node.ratio:
        return "alone"
    if step.share("baseline") is None:
        return "frozen"
    if isinstance(metric.dependence, timedelta):
        return "bars"
    return "pairs" if _both_see_all(step) and spread.correlation is not None else "two sides"


def _both_see_all(step: Step) -> bool:
    """Whether both versions work on the same, and so may have the same keys."""
    return step.share("candidate") == 1 and step.share("baseline") == 1


def _may_pair(step: Step, node: Versus, spread: Spread, bar: timedelta | None) -> bool:
    """Whether what both versions share may drop out, which nobody has measured."""
    if not node.ratio or spread.origin == "measured":
        return False
    return bar is not None or _both_see_all(step)


def _may_have_more(step: Step, metric: Metric, how: How) -> bool:
    """Whether steps before that take longer than their holds would leave more."""
    return how == "frozen" or (metric.window == "rollout" and step.number > 0)


def _sides(step: Step, metric: Metric, rate: float, at: float, how: How) -> tuple[float, float]:
    """Observations of candidate and baseline after `at` seconds. A frozen baseline has what the
    last step gave it in its hold that compared with a live one."""
    found = []
    for side in ("candidate", "baseline"):
        total = rate * (step.share(side) or 0.0) * at
        if metric.window == "rollout":
            total += earlier(step, rate, side, lambda before: before.hold)
        elif side == "baseline" and how == "frozen":
            live = [before for before in step.before() if before.share(side) is not None]
            total = rate * (live[-1].share(side) or 0.0) * live[-1].hold if live else 0.0
        found.append(total)
    return found[0], found[1]


def _precision(
    node: Versus, spread: Spread, candidate: float, baseline: float, how: How
) -> tuple[float, float]:
    """Variance of one observation of the difference, and of the difference of the means: what
    `core.bounds.bounds` makes of the judge's sums."""
    ratio = node.ratio
    mine = spread.sd**2
    other = (spread.sd if spread.baseline_sd is None else spread.baseline_sd) ** 2
    if how == "pairs":
        together = (spread.correlation or 0.0) * sqrt(mine * other)
        variance = mine - 2 * ratio * together + ratio * ratio * other
        return variance, variance / (candidate * spread.pair_worth)
    variance, error = mine, mine / candidate
    if ratio:
        variance += ratio * ratio * other
        error += ratio * ratio * other / baseline
    return variance, error / spread.worth


def _margin(node: Versus, spread: Spread) -> float | None:
    """What a `not_worse` must see past, in the base unit."""
    if node.function != "not_worse":
        return None
    if not node.relative:
        return node.margin.value
    return None if spread.mean is None else node.margin.value * abs(spread.mean)


def _ranks(step: Step, node: MannWhitney, min_samples: int | None) -> Effect | None:
    """The shift that lies beyond the tolerance with its whole interval. The estimate of Hodges and
    Lehmann has pi / 3 the variance of a mean, of normal observations."""
    metric = step.policy.metrics[node.metric]
    spread = step.evidence.spreads.get(node.metric)
    rate = step.evidence.rate("metric", node.metric)
    baseline = step.share("baseline")
    if spread is None or rate is None or not baseline or not step.share("candidate"):
        return None
    needed = needed_by(step.policy, metric, "shift", min_samples)
    window = within_of(step, metric, "shift") or timedelta(0)
    tolerance = node.tolerance.value

    def shown(at: float) -> float | None:
        span = min(at, window.total_seconds())
        sides = [min(NEWEST_RANKED, rate * (step.share(side) or 0.0) * span)
                 for side in ("candidate", "baseline")]  # fmt: skip
        if min(sides) < needed or tolerance >= 1:
            return None
        error = spread.sd * sqrt(pi / 3 * (1 / sides[0] + 1 / sides[1]))
        return _RANKED * error / (1 - tolerance)

    return _effect(step, node, "ranks", 0.02, spread, shown, certain=False)


def _split(step: Step, node: SplitAsAsked, alpha: float) -> Effect | None:
    """How far above what was asked for the candidate's share must be to be seen."""
    rate, asked = step.evidence.rate("source", node.source), step.weight / 100
    if rate is None or step.stage.mirror or not 0 < asked < 1:
        return None
    late, threshold = step.policy.schedule.tick.total_seconds(), log(1 / alpha)

    def shown(at: float) -> float | None:
        total = rate * (at - late)
        if total < 1 or split_evidence(total, total, asked) < threshold:
            return None
        low, high = asked, 1.0
        while high - low > 1e-6 * asked:
            middle = (low + high) / 2
            enough = split_evidence(middle * total, total, asked) >= threshold
            low, high = (low, middle) if enough else (middle, high)
        return high - asked

    return _effect(step, node, "split", alpha, None, shown)


def soonest(holds: Callable[[float], bool]) -> float | None:
    """The least number of seconds, to a thousandth part, from which on something holds that goes
    on holding; None if it does not within the longest time that a policy can say."""
    low, high = 0.0, 60.0
    while not holds(high):
        low, high = high, high * 2
        if high > LONGEST.total_seconds():
            return None
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


# In words -----------------------------------------------------------------------------------


def difference_text(policy: Policy, node: Versus | MannWhitney | SplitAsAsked, size: float) -> str:
    """A difference in the metric's unit: `4.1 points` of a ratio or split, `0.8 USD`."""
    if isinstance(node, SplitAsAsked) or is_ratio(policy.metrics[node.metric]):
        return f"{100 * size:.2g} points"
    unit = metric_unit(policy.metrics[node.metric])
    text = f"{size / unit.factor:.3g}"
    return text + (unit.name if unit.name == "%" else f" {unit.name}" if unit.name else "")


def basis(policy: Policy, name: str, spread: Spread) -> str:
    """What is known of a metric, in words: `pnl: sd 40 USD, declared`."""
    size = spread.sd / metric_unit(policy.metrics[name]).factor
    sd = f"{name}: sd {size:.3g} {policy.metrics[name].unit or ''}".rstrip()
    match spread.origin:
        case "declared":
            return f"{sd}, declared"
        case "measured":
            return f"{sd}, measured{_common(spread)}"
        case "limit":
            return f"{name}: about {100 * (spread.mean or 0.0):.4g}%, its limit"
        case "worst":
            return f"{name}: anywhere, so that it varies less"
        case _:
            assert_never(spread.origin)


def _common(spread: Spread) -> str:
    """What observations have in common."""
    words = f", one worth {spread.worth:.2f} independent ones" if spread.worth < 0.95 else ""
    if spread.correlation is not None:
        words += f", pairs correlate by {round(spread.correlation, 2) + 0.0:g}"
    return words


HOW: Mapping[How, str] = {
    "pairs": "in pairs",
    "bars": "bar by bar",
    "ranks": "by ranks, if it is about normal",
    "frozen": "against what the baseline had in the hold before",
}
"""In words, where it is not what one would expect."""
