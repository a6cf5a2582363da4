"""The functions of conditions: comparisons with the baseline, or with a number.

call      = VERSUS "(" METRIC { "," argument } ")"
          | "mann_whitney" "(" METRIC [ "," "tolerance" ":" QUANTITY ]
                                      [ "," "allowed" ":" QUANTITY ]
                                      [ "," "direction" ":" DIRECTION ] ")"
          | "split_as_asked" "(" SOURCE ")"
VERSUS    = "not_worse" | "better" | "worse"
argument  = ("margin" | "by") ":" QUANTITY [ "of" "baseline" ] | "than" ":" QUANTITY
DIRECTION = "increase" | "decrease" | "either"
"""

from typing import Literal, cast

from controller.policy.cursor import Cursor
from controller.policy.expression import MannWhitney, Number, SplitAsAsked, Unit, Versus
from controller.policy.findings import did_you_mean
from controller.policy.names import MetricName
from controller.policy.tokens import Token, shown
from controller.policy.units import PLAIN, UNITS, compares, example, in_words, zero

MARGINS = {"not_worse": "margin", "better": "by", "worse": "by"}
"""What each comparison calls its margin."""
TOLERANCE = "25%"
DIRECTIONS = ("increase", "decrease", "either")
FUNCTIONS = (*MARGINS, "mann_whitney", "split_as_asked")
_USAGE = {
    **{name: f"write {name}(METRIC, {margin}: 2%)" for name, margin in MARGINS.items()},
    "mann_whitney": "write mann_whitney(METRIC, tolerance: 25%)",
    "split_as_asked": "write split_as_asked(SOURCE)",
}

_PARTS = {
    "tolerance": "a tolerance is a part of the shift",
    "allowed": "what is allowed is a part of the baseline's mean",
}
"""Quantities of `mann_whitney`, and what each is a part of."""

Call = Versus | MannWhitney | SplitAsAsked


def write_call(node: Call) -> str:
    """The text of a call; parsing it gives the call back."""
    match node:
        case SplitAsAsked():
            return f"split_as_asked({node.source})"
        case MannWhitney():
            words = [f"tolerance: {node.tolerance.text}", f"direction: {node.direction}"]
            if node.allowed.value:
                words.insert(1, f"allowed: {node.allowed.text}")
            return f"mann_whitney({node.metric}, {', '.join(words)})"
    margin = f"{MARGINS[node.function]}: {node.margin.text}"
    relative = " of baseline" if node.relative else ""
    than = f", than: {node.than.text}" if node.than is not None else ""
    return f"{node.function}({node.metric}, {margin}{relative}{than})"


class Calls(Cursor):
    """Reads a function, its name taken already."""

    def _call(self, function: Token) -> Call:
        if function.text not in FUNCTIONS:
            hint = did_you_mean(function.text, FUNCTIONS)
            raise self._error(function, "P202", f"unknown function {function.text!r}", hint)
        self._expect("(", _USAGE[function.text])
        if function.text == "split_as_asked":
            return self._split(function)
        metric = self._now
        if metric.kind != "name" or "." in metric.text:
            hint = f"{_USAGE[function.text]}: only the metric's name, both sides are read"
            raise self._error(
                metric, "P207", f"a metric's name is missing, found {shown(metric)}", hint
            )
        self._at += 1
        known = self._names.metrics.get(metric.text)
        if known is None:
            raise self._unknown_metric(metric, metric.text)
        if function.text == "mann_whitney":
            return self._mann_whitney(function, metric, known)
        return self._versus(function, metric, known)

    def _versus(self, function: Token, metric: Token, known: MetricName) -> Versus:
        keyword, usage = MARGINS[function.text], _USAGE[function.text]
        margin: Number | None = None
        than: Number | None = None
        relative: Token | None = None
        comma = self._now
        while self._take(","):
            word = self._now
            if word.text == "than" and than is None:
                self._named("than", usage)
                than = self._quantity()
                self._fits(than, known.unit, metric)
                continue
            if margin is not None:
                hint = "an argument is there twice, or unknown; `than: 85%` compares with a number"
                raise self._error(word, "P201", f"unexpected {shown(word)}", hint)
            self._named(keyword, usage)
            margin = self._quantity()
            if self._now.text == "of":
                relative = self._now
                self._at += 1
                self._expect("baseline", "write `10% of baseline`")
            self._not_negative(margin)
            self._fits(margin, PLAIN if relative else known.unit, metric)
        self._expect(")", "close the parenthesis")
        if margin is None and function.text == "not_worse":
            hint = f"say how much worse is still fine: not_worse({metric.text}, margin: 2%)"
            raise self._error(comma, "P207", "not_worse needs a margin", hint)
        self._can_be_compared(metric, known)
        if margin is None:
            margin = Number(0.0, known.unit, zero(known.unit), function.column)
        name = cast(Literal["not_worse", "better", "worse"], function.text)
        lower = known.better == "lower"
        node = Versus(name, metric.text, margin, lower, function.column, relative is not None, than)
        if relative is not None:
            self._relative_fits(node, relative)
        return node

    def _can_be_compared(self, metric: Token, known: MetricName) -> None:
        if known.better is None:
            hint = f"give {metric.text} a `better: higher` or `better: lower`"
            raise self._error(
                metric, "P207", f"nobody said which way {metric.text} is better", hint
            )
        if not known.comparable:
            hint = f"compare by hand: candidate.{metric.text} <= 1.2 * baseline.{metric.text}"
            if known.sampled:
                hint += f"; or write mann_whitney({metric.text})"
            message = f"only means and ratios can be judged so, not {metric.text}"
            raise self._error(metric, "P207", message, hint)

    def _relative_fits(self, node: Versus, word: Token) -> None:
        if node.than is not None:
            message = "compared with a number, nothing is known of a baseline"
            raise self._error(word, "P207", message, "write the margin in the metric's unit")
        if not node.margin.value:
            raise self._error_at(
                node.margin.column, "P207", "nothing of the baseline is no margin", "leave it out"
            )
        if node.ratio <= 0:
            message = f"{node.margin.text} of the baseline leaves nothing to compare with"
            raise self._error_at(node.margin.column, "P207", message, "write less than 100%")

    def _mann_whitney(self, function: Token, metric: Token, known: MetricName) -> MannWhitney:
        usage = _USAGE["mann_whitney"]
        worse: Literal["increase", "decrease", "either"] = "either"
        if known.better is not None:
            worse = "increase" if known.better == "lower" else "decrease"
        parts: dict[str, Number] = {}
        direction = ""
        while self._take(","):
            if self._now.text == "direction" and not direction:
                self._named("direction", usage)
                word = self._now
                if word.text not in DIRECTIONS:
                    hint = did_you_mean(word.text, DIRECTIONS)
                    raise self._error(word, "P207", f"no direction: {shown(word)}", hint)
                self._at += 1
                direction = word.text
                continue
            name = next((part for part in _PARTS if part not in parts), ")")
            if self._now.text in _PARTS and self._now.text not in parts:
                name = self._now.text
            self._named(name, usage)
            part = parts[name] = self._quantity()
            self._not_negative(part)
            if not compares(part.unit, PLAIN):
                message = f"{_PARTS[name]}, {part.text} is none"
                raise self._error_at(part.column, "P203", message, "write it like 25%")
        self._expect(")", "close the parenthesis")
        if not known.sampled:
            message = f"{metric.text} has no observations that could be ranked"
            hint = "only a mean, ratio or quantile of a push source has; or write not_worse"
            raise self._error(metric, "P207", message, hint)
        percent = UNITS["%"]
        tolerance = parts.get("tolerance", Number(0.25, percent, TOLERANCE, function.column))
        allowed = parts.get("allowed", Number(0.0, percent, "0%", function.column))
        wanted = cast(Literal["increase", "decrease", "either"], direction or worse)
        return MannWhitney(metric.text, tolerance, allowed, wanted, function.column)

    def _split(self, function: Token) -> SplitAsAsked:
        source = self._now
        if source.text not in self._names.observed:
            hint = did_you_mean(source.text, self._names.observed, "name a source of `type: push`")
            message = f"the work is not counted by observations of {shown(source)}"
            raise self._error(source, "P207", message, hint)
        self._at += 1
        self._expect(")", "close the parenthesis")
        return SplitAsAsked(source.text, function.column)

    def _named(self, keyword: str, usage: str) -> None:
        self._expect(keyword, usage)
        self._expect(":", usage)

    def _not_negative(self, margin: Number) -> None:
        if margin.value < 0:
            raise self._error_at(
                margin.column, "P207", "a margin is not below 0", "write it without minus"
            )

    def _fits(self, number: Number, unit: Unit, metric: Token) -> None:
        if not compares(number.unit, unit):
            message = f"{metric.text} is in {in_words(unit)}, {number.text} is not"
            raise self._error_at(number.column, "P203", message, f"write it like {example(unit)}")
