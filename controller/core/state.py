"""The state of one rollout: everything a decision needs to remember, and nothing else."""

from datetime import datetime

from msgspec import Struct

from controller.core.effect import Phase
from controller.core.measurement import Measurement
from controller.core.share import NONE, Share
from controller.core.standing import Alerting

PENDING = "pending"
ROLLING_BACK = "rolling_back"
PARTIAL = "partial"
COOLDOWN = "cooldown"
ROLLED_BACK = "rolled_back"
LOCKED = "locked"
COMPLETED = "completed"
HELD = "held"
PAUSED = "paused"
APPROVAL = "approval"

RESERVED = frozenset({PENDING, ROLLING_BACK, PARTIAL, COOLDOWN, ROLLED_BACK, LOCKED, COMPLETED})
"""State names that no stage may take."""
AT_REST = frozenset({PENDING, ROLLED_BACK, LOCKED, COMPLETED})
"""Where only an event can move a rollout."""
AT_BASELINE = frozenset({PENDING, COOLDOWN, ROLLED_BACK, LOCKED})
"""Where every target has said that the baseline has all the work."""


class Counter(Struct, frozen=True, omit_defaults=True):
    """Memory of one rule, by the name of the trigger or check. `recent` looks (1: its condition
    held; the newest in the lowest bit, as many as the rule looks at) or the `total` at which it
    held; `since` when it has held without a break, `held_ms` of open time for which it did before
    it could not be measured for a while; since when it is `unmeasured`, where that may be a
    failure; and since when its trigger is `firing` without a break."""

    recent: int = 0
    total: int = 0
    since: datetime | None = None
    held_ms: int = 0
    unmeasured: datetime | None = None
    firing: datetime | None = None


class Vector(Struct, frozen=True, omit_defaults=True):
    """How far the parameters are on their way. `progress` of the vector last asked for (in
    1/100,000), by the effects `keys`; `spent_ms` of open time on the way; `unanswered_ms` of open
    time without the acknowledgement of that vector. On the way back `ramps` says that they go
    through the points between, one after another, the last of them asked for at `stepped_at`."""

    progress: Share = NONE
    keys: tuple[str, ...] = ()
    spent_ms: int = 0
    unanswered_ms: int = 0
    ramps: bool = False
    stepped_at: datetime | None = None


class Handover(Struct, frozen=True, omit_defaults=True):
    """Who writes orders: the `phase` last asked for, by the effect `key` (empty: acknowledged), for
    `waited_ms` of open time. `ramps`: both targets did not agree in time. `place`: directory and
    names of both processes, which must not change while it is under way."""

    phase: Phase
    place: tuple[str, str, str]
    key: str = ""
    waited_ms: int = 0
    ramps: bool = False


class State(Struct, frozen=True, omit_defaults=True):
    """One rollout. `name` is the machine's state: `canary`, `ramp-25`, `ramp-25.paused`,
    `rolling_back.baseline_traffic`, `completed`; `at` is the time of the last event.

    Clocks are milliseconds of the calendar's open time: `dwell_ms` and `waited_ms` of the step,
    `side_ms` of a held, paused or approval state, `asked_ms` of all waiting for the approval of
    the step. `entered_at` is when the step was entered, `step_since` when the present state was,
    `split_since` when every target had acknowledged the step's share.
    `told_to_advance` names the person whose word takes the place of the gate at the next tick.
    `unacknowledged` and `overdue` are keys of effects; `verify_due` is when the read-back of a
    rollback is asked for, `put_right` that it has failed once and the baseline was published
    again. `frozen` holds what was last known of the baseline before it lost its
    traffic. `parameters` is None where none are published, `handover` where nobody is asked to hand
    over, `alerts` where none stands. `would_have` is when triggers on a dry run first fired, by
    name."""

    rollout: str
    policy: str
    name: str = PENDING
    seq: int = 0
    epoch: int = 0
    share: Share = NONE
    at: datetime | None = None
    started_at: datetime | None = None
    entered_at: datetime | None = None
    step_since: datetime | None = None
    split_since: datetime | None = None
    dwell_ms: int = 0
    waited_ms: int = 0
    side_ms: int = 0
    asked_ms: int = 0
    approved_by: tuple[str, ...] = ()
    told_to_advance: str = ""
    counters: dict[str, Counter] = {}
    firing: tuple[str, ...] = ()
    unacknowledged: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    verify_due: datetime | None = None
    put_right: bool = False
    failed_steps: tuple[str, ...] = ()
    rollbacks: tuple[datetime, ...] = ()
    parameters: Vector | None = None
    handover: Handover | None = None
    frozen: dict[str, Measurement] = {}
    would_have: dict[str, datetime] = {}
    alerts: Alerting | None = None
    reasons: tuple[str, ...] = ()

    def awaits(self, key: str) -> bool:
        """Whether the rollout is waiting to hear of an effect."""
        told = self.alerts is not None and key in self.alerts.sent
        return told or self.undone(key)

    def undone(self, key: str) -> bool:
        """Whether a target has still to do what an effect asks: any but a message to people."""
        handed = self.handover is not None and key == self.handover.key != ""
        return handed or key in self.unacknowledged or key in self.overdue


def stage_step(name: str) -> str:
    """The stage step of a live state's name: `ramp-25.paused` -> `ramp-25`."""
    return name.split(".", 1)[0]
