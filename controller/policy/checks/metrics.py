"""Metrics: what they measure, from which source, in which unit."""

import re
from collections.abc import Iterator
from datetime import timedelta

from controller.policy.aggregation import (
    AggregationError,
    counts_bars,
    formula_of,
    parse_aggregation,
)
from controller.policy.checks.context import Context, duration_text
from controller.policy.expression import Dimension, references
from controller.policy.findings import Finding
from controller.policy.formulas import Gives
from controller.policy.models import Metric
from controller.policy.quality import judged_sources
from controller.policy.sampling import DAY, needed_samples
from controller.policy.source import SqlSource
from controller.policy.units import UnitError, parse_unit
from controller.policy.values import BarCount, Newest, OpenTime, window_length

_QUOTED = re.compile(r"'[^'\n]*\$(version|since|now)\b[^'\n]*'")


def parameters_are_bound(context: Context) -> Iterator[Finding]:
    """A parameter in quotes is a text that looks like one."""
    for name, metric in context.policy.metrics.items():
        quoted = _QUOTED.search(metric.query or "")
        if quoted is not None and isinstance(context.policy.sources.get(metric.source), SqlSource):
            message = f"${quoted[1]} in quotes is a text, and no parameter"
            hint = f"write ${quoted[1]} without quotes: it is bound, never pasted"
            yield context.places.at(("metrics", name, "query"), "P321", message, hint)


def aggregations(context: Context) -> Iterator[Finding]:
    """Every `value` can be read."""
    for name, metric in context.policy.metrics.items():
        if metric.value is None:
            continue
        try:
            parse_aggregation(metric.value)
        except AggregationError as error:
            where = ("metrics", name, "value")
            yield context.places.at(where, "P322", str(error), error.hint)


def units(context: Context) -> Iterator[Finding]:
    """Units exist and fit what is measured."""
    for name, metric in context.policy.metrics.items():
        formula = formula_of(metric)
        where = ("metrics", name, "unit")
        if metric.unit is not None:
            try:
                dimension = parse_unit(metric.unit).dimension
            except UnitError as error:
                yield context.places.at(where, "P323", str(error), error.hint)
                continue
            if formula is not None and formula.gives is not Gives.FIELD:
                wanted = Dimension.TIME if formula.gives is Gives.TIME else Dimension.NUMBER
                if dimension is not wanted:
                    gives = "a time" if wanted is Dimension.TIME else "a plain number"
                    message = f"{_name(metric)} gives {gives}, not {metric.unit}"
                    yield context.places.at(where, "P323", message, "leave the unit out")


def capitals(context: Context) -> Iterator[Finding]:
    """A capital stands where something is measured by it, and where profit and loss must be."""
    for name, metric in context.policy.metrics.items():
        formula = formula_of(metric)
        rule = "no" if formula is None else formula.capital
        is_level = rule == "with pnl" and parse_aggregation(metric.value or "").takes_last
        where = ("metrics", name, "capital")
        if metric.capital is None:
            if rule == "with pnl" and not is_level:
                message = f"{_name(metric)} of profit and loss needs a capital to be a return"
                hint = "add `capital: 1_000_000`; of equity or prices write `take: last`"
                yield context.places.at(("metrics", name, "value"), "P323", message, hint)
        elif rule == "no":
            message = "a capital makes a drawdown a fraction; this is no drawdown"
            hint = "leave it out, or write `value: max_drawdown(FIELD)`"
            yield context.places.at_key(where, "P323", message, hint)
        elif is_level:
            message = "a level is a return by itself: a capital changes nothing"
            hint = "leave it out, or leave `take: last` out if the field is profit and loss"
            yield context.places.at_key(where, "P323", message, hint)
        elif metric.unit is not None and rule == "may":
            message = f"a {_name(metric)} of a capital is a fraction, not {metric.unit}"
            where_unit = ("metrics", name, "unit")
            yield context.places.at(where_unit, "P323", message, "leave the unit out")


def bars(context: Context) -> Iterator[Finding]:
    """A bar stands where something is made of bars, is no longer than a day, and is seen."""
    for name, metric in context.policy.metrics.items():
        formula = formula_of(metric)
        made = formula is not None and formula.bars
        counted = isinstance(metric.window, BarCount)
        where = ("metrics", name, "bar")
        if metric.bar is None:
            if made or counted:
                what = f"{_name(metric)} is made of bars" if made else "a window of bars"
                key = "value" if made else "window"
                message = f"{what}, and {name} says of none how long they are"
                yield context.places.at(
                    ("metrics", name, key), "P324", message, "add `bar: 1d`, or shorter"
                )
        elif not (made or counted):
            message = "no bar is needed here: it would change nothing"
            hint = "leave it out, or write `window: 60 bars`"
            yield context.places.at_key(where, "P324", message, hint)
        elif metric.bar > DAY:
            message = "a bar is at most a day"
            yield context.places.at(where, "P324", message, "write `bar: 1d`")
        elif metric.bar < context.policy.schedule.tick:
            tick = duration_text(context.policy.schedule.tick)
            message = f"a bar of {duration_text(metric.bar)}, and looks come every {tick}"
            hint = f"write `bar: {tick}`, or a shorter tick"
            yield context.places.at(where, "P349", message, hint)
        elif made:
            yield from _enough_bars(context, name, metric, metric.bar)


def _enough_bars(context: Context, name: str, metric: Metric, bar: timedelta) -> Iterator[Finding]:
    """The window holds as many bars as the metric wants."""
    window = metric.window
    match window:
        case BarCount():
            most = window.count
        case timedelta():
            most = window // bar
        case OpenTime():
            most = window.length // bar
        case "session":
            most = DAY // bar
        case _:
            return
    most -= parse_aggregation(metric.value or "").takes_last
    declared = metric.min_samples
    source = context.policy.sources.get(metric.source)
    needed = max(needed_samples(metric, source) if declared is None else declared, 2)
    if most < needed:
        message = f"{name} needs {needed} bars, and its window has {max(most, 0)} at the most"
        hint = f"write `window: {needed + 1} bars`"
        if most >= 2:
            hint += f", or `min_samples: {most}`"
        yield context.places.at(("metrics", name, "window"), "P338", message, hint)


def windows_outlast_ticks(context: Context) -> Iterator[Finding]:
    """Between two looks no observation falls out of a window unseen."""
    tick = context.policy.schedule.tick
    for name, metric in context.policy.metrics.items():
        window = window_length(metric.window)
        # A window of nothing is reported by itself.
        if window is not None and timedelta(0) < window < tick:
            message = (
                f"{name} judges {duration_text(window)}, and looks come every "
                f"{duration_text(tick)}: what happens between is never seen"
            )
            kind = " open" if isinstance(metric.window, OpenTime) else ""
            hint = f"write `window: {duration_text(tick)}{kind}`, or a shorter tick"
            yield context.places.at(("metrics", name, "window"), "P349", message, hint)
    for name, rules in judged_sources(context.policy):
        if timedelta(0) < rules.window < tick:
            message = (
                f"the quality of {name} is judged over {duration_text(rules.window)}, and looks "
                f"come every {duration_text(tick)}: what happens between is never seen"
            )
            hint = f"write `window: {duration_text(tick)}`, or a shorter tick"
            where = ("sources", name, "quality", "window")
            yield context.places.at(where, "P349", message, hint)


def ranges_of_values(context: Context) -> Iterator[Finding]:
    """A range of a field is from low to high."""
    for name, rules in judged_sources(context.policy):
        for field, (low, high) in rules.range.items():
            if low > high:
                message = f"no {field} is from {low:g} to {high:g}"
                where = ("sources", name, "quality", "range", field)
                yield context.places.at(where, "P325", message, "write [low, high]")


def dependence_is_measured(context: Context) -> Iterator[Finding]:
    """`dependence` belongs to observations that are compared; a bar is not shorter than a tick."""
    read = {
        key for _, _, gate in context.gated() for line in gate for key in references(line.condition)
    }
    read.update(key for _, _, condition in context.guarded() for key in references(condition))
    for name, metric in context.policy.metrics.items():
        if metric.dependence is None:
            continue
        where = ("metrics", name, "dependence")
        if metric.value is None:
            message = "a query tells no observations apart: they are taken as independent"
            yield context.places.at_key(where, "P344", message, "leave it out")
        elif not {f"difference.{name}", f"estimate.{name}"} & read:
            hint = f"leave it out, or compare: not_worse({name}, margin: ...)"
            yield context.places.at_key(where, "P344", f"nothing compares {name}", hint)
        elif not metric.dependence:
            yield context.places.at(where, "P345", "dependence must not be zero",
                                    "write `independent`, or a duration")  # fmt: skip


def newest_are_enough(context: Context) -> Iterator[Finding]:
    """The newest so many are of a push source, and as many as are asked for."""
    for name, metric in context.policy.metrics.items():
        if not isinstance(metric.window, Newest):
            continue
        count, where = metric.window.count, ("metrics", name, "window")
        if metric.query is not None:
            message = "a query is given a start and an end, not a number of observations"
            hint = "write a duration, and `order by ... limit` in the query"
            yield context.places.at(where, "P321", message, hint)
            continue
        needed = needed_samples(metric, context.policy.sources.get(metric.source))
        if needed > count and not counts_bars(metric):
            message = (
                f"{name} needs {needed} samples and looks at {count}: it would never say anything"
            )
            hint = f"write `window: last {needed}`, or `min_samples: {count}`"
            yield context.places.at(where, "P326", message, hint)
    for number, trigger, condition in context.guarded():
        for key in references(condition):
            side, _, name = key.partition(".")
            read = context.policy.metrics.get(name)
            # What is compared adds up since the stage was entered.
            window = None if read is None or side in ("difference", "estimate") else read.window
            needed = trigger.min_samples or 0
            if isinstance(window, Newest) and needed > window.count:
                message = (
                    f"{trigger.name} needs {needed} samples, and {key} looks at {window.count}"
                )
                hint = f"write `min_samples: {window.count}`, or a longer window"
                place = ("triggers", number, "min_samples")
                yield context.places.at(place, "P326", message, hint)
                break


def deviations_are_used(context: Context) -> Iterator[Finding]:
    """`sd` belongs to what is compared, where the traffic is known."""
    conditions = [line.condition for _, _, gate in context.gated() for line in gate]
    conditions += [condition for _, _, condition in context.guarded()]
    compared = {
        name
        for condition in conditions
        for subject, _, name in (key.partition(".") for key in references(condition))
        if subject in ("difference", "estimate", "shift")
    }
    for name, metric in context.policy.metrics.items():
        if metric.sd is None:
            continue
        where = ("metrics", name, "sd")
        if name not in compared:
            hint = f"leave it out, or compare: not_worse({name}, margin: ...)"
            yield context.places.at_key(where, "P344", f"nothing compares {name}", hint)
        elif context.policy.traffic is None:
            message = "without the traffic nothing is reckoned with it"
            yield context.places.at_key(where, "P344", message, "add `traffic: 4000/h`")


def _name(metric: Metric) -> str:
    return parse_aggregation(metric.value or "").name
