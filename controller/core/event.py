"""What can happen to a rollout. Each event is decided by itself and journaled with its decision."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from controller.core.measurement import Measurement
from controller.core.share import Share

CommandName = Literal[
    "start", "approve", "pause", "resume", "advance", "rollback", "reset", "apply", "ack", "silence"
]


class Tick(Struct, frozen=True, tag="tick"):
    """The scheduled look. `scheduled=False`: between ticks, only hard limits are judged."""

    measurements: dict[str, Measurement]
    scheduled: bool = True


class Command(Struct, frozen=True, tag="command", omit_defaults=True):
    """A named person's act. `policy` and `state` are for `apply`: hash and state to map to. `alert`
    (a name, a kind, or empty for all) and `until` are for `ack` and `silence`."""

    name: CommandName
    by: str
    reason: str = ""
    policy: str = ""
    state: str = ""
    alert: str = ""
    until: datetime | None = None


class Acknowledgement(Struct, frozen=True, tag="acknowledgement", omit_defaults=True):
    """The target's answer to one effect: done and read back (`ok`), or what went wrong."""

    key: str
    ok: bool
    detail: str = ""


class Drift(Struct, frozen=True, tag="drift"):
    """A look at a target found something else than `share` of `epoch`, which it had acknowledged:
    somebody changed or restarted it, or it cannot be reached."""

    target: str
    share: Share
    epoch: int
    detail: str


class PolicyEdit(Struct, frozen=True, omit_defaults=True, tag="policy_edit"):
    """A safe edit of the policy takes over: the decision is made under the plan `policy`.
    `published`: clients read what has changed, so the share is published anew with it."""

    policy: str
    changes: tuple[str, ...]
    published: bool = False


Event = Tick | Command | Acknowledgement | Drift | PolicyEdit
