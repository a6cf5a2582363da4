"""How often each judge cries wolf when it looks at every tick of a whole rollout, and how soon it
sees a real harm: `make false-alarms`. Prints the table of docs/statistics.md; `--write` puts it
there.

A rollout has five steps of 400 ticks; each tick brings one observation of either version. In half
of the histories observations are independent, in the other half each remembers four fifths of the
one before (AR(1), 0.8). The null histories have two versions that are the same. Paired versions
answer the same question: what they share drops out.

The judge's own arithmetic is done here for all histories at once; `tests/rules/test_false_alarms`
holds that it is the judge's to the last digits.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from controller.judge.growing import LEAST, LEAST_DEPENDENT
from controller.judge.longrun import BLOCKS, CLOSEST
from controller.judge.ranks import NEWEST

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- false alarms: begin -->", "<!-- false alarms: end -->"
SEED = 20260302
ALPHA = 0.05
STEPS, LOOKS = 5, 400
HARMED_LOOKS = 2000
"""Of the one step in which a harm is looked for."""
HISTORIES = 1000
RANKED_HISTORIES, RANKED_EVERY = 100, 10
"""Ranking is slow: of these, every tenth look, which flatters it."""
TOLERANCE = 0.25
EFFECT = 0.5
"""Harm in standard deviations of one observation of one version."""

Array = np.ndarray[Any, np.dtype[np.float64]]
Alarms = np.ndarray[Any, np.dtype[np.bool_]]
NEVER = -1
First = np.ndarray[Any, np.dtype[np.int64]]
"""By row: the look (observations a side) at which it was first alarmed, or NEVER."""


# Histories --------------------------------------------------------------------------------


def noise(random: np.random.Generator, rows: int, looks: int, memory: float) -> Array:
    """Rows of an autoregression with standard deviation 1."""
    fresh = random.normal(size=(rows, looks))
    if not memory:
        return fresh
    found = np.empty_like(fresh)
    found[:, 0] = fresh[:, 0]
    for at in range(1, looks):
        found[:, at] = memory * found[:, at - 1] + sqrt(1 - memory**2) * fresh[:, at]
    return found


# The judge, for all rows at once -------------------------------------------------------------


def radius(count: Array, alpha: float) -> Array:
    """See `controller.policy.precision.radius`."""
    squared = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / 1000
    grown = count * squared + 1
    return np.asarray(
        np.sqrt(2 * grown / (count * count * squared) * np.log(np.sqrt(grown) / alpha))
    )


def moments(values: Array) -> tuple[Array, Array]:
    """Means and variances (n - 1) by row."""
    return values.mean(axis=1), values.var(axis=1, ddof=1)


def long_run(values: Array) -> Array:
    """Variance of the mean by row: see `controller.judge.longrun.error_of_means`."""
    looks = values.shape[1]
    width = 1
    while -(-looks // width) > BLOCKS:
        width *= 2
    sums = np.add.reduceat(values, np.arange(0, looks, width), axis=1)
    counts = np.full(sums.shape[1], width)
    counts[-1] = looks - width * (sums.shape[1] - 1)
    residuals = sums - values.mean(axis=1)[:, None] * counts
    blocks = residuals.shape[1]
    found = (residuals[:, 1:] * residuals[:, :-1]).sum(1) / (residuals[:, :-1] ** 2).sum(1)
    coefficient = np.clip(found + (1 + 3 * found) / blocks, 0.0, CLOSEST)
    left = residuals[:, 1:] - coefficient[:, None] * residuals[:, :-1]
    lags = min(int(4 * (left.shape[1] / 100) ** (2 / 9)), left.shape[1] - 1)
    total = (left**2).sum(1)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * (left[:, lag:] * left[:, :-lag]).sum(1)
    scale = (blocks / (blocks - 1)) ** 2 / looks**2
    return np.asarray(np.maximum(total, 0) * scale / (1 - coefficient) ** 2)


def bounded(sides: list[Array], alpha: float, *, dependent: bool) -> tuple[Array, Array]:
    """Differences of the means (of one row of pairs, or two sides), and half of their intervals."""
    value, variance, error = np.zeros(1), np.zeros(1), np.zeros(1)
    for sign, side in zip((1, -1), sides, strict=False):
        mean, spread = moments(side)
        own = spread / side.shape[1]
        value = value + sign * mean
        variance = variance + spread
        error = error + (np.maximum(long_run(side), own) if dependent else own)
    return value, np.sqrt(variance) * radius(variance / error, alpha)


def ours(sides: list[Array], alpha: float, *, dependent: bool = True) -> First:
    """First look at which the interval excludes no difference, looking at each."""
    least = LEAST_DEPENDENT if dependent else LEAST

    def alarmed(looks: int) -> Alarms:
        value, half = bounded([s[:, :looks] for s in sides], alpha, dependent=dependent)
        return np.asarray(np.abs(value) > half)

    return first_alarm(alarmed, sides[0], range(least, sides[0].shape[1] + 1))


# The others -------------------------------------------------------------------------------


def t_test(sides: list[Array], alpha: float) -> First:
    """Student's (one row of pairs) or Welch's (two sides), with the normal quantile, from 30
    observations on, at each look."""
    quantile = NormalDist().inv_cdf(1 - alpha / 2)

    def alarmed(looks: int) -> Alarms:
        value, error = np.zeros(1), np.zeros(1)
        for sign, side in zip((1, -1), sides, strict=False):
            mean, spread = moments(side[:, :looks])
            value, error = value + sign * mean, error + spread / looks
        return np.asarray(np.abs(value) > quantile * np.sqrt(error))

    return first_alarm(alarmed, sides[0], range(30, sides[0].shape[1] + 1))


def ranked(sides: list[Array], alpha: float) -> First:
    """Kayenta's Mann-Whitney verdict on the newest observations, in either direction."""
    candidate, baseline = sides
    first = np.full(len(candidate), NEVER)
    quantile = NormalDist().inv_cdf(1 - alpha / 2)
    for row in range(len(candidate)):
        for looks in range(30, candidate.shape[1] + 1, RANKED_EVERY):
            newest = slice(max(0, looks - NEWEST), looks)
            low, high, shift = interval(candidate[row, newest], baseline[row, newest], quantile)
            if low > TOLERANCE * abs(shift) or high < -TOLERANCE * abs(shift):
                first[row] = looks
                break
    return first


def interval(one: Array, other: Array, quantile: float) -> tuple[float, float, float]:
    """Ends and middle of `controller.judge.ranks.mann_whitney`, of samples without ties: they are
    differences in the order of their size."""
    differences = np.subtract.outer(one, other).ravel()
    n, m = len(one), len(other)
    sigma = sqrt(n * m * (n + m + 1) / 12)
    # The excess is a whole or half number: its smallest fall to the target names the difference.
    above = int(np.floor(n * m / 2 + quantile * sigma + 0.5))
    low = max(n * m - above - 1, 0)
    high = min(n * m - int(np.floor(n * m / 2 - quantile * sigma - 0.5)) - 1, n * m - 1)
    middle = (n * m - 1) // 2, n * m // 2
    ordered = np.partition(differences, sorted({low, high, *middle}))
    return float(ordered[low]), float(ordered[high]), float(ordered[list(middle)].mean())


def first_alarm(alarmed: Callable[[int], Alarms], rows: Array, looks: range) -> First:
    """The first of `looks` at which each row is alarmed."""
    first = np.full(len(rows), NEVER)
    for look in looks:
        first[alarmed(look) & (first == NEVER)] = look
    return first


# The table --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge of the table. `paired` judges see one row of differences, others both sides."""

    name: str
    paired: bool
    first: Callable[[list[Array]], First]
    histories: int = HISTORIES


JUDGES = (
    Judge("`not_worse`, `worse` (pairs)", True, lambda s: ours(s, ALPHA / STEPS)),
    Judge("`not_worse`, `worse` (two sides)", False, lambda s: ours(s, ALPHA / STEPS)),
    Judge("the same, `dependence: independent` (pairs)", True,
          lambda s: ours(s, ALPHA / STEPS, dependent=False)),
    Judge("t-test at each look (pairs)", True, lambda s: t_test(s, ALPHA)),
    Judge("t-test at each look (two sides)", False, lambda s: t_test(s, ALPHA)),
    Judge("Mann-Whitney at each tenth look, 95%", False, lambda s: ranked(s, ALPHA),
          RANKED_HISTORIES),
    Judge("`mann_whitney`: the same, 98%", False, lambda s: ranked(s, 0.02), RANKED_HISTORIES),
)  # fmt: skip


def wrongly(judge: Judge, memory: float, scale: float) -> First:
    """First alarms by history and step, of versions that are the same."""
    rows = max(2, round(judge.histories * scale)) * STEPS
    return _judged(judge, rows, LOOKS, memory, 0.0, SEED).reshape(-1, STEPS)


def rightly(judge: Judge, memory: float, scale: float) -> First:
    """First alarms of a candidate that does harm, in one long step."""
    rows = max(2, round(judge.histories * scale / 5))
    return _judged(judge, rows, HARMED_LOOKS, memory, EFFECT, SEED + 1)


def _judged(judge: Judge, rows: int, looks: int, memory: float, effect: float, seed: int) -> First:
    random = np.random.default_rng(seed)
    sides = [noise(random, rows, looks, memory), noise(random, rows, looks, memory)]
    sides[0] = sides[0] - effect
    return judge.first([sides[0] - sides[1]] if judge.paired else sides)


def rate(alarms: First) -> str:
    """Share of rollouts with an alarm in any step, and its simulation error."""
    alarmed, count = int((alarms != NEVER).any(axis=1).sum()), len(alarms)
    share, smoothed = alarmed / count, (alarmed + 1) / (count + 2)
    error = sqrt(smoothed * (1 - smoothed) / count)
    return f"{100 * share:.1f}% ± {100 * error:.1f}"


def sooner(alarms: First) -> str:
    """Share of steps in which a harm was seen, and after how many observations, typically."""
    seen = alarms[alarms != NEVER]
    if not len(seen):
        return "never"
    return f"{100 * len(seen) / len(alarms):.0f}%, after {int(np.median(seen))}"


def table(scale: float = 1.0, progress: Callable[[str], None] = lambda _: None) -> str:
    """The table, in Markdown."""
    lines = [
        "| judge | independent | AR(1) 0.8 | harm seen, independent | harm seen, AR(1) 0.8 |",
        "|---|---|---|---|---|",
    ]
    for judge in JUDGES:
        progress(judge.name)
        cells = [rate(wrongly(judge, memory, scale)) for memory in (0.0, 0.8)]
        cells += [sooner(rightly(judge, memory, scale)) for memory in (0.0, 0.8)]
        lines.append(f"| {judge.name} | {' | '.join(cells)} |")
    histories = f"{round(HISTORIES * scale):,}"
    lines += [
        "",
        f"Seed {SEED}; {histories} null histories ({round(RANKED_HISTORIES * scale):,} for ranks) "
        f"of {STEPS} steps with {LOOKS} looks each, ± one standard error. Level {ALPHA:.0%}, in "
        f"either direction. Harm: {EFFECT:g} standard deviations of one observation, in "
        f"one step of {HARMED_LOOKS:,} looks; the share of steps in which it was seen, and after "
        f"how many observations a side in the median. A judge that cries wolf sees harm soon.",
    ]
    return "\n".join(lines)


def main() -> int:
    """0; 1 if ours is above its level on any null history."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times as many histories")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    asked = parser.parse_args()
    found = table(asked.scale, lambda name: print(name, file=sys.stderr, flush=True))
    print(found)
    if asked.write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}", encoding="utf-8")
    ours_rows = [line for line in found.splitlines() if line.startswith("| `not_worse`")]
    shares = [float(cell.split("%")[0]) for row in ours_rows for cell in row.split(" | ")[1:3]]
    return int(any(share > 100 * ALPHA for share in shares))


if __name__ == "__main__":
    sys.exit(main())
