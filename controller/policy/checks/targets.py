"""Targets of the share: what their weights, their mirrors and their time allow."""

from collections.abc import Iterator

from controller.policy.checks.context import Context, duration_text, percent_text, weights
from controller.policy.findings import Finding
from controller.policy.publisher import (
    LIVE_PUBLISHERS,
    MOST_WEIGHT,
    SHARE_PUBLISHERS,
    FilePublisher,
    HaproxyPublisher,
    Publisher,
    WebhookPublisher,
)


def _haproxies(context: Context) -> Iterator[tuple[str, HaproxyPublisher]]:
    for name, target in context.policy.publish.items():
        if isinstance(target, HaproxyPublisher):
            yield name, target


def weights_are_fine_enough(context: Context) -> Iterator[Finding]:
    """A share between 0% and 100% gives each version a weight of at least 1."""
    for name, target in _haproxies(context):
        least = 100 / (1 + MOST_WEIGHT * len(target.baseline))
        most = 100 - 100 / (1 + MOST_WEIGHT * len(target.candidate))
        for number, stage in enumerate(context.policy.stages):
            for index, weight in enumerate(weights(stage)):
                if weight in (0, 100) or least <= weight <= most:
                    continue
                where = ("stages", number, "weight" if stage.weights is None else "weights")
                message = (
                    f"{name} cannot give {percent_text(weight)}: weights of 0 to {MOST_WEIGHT} "
                    f"reach from {percent_text(round(least, 3))} to {percent_text(round(most, 3))}"
                )
                hint = f"write a share in between, 0% or 100%, or give {name} more servers"
                place = where if stage.weights is None else (*where, index)
                yield context.places.at(place, "P383", message, hint)


def mirrors_are_made(context: Context) -> Iterator[Finding]:
    """Somebody who is told the share can show the candidate all the work."""
    shares = {n: t for n, t in context.policy.publish.items() if isinstance(t, SHARE_PUBLISHERS)}
    if not shares or any(_mirrors(target) for target in shares.values()):
        return
    for number, stage in enumerate(context.policy.stages):
        if stage.mirror:
            message = f"nobody mirrors the work: {', '.join(sorted(shares))} cannot"
            hint = (
                "publish the share as `type: file` too, for a client that mirrors; to a webhook "
                "with `read: {mirror: ...}`; or leave the key out"
            )
            yield context.places.at(("stages", number, "mirror"), "P384", message, hint)


def _mirrors(target: Publisher) -> bool:
    if isinstance(target, WebhookPublisher):
        return target.read.mirror is not None
    return isinstance(target, FilePublisher)


def keys_are_known(context: Context) -> Iterator[Finding]:
    """Weights know no keys; with nothing else that is told the share, nobody is pinned."""
    routing = context.policy.routing
    shares = [t for t in context.policy.publish.values() if isinstance(t, SHARE_PUBLISHERS)]
    if not shares or not all(isinstance(target, HaproxyPublisher) for target in shares):
        return
    for key, said in (
        ("pin", bool(routing.pin.baseline or routing.pin.candidate)),
        ("layer", routing.layer is not None),
    ):
        if said:
            message = f"{key} is about keys, and weights cannot tell one from another"
            hint = "leave it out, or publish the share to something that reads keys too"
            yield context.places.at_key(("routing", key), "P385", message, hint)


def servers_named_once(context: Context) -> Iterator[Finding]:
    """A server belongs to one version."""
    for name, target in _haproxies(context):
        seen: dict[str, str] = {}
        for side in ("baseline", "candidate"):
            for index, server in enumerate(getattr(target, side)):
                if server in seen:
                    message = f"server {server} is among the {seen[server]}'s already"
                    where = ("publish", name, side, index)
                    hint = "name each server once"
                    yield context.places.at(where, "P386", message, hint)
                seen.setdefault(server, side)


def sockets_can_be_reached(context: Context) -> Iterator[Finding]:
    """A path, or a host and a port."""
    for name, target in _haproxies(context):
        host, _, port = target.socket.rpartition(":")
        if "/" in target.socket or "${" in target.socket:
            continue
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            message = f"{target.socket!r} is neither a path nor HOST:PORT"
            hint = "write a path with a slash, such as /run/haproxy/admin.sock, or 127.0.0.1:9999"
            yield context.places.at(("publish", name, "socket"), "P387", message, hint)


def answers_in_time(context: Context) -> Iterator[Finding]:
    """A step of the way back must not fail because its target was given too long."""
    deadline = context.policy.rollback.deadline
    for name, target in context.policy.publish.items():
        if isinstance(target, LIVE_PUBLISHERS) and deadline and target.timeout >= deadline:
            message = (
                f"{name} may take {duration_text(target.timeout)}, and a step of the way back has "
                f"failed after {duration_text(deadline)}"
            )
            hint = "write a shorter timeout, or a longer `deadline` under `rollback`"
            yield context.places.at(("publish", name, "timeout"), "P388", message, hint)
