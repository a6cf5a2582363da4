"""What is published of a rollout, and which state may take the place of which."""

from datetime import timedelta
from enum import Enum

import msgspec
from msgspec import Struct

from controller.blend.settings import Settings
from controller.core.share import NONE, WHOLE, Share

Pinned = dict[str, tuple[str, ...]]
"""By attribute: the values that are pinned; `key` stands for the key itself."""


class Pins(Struct, frozen=True, omit_defaults=True):
    """Keys that do not follow the share while there is one. The baseline's outrank the
    candidate's."""

    baseline: Pinned = {}
    candidate: Pinned = {}


class Routing(Struct, frozen=True):
    """What a policy says of routing: the layer, for how long a state is good without a sign of
    life from the controller (None: for ever), and the pins."""

    layer: str
    max_age: timedelta | None = None
    pins: Pins = Pins()


class Published(Struct, frozen=True, omit_defaults=True):
    """One published state. `share` is the candidate's, in 1/100,000; `percent` the same for
    people; `mirror`: the candidate sees all work, and its answers are only compared; `token`
    rises with every decision of the store named `store`, and `epoch` with every start and
    rollback; `layer` chooses the buckets. After `max_age_s` seconds without a sign of life from
    the controller all work belongs to the baseline (0: never), unless the rollout is `settled`:
    completed, with nothing left to guard. `blend`: how signals become one; None: they do not."""

    store: str
    rollout: str
    baseline: str
    candidate: str
    share: Share
    percent: str
    mirror: bool
    epoch: int
    token: int
    layer: str
    settled: bool = False
    max_age_s: float = 0.0
    pins: Pins = Pins()
    blend: Settings | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether it asks nothing of the candidate."""
        return self.share == NONE and not self.mirror


class Refusal(Enum):
    """Why a state may not take the place of another."""

    OTHER_ROLLOUT = "it belongs to another rollout"
    OTHER_BASELINE = "its baseline is another version"
    OTHER_STORE = "another store sends work to the candidate"
    OLDER = "it is older than one already seen"


_DECODER = msgspec.json.Decoder(Published)


def encode(published: Published) -> bytes:
    """The content of a share file."""
    return msgspec.json.format(msgspec.json.encode(published)) + b"\n"


def decode(content: bytes) -> Published:
    """The state in a share file. Raises ValueError with what is wrong."""
    try:
        found = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a published share: {error}") from None
    if not NONE <= found.share <= WHOLE:
        raise ValueError(f"not a published share: {found.share} is not 0 to {WHOLE}")
    if not 0 <= found.max_age_s < float("inf"):
        raise ValueError(f"not a published share: {found.max_age_s} s is no age")
    return found


def refusal(there: Published, new: Published) -> Refusal | None:
    """Why `new` may not take the place of `there`. The way back has no fence: what asks nothing
    of the candidate gets through whatever is there."""
    if there.rollout != new.rollout:
        return Refusal.OTHER_ROLLOUT
    if new.is_baseline:
        return None
    if there.store != new.store:
        return Refusal.OTHER_STORE if there.share > NONE else None
    return Refusal.OLDER if there.token > new.token else None


class Fence:
    """What one reader has seen so far, and so what it may still believe: a late message never
    brings the candidate back."""

    def __init__(self, baseline: str) -> None:
        """`baseline`: the version that the reader falls back to."""
        self.current: Published | None = None
        self._baseline = baseline
        self._newest: dict[str, tuple[int, int]] = {}

    def admit(self, new: Published) -> Refusal | None:
        """Make `new` the current state, or say why not."""
        refused = self._refusal(new)
        if refused is None:
            self.current = new
            seen = self._newest.get(new.store, (0, 0))
            self._newest[new.store] = max(seen, (new.epoch, new.token))
        return refused

    def _refusal(self, new: Published) -> Refusal | None:
        if new.baseline != self._baseline:
            return Refusal.OTHER_BASELINE
        refused = refusal(self.current, new) if self.current is not None else None
        if refused is None and not new.is_baseline:
            newest = self._newest.get(new.store, (0, 0))
            return Refusal.OLDER if (new.epoch, new.token) < newest else None
        return refused
