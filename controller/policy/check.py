"""What only the whole policy can tell."""

from collections.abc import Mapping

from controller.policy.expression import Condition
from controller.policy.findings import Finding
from controller.policy.models import Policy
from controller.policy.places import Places


def check_policy(
    policy: Policy,
    gates: Mapping[str, tuple[Condition, ...]],
    guards: Mapping[str, Condition],
    places: Places,
) -> tuple[Finding, ...]:
    """Everything wrong that the shape alone did not show."""
    del policy, gates, guards, places
    return ()
