"""Effects out: one file each, one interface (`base.Target`)."""

from pathlib import Path

from controller.core.compiler import SHARE_TARGET
from controller.core.enter import HANDOVER
from controller.effects.alerts import AlertLog
from controller.effects.base import LiveTarget, Target
from controller.effects.blending import blending
from controller.effects.config import ConfigFile, Versions
from controller.effects.file import FLAGD, OWN, Origin, ShareFile
from controller.effects.handover import HandoverFile, Seats, terms
from controller.effects.processes import Processes
from controller.policy.models import Policy
from controller.policy.publisher import (
    SHARE_PUBLISHERS,
    ConfigPublisher,
    FilePublisher,
    FlagdPublisher,
    HaproxyPublisher,
    WebhookPublisher,
)
from controller.traffic.published import Pins, Routing

ALERTS = "alerts"
"""Name of the target of every alert."""


def open_targets(policy: Policy, base_dir: Path, state_dir: Path, store: str) -> dict[str, Target]:
    """The targets of a policy by name. Relative paths start at `base_dir`, where the policy is;
    what the policy does not place is kept in `state_dir`. `store`: the name of the store whose
    decisions these are."""
    targets: dict[str, Target] = {ALERTS: open_alert_log(state_dir)}
    files = {
        version.version: base_dir / version.config
        for version in (policy.baseline, policy.candidate)
        if version.config is not None
    }
    origin = origin_of(policy, store)
    versions = Versions(files, policy.baseline.version, policy.candidate.version)
    way = policy.transition.parameters
    asked = way.acknowledge if way is not None else None
    processes = Processes(base_dir / asked.directory, asked.by) if asked is not None else None
    for name, target in policy.publish.items():
        match target:
            case FilePublisher():
                targets[name] = ShareFile(base_dir / target.path, origin, OWN)
            case FlagdPublisher():
                targets[name] = ShareFile(base_dir / target.path, origin, FLAGD)
            case ConfigPublisher():
                path = base_dir / target.path
                targets[name] = ConfigFile(path, versions, policy.rollout, store, way, processes)
            case HaproxyPublisher() | WebhookPublisher():
                targets[name] = open_live(name, target, base_dir, origin)
    if not any(isinstance(target, SHARE_PUBLISHERS) for target in policy.publish.values()):
        path = state_dir / "shares" / f"{policy.rollout}.json"
        targets[SHARE_TARGET] = ShareFile(path, origin, OWN)
    said = policy.transition.handover
    if said is not None:
        seats = Seats(
            store, policy.rollout, said.processes.baseline, said.processes.candidate,
            terms(said, policy.schedule.tick),
        )  # fmt: skip
        targets[HANDOVER] = HandoverFile(base_dir / said.processes.directory, seats)
    return targets


def open_live(
    name: str, model: HaproxyPublisher | WebhookPublisher, base_dir: Path, origin: Origin
) -> LiveTarget:
    """A target that others may change or restart; opens nothing yet."""
    # What talks over a network is loaded where a policy has it.
    if isinstance(model, HaproxyPublisher):
        from controller.effects.haproxy import Haproxy

        return Haproxy(model, base_dir, origin)
    from controller.effects.webhook import Webhook

    return Webhook(name, model, base_dir, origin)


def origin_of(policy: Policy, store: str) -> Origin:
    """Whose shares a policy's are."""
    return Origin(
        policy.rollout,
        policy.baseline.version,
        policy.candidate.version,
        routing(policy),
        store,
        blending(policy),
    )


def open_alert_log(state_dir: Path) -> AlertLog:
    """The controller's own log of alerts."""
    return AlertLog(state_dir / "alerts.jsonl")


def routing(policy: Policy) -> Routing:
    """What the policy says of routing; without a layer, the rollout is one of its own."""
    told = policy.routing
    return Routing(
        told.layer or policy.rollout,
        told.max_age,
        Pins(told.pin.baseline, told.pin.candidate),
    )
