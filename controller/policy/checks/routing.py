"""Routing: pins that contradict each other, and a share that ages faster than it is renewed."""

from collections.abc import Iterator

from controller.policy.checks.context import Context, duration_text
from controller.policy.findings import Finding
from controller.policy.publisher import SHARE_PUBLISHERS, FilePublisher

TICKS = 3
"""One late look or one that failed must not send the work back."""


def pinned_one_way(context: Context) -> Iterator[Finding]:
    """No value of an attribute is pinned to both versions."""
    pin = context.policy.routing.pin
    for attribute, values in pin.candidate.items():
        other = pin.baseline.get(attribute, ())
        for number, value in enumerate(values):
            if value in other:
                message = f"{attribute} {value!r} is pinned to the baseline too"
                where = ("routing", "pin", "candidate", attribute, number)
                hint = "take it out of one of them"
                yield context.places.at(where, "P381", message, hint)


def outlasts_ticks(context: Context) -> Iterator[Finding]:
    """Every tick is a sign of life; a share must live longer than a few of them, and be read by
    somebody who knows its age."""
    policy, where = context.policy, ("routing", "max_age")
    max_age = policy.routing.max_age
    if not max_age:
        return
    least = TICKS * policy.schedule.tick
    if max_age < least:
        message = (
            f"a share of {duration_text(max_age)} may be too old before the next tick "
            f"({duration_text(policy.schedule.tick)}) renews it"
        )
        hint = f"write at least {TICKS} ticks: {duration_text(least)}"
        yield context.places.at(where, "P382", message, hint)
    shares = [target for target in policy.publish.values() if isinstance(target, SHARE_PUBLISHERS)]
    if shares and not any(isinstance(target, FilePublisher) for target in shares):
        kinds = " or ".join(dict.fromkeys(target.type for target in shares))
        message = f"nobody counts the age of a share in {kinds}, and nothing else publishes it"
        hint = "publish it as `type: file` too, or leave the key out"
        yield context.places.at(where, "P344", message, hint)
