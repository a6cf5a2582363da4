"""Effects out: one file each, one interface (`base.Target`)."""

from pathlib import Path

from controller.core.compiler import SHARE_TARGET
from controller.effects.alerts import AlertLog
from controller.effects.base import Target
from controller.effects.config import ConfigFile
from controller.effects.file import ShareFile
from controller.policy.models import ConfigPublisher, FilePublisher, Policy

ALERTS = "alerts"
"""Name of the target of every alert."""


def open_targets(policy: Policy, base_dir: Path, state_dir: Path, store: str) -> dict[str, Target]:
    """The targets of a policy by name. Relative paths start at `base_dir`, where the policy is;
    what the policy does not place is kept in `state_dir`. `store`: the name of the store whose
    decisions these are."""
    targets: dict[str, Target] = {ALERTS: open_alert_log(state_dir)}
    versions = {
        version.version: base_dir / version.config
        for version in (policy.baseline, policy.candidate)
        if version.config is not None
    }
    for name, target in policy.publish.items():
        match target:
            case FilePublisher():
                targets[name] = _share_file(policy, base_dir / target.path, store)
            case ConfigPublisher():
                path = base_dir / target.path
                targets[name] = ConfigFile(
                    path, versions, policy.baseline.version, policy.rollout, store
                )
    if not any(isinstance(target, FilePublisher) for target in policy.publish.values()):
        path = state_dir / "shares" / f"{policy.rollout}.json"
        targets[SHARE_TARGET] = _share_file(policy, path, store)
    return targets


def open_alert_log(state_dir: Path) -> AlertLog:
    """The controller's own log of alerts."""
    return AlertLog(state_dir / "alerts.jsonl")


def _share_file(policy: Policy, path: Path, store: str) -> ShareFile:
    return ShareFile(path, policy.rollout, policy.baseline.version, policy.candidate.version, store)
