"""What a decision asks of the world, as data. Carried by the outbox under an idempotency key."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal

from msgspec import Struct

from controller.core.share import Share


class Severity(IntEnum):
    """Of triggers and alerts, one order everywhere."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """As written in YAML: `low`, `medium`, `high`, `critical`."""
        return self.name.lower()


class Phase(StrEnum):
    """Of a handover: which of both processes sends orders, and what is asked of them.

    The baseline's writes until FENCE, nobody in FENCE, the candidate's from WRITE on, and in BACK
    the baseline's again. What is asked is written in `traffic.handover.lacks`."""

    WARM = "warm"
    COPY = "copy"
    AGREE = "agree"
    DRAIN = "drain"
    FLATTEN = "flatten"
    FENCE = "fence"
    WRITE = "write"
    RETIRE = "retire"
    BACK = "back"


class SetShare(Struct, frozen=True, omit_defaults=True, tag="set_share"):
    """Publish the candidate's share at `target`. `token` rises with every decision: a target
    sends the candidate no work by a token lower than one that it has applied (a late message
    never brings the candidate back). `epoch` rises with every start and every rollback.
    `settled`: the rollout is completed, so nothing guards this share any more."""

    key: str
    target: str
    share: Share
    mirror: bool
    epoch: int
    token: int
    settled: bool = False


class Activate(Struct, frozen=True, tag="activate"):
    """Make `version`'s configuration the effective one at `target`."""

    key: str
    target: str
    version: str
    epoch: int
    token: int


class SetParameters(Struct, frozen=True, tag="set_parameters"):
    """Make the parameters at `progress` (in 1/100,000, of the way from the baseline's
    configuration to the candidate's) the effective ones at `target`. Acknowledged once they are
    read back and every process that the policy names has said that it runs with them."""

    key: str
    target: str
    progress: Share
    epoch: int
    token: int


class HandOver(Struct, frozen=True, omit_defaults=True, tag="hand_over"):
    """Tell both processes at `target` that the handover is in `phase`, under the fence of `epoch`
    and `token`. Acknowledged once they have said what the phase asks of them. `ramps`: the new
    writer goes from the position that it takes over to its own target bit by bit."""

    key: str
    target: str
    phase: Phase
    epoch: int
    token: int
    ramps: bool = False


class Verify(Struct, frozen=True, omit_defaults=True, tag="verify"):
    """Read the share back from `target`; acknowledged only when it is `share`, mirrored or not."""

    key: str
    target: str
    share: Share
    mirror: bool = False


class VerifyActive(Struct, frozen=True, tag="verify_active"):
    """Read the configuration back from `target`; acknowledged only when it is `version`'s."""

    key: str
    target: str
    version: str


class Alert(Struct, frozen=True, omit_defaults=True, tag="alert"):
    """Write it into the log of alerts. `kind` is stable for machines (`trigger`, `rollback`,
    `approval`, ...), `subject` what it is about where there are several (the trigger's name); `at`
    is when it was decided."""

    key: str
    severity: Severity
    kind: str
    title: str
    reasons: tuple[str, ...] = ()
    at: datetime | None = None
    subject: str = ""

    @property
    def name(self) -> str:
        """`trigger/loss`: the same whenever the same thing happens."""
        return f"{self.kind}/{self.subject}" if self.subject else self.kind


Status = Literal["firing", "again", "escalated", "acknowledged", "over", "happened"]
"""What is told of an alert: it began, it lasts, nobody has acknowledged it, somebody has, it is
over; or that it happened and did not last."""


class News(Struct, frozen=True, omit_defaults=True):
    """What is told of one alert. It began at `since`; `people` is who acknowledged it."""

    name: str
    status: Status
    severity: Severity
    kind: str
    title: str
    since: datetime
    reasons: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    times: int = 1
    over: datetime | None = None
    people: str = ""


class Notify(Struct, frozen=True, omit_defaults=True, tag="notify"):
    """Tell people, through the channel `target`. Told `again` at that time, if it lasts."""

    key: str
    target: str
    rollout: str
    at: datetime
    news: tuple[News, ...]
    again: datetime | None = None


Effect = SetShare | Activate | SetParameters | HandOver | Verify | VerifyActive | Alert | Notify
