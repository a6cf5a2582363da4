"""Blending: thresholds that exclude each other, keys that its mode does not read, and a blend that
nobody reads or that never comes."""

from collections.abc import Iterator

from controller.policy.checks.context import Context, weights
from controller.policy.findings import Finding
from controller.policy.places import Where
from controller.policy.publisher import SHARE_PUBLISHERS, FilePublisher, WebhookPublisher
from controller.policy.transition import Blend

HERE = ("transition", "blend")


def thresholds_can_be_crossed(context: Context) -> Iterator[Finding]:
    """What is asked of an exposure or a weight can be met by one."""
    blend = context.policy.transition.blend
    if blend is None:
        return
    for where, message, hint in (*_exposures(blend), *_weights(blend)):
        yield context.places.at((*HERE, *where), "P391", message, hint)


def _exposures(blend: Blend) -> Iterator[tuple[Where, str, str]]:
    account, hysteresis = blend.limits.account, blend.hysteresis
    if hysteresis is not None and hysteresis.leave >= hysteresis.enter:
        message = (
            f"it leaves below {hysteresis.leave:g}, and enters at {hysteresis.enter:g} already"
        )
        yield ("hysteresis", "leave"), message, "write a `leave` below `enter`"
    if account is not None and hysteresis is not None and hysteresis.enter > account:
        message = f"no exposure reaches {hysteresis.enter:g}: the account's limit is {account:g}"
        yield ("hysteresis", "enter"), message, "write an `enter` within `limits.account`"
    if account is not None and blend.band >= account:
        message = f"nothing is ever traded: no exposure is further than {account:g} from flat"
        yield ("band",), message, "write a `band` well below `limits.account`"
    if blend.deadband >= blend.limits.candidate:
        message = f"no signal of the candidate's has a direction: its limit is " \
                  f"{blend.limits.candidate:g}"  # fmt: skip
        yield ("deadband",), message, "write a `deadband` well below `limits.candidate`"


def _weights(blend: Blend) -> Iterator[tuple[Where, str, str]]:
    told = blend.performance
    if told is None:
        return
    if told.least > told.most:
        message = f"the least weight {told.least:g}% is above the largest, {told.most:g}%"
        yield ("performance", "least"), message, "write a `least` that is not above `most`"
    for name, value in (("scale", told.scale), ("step", told.step)):
        if value == 0:
            message = f"with a {name} of 0% the weight cannot follow what is earned"
            yield ("performance", name), message, "write more than 0%"


def keys_are_read(context: Context) -> Iterator[Finding]:
    """Every key that is written changes something."""
    blend = context.policy.transition.blend
    if blend is None:
        return
    by_key = blend.mode == "switch"
    told: tuple[tuple[str, bool, str], ...] = (
        ("performance", blend.performance is not None and blend.mode != "performance",
         "only `mode: performance` reads it"),
        ("calibration", blend.calibration is not None and blend.mode != "confidence"
         and blend.conflict != "max_confidence",
         "only `mode: confidence` and `conflict: max_confidence` read it"),
        ("conflict", by_key and blend.conflict != "net", "a switch never holds both"),
        ("band", by_key and blend.band > 0, "a switch never holds both"),
        ("hysteresis", by_key and blend.hysteresis is not None, "a switch never holds both"),
        ("min_hold", by_key and blend.min_hold is not None, "a switch never holds both"),
    )  # fmt: skip
    for name, idle, why in told:
        if idle:
            message = f"{name} changes nothing with `mode: {blend.mode}`: {why}"
            yield context.places.at_key((*HERE, name), "P392", message, "leave it out")
    missing = blend.missing
    if missing.hold_for is not None and "hold" not in (missing.baseline, missing.candidate):
        message = "hold_for changes nothing: nothing is held"
        hint = "write `hold` for one of both, or leave it out"
        yield context.places.at_key((*HERE, "missing", "hold_for"), "P392", message, hint)


def somebody_reads_it(context: Context) -> Iterator[Finding]:
    """Flags and balancers have no room for a blend."""
    if context.policy.transition.blend is None:
        return
    shares = [one for one in context.policy.publish.values() if isinstance(one, SHARE_PUBLISHERS)]
    if shares and not any(isinstance(one, FilePublisher | WebhookPublisher) for one in shares):
        message = f"a blend has no place in what the share is published as ({shares[0].type})"
        yield context.places.at_key(HERE, "P393", message, "publish it as `type: file` too")


def something_is_blended(context: Context) -> Iterator[Finding]:
    """Some stage gives the candidate a part of the work."""
    if context.policy.transition.blend is None:
        return
    shares = [weight for stage in context.policy.stages for weight in weights(stage)]
    if not any(0 < weight < 100 for weight in shares):
        message = "no stage has a weight between 0% and 100%, so nothing is ever blended"
        hint = "add `- {name: ramp, weights: [10%, 30%, 50%, 70%, 90%], hold: 1h}`"
        yield context.places.at_key(HERE, "P394", message, hint)
