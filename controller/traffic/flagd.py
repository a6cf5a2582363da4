"""A published state as a flag definition of flagd (schema v0).

The flag's key is the layer, so that flagd's `fractional` gives every key the bucket that it has
here; its value is the name of the version that acts. What it stands for is in its metadata.
Mirroring and `max_age` have no place in a flag: who needs them reads the share file.
"""

from typing import Any

import msgspec

from controller.core.share import NONE, WHOLE
from controller.traffic import published as own
from controller.traffic.published import Pinned, Published
from controller.traffic.route import KEY, Side

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
TARGETING_KEY = "targetingKey"
"""The attribute that flagd hashes."""


def flag(published: Published) -> dict[str, Any]:
    """The flag alone, without its key."""
    definition: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {Side.BASELINE: published.baseline, Side.CANDIDATE: published.candidate},
        "defaultVariant": Side.BASELINE,
    }
    if published.share > NONE:
        definition["targeting"] = _targeting(published)
    return {**definition, "metadata": _metadata(published)}


def encode(published: Published) -> bytes:
    """The content of a flag file."""
    content = {"$schema": SCHEMA, "flags": {published.layer: flag(published)}}
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def decode(content: bytes) -> Published:
    """The state that a flag file stands for. Raises ValueError if it is none of ours, or if its
    flag is not the one of that state: somebody has changed it."""
    try:
        ((layer, found),) = msgspec.json.decode(content)["flags"].items()
        state = own.decode(found["metadata"]["state"].encode())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a published flag: {error}") from None
    if (layer, found) != (state.layer, msgspec.to_builtins(flag(state))):
        raise ValueError("the flag was changed by somebody else")
    return state


def _metadata(published: Published) -> dict[str, str | int]:
    """For people and for telemetry, and the whole state for whoever reads it back."""
    return {
        "rollout": published.rollout,
        "share": published.percent,
        "epoch": published.epoch,
        "token": published.token,
        "state": msgspec.json.encode(published).decode(),
    }


def _targeting(published: Published) -> dict[str, Any]:
    """The rules of `route.Router`, in the same order."""
    parts = [[Side.CANDIDATE, published.share], [Side.BASELINE, WHOLE - published.share]]
    by_share = {"fractional": parts}
    pins = published.pins
    if not (pins.baseline or pins.candidate):
        return by_share
    rules: list[Any] = [{"!": [{"var": [TARGETING_KEY]}]}, Side.BASELINE]
    needed = [name for name in pins.baseline if name != KEY]
    if needed:
        rules += [{"missing": needed}, Side.BASELINE]
    if pins.baseline:
        rules += [{"or": _one_of(pins.baseline)}, Side.BASELINE]
    if pins.candidate:
        rules += [{"or": _one_of(pins.candidate)}, Side.CANDIDATE]
    return {"if": [*rules, by_share]}


def _one_of(pinned: Pinned) -> list[Any]:
    return [
        # `cat` makes a text of a number, as the router does.
        {"in": [{"cat": [{"var": [TARGETING_KEY if name == KEY else name]}]}, list(values)]}
        for name, values in pinned.items()
    ]
