"""What two processes and the controller tell each other of a handover: who writes, who is ready.

The controller's word is one order, replaced as a whole. A process writes to the market only under
the lock beside that file, and only if the order names it then; the controller replaces the order
under the same lock. So two processes never write at once, and one that has died is shut out without
being asked.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec
from msgspec import Struct

from controller.core.effect import Phase
from controller.traffic.running import NAME
from controller.traffic.snapshot import Holding, differences, digest, unfit

ORDER = "writer.json"
"""The order's file, in the directory of the handover."""
LOCK = ".writer.lock"
"""The file beside it whose lock is held by whoever writes to the market, or writes an order."""
UNKNOWN = "unknown"
"""In the place of a hash: nobody can say what the last writer held."""
LARGEST = 8 << 20
"""Bytes of an order or a report."""


class Role(StrEnum):
    """What a process is to do. REDUCES and CLOSES write as well, and only towards flat."""

    WRITES = "writes"
    REDUCES = "reduces"
    CLOSES = "closes"
    SHADOWS = "shadows"
    RESTS = "rests"


WRITING = frozenset({Role.WRITES, Role.REDUCES, Role.CLOSES})
_BASELINE = {
    Phase.DRAIN: Role.REDUCES,
    Phase.FLATTEN: Role.CLOSES,
    Phase.FENCE: Role.SHADOWS,
    Phase.WRITE: Role.SHADOWS,
    Phase.RETIRE: Role.RESTS,
}


class Terms(Struct, frozen=True, omit_defaults=True):
    """What the policy asks: `bars` and `decisions` before the candidate is warm; how far its
    `position` (units) and `risk` (a part) may be from the baseline's; how close targets agree
    (`band`); how many seconds a ramp takes (`ramp_s`)."""

    bars: int = 0
    decisions: int = 0
    position: float = 0.0
    risk: float = 0.0
    band: float = 0.0
    ramp_s: float = 0.0


class Order(Struct, frozen=True, omit_defaults=True):
    """The content of the order's file. `ramps`: see `HandOver`. `takes`: hash of the state that the
    new writer takes over (WRITE, BACK; empty: none), `since`: the token since which the candidate
    writes (0: it does not). `barred`: nobody writes until it is replaced."""

    store: str
    rollout: str
    baseline: str
    candidate: str
    phase: Phase
    epoch: int
    token: int
    terms: Terms
    ramps: bool = False
    takes: str = ""
    since: int = 0
    barred: bool = False

    def role(self, process: str) -> Role:
        """Of a process. Raises ValueError for one that is neither of both."""
        if process not in (self.baseline, self.candidate):
            raise ValueError(f"{process!r} is neither {self.baseline} nor {self.candidate}")
        if self.barred:
            return Role.SHADOWS
        if process == self.baseline:
            return _BASELINE.get(self.phase, Role.WRITES)
        over = self.phase in (Phase.WRITE, Phase.RETIRE)
        return Role.WRITES if over else Role.SHADOWS

    @property
    def writer(self) -> str:
        """The one process that may write; empty: nobody."""
        writing = [name for name in (self.baseline, self.candidate) if self.role(name) in WRITING]
        return writing[0] if writing else ""


class Adopted(Struct, frozen=True, omit_defaults=True):
    """A state taken over: its hash, the token under which, what was made of it, and why it cannot
    be used (`trouble`)."""

    sha256: str
    token: int
    made: Holding | None = None
    trouble: tuple[str, ...] = ()


class Ramp(Struct, frozen=True, omit_defaults=True):
    """How far a new writer began from its own targets, by instrument, and when (seconds)."""

    token: int
    since: float
    offsets: dict[str, float]


class Report(Struct, frozen=True, omit_defaults=True):
    """The content of NAME.json: what a process is doing, under which order. `bar` names the moment
    of its `targets`; `holding` is what it holds, with its hash, as of `held` (a token)."""

    process: str
    version: str
    role: Role
    store: str = ""
    epoch: int = 0
    token: int = 0
    bars: int = 0
    decisions: int = 0
    bar: str = ""
    targets: dict[str, float | None] = {}
    holding: Holding | None = None
    sha256: str = ""
    held: int = 0
    adopted: Adopted | None = None
    ramp: Ramp | None = None
    trouble: str = ""


def encode(said: Order | Report) -> bytes:
    """The content of a file."""
    return msgspec.json.encode(said, order="deterministic") + b"\n"


def decode_order(content: bytes) -> Order:
    """Raises ValueError."""
    return _decode(content, _ORDER, "no order")


def decode_report(content: bytes, process: str) -> Report:
    """What `process` says. Raises ValueError."""
    found = _decode(content, _REPORT, "says nothing that can be read")
    if found.process != process:
        raise ValueError(f"is spoken for by {found.process[:64]!r}")
    if found.holding is not None and found.sha256 != digest(found.holding):
        raise ValueError("holds a state that is not the one it was hashed of")
    return found


Said = TypeVar("Said", Order, Report)
_ORDER = msgspec.json.Decoder(Order)
_REPORT = msgspec.json.Decoder(Report)


def _decode(content: bytes, decoder: msgspec.json.Decoder[Said], words: str) -> Said:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{words}: {error}") from None


def is_name(process: str) -> bool:
    """Whether it can name a process, and so a file."""
    return NAME.fullmatch(process) is not None and f"{process}.json" != ORDER


def refusal(there: Order, new: Order) -> str:
    """Why `new` may not take the place of `there`; empty: it may. What gives the writing back to
    the baseline gets through whatever is there."""
    if there.rollout != new.rollout:
        return f"belongs to the rollout {there.rollout}; give each its own directory"
    if new.phase is Phase.BACK:
        return ""
    if there.store != new.store:
        ours = there.writer == there.baseline
        return "" if ours else (
            f"{there.writer or 'nobody'} writes by the word of another store ({there.store}); roll "
            "back there, or remove the file if that store is gone"
        )  # fmt: skip
    if there.token > new.token:
        return (
            f"holds decision {there.token}, this is {new.token}; if the store was restored from a "
            "backup, look at who writes and remove the file"
        )
    return ""


# What a phase still lacks --------------------------------------------------------------------


def lacks(order: Order, baseline: Report | None, candidate: Report | None) -> tuple[str, ...]:
    """What must still be said before the phase is acknowledged, in words; None: nothing is heard of
    that process."""
    match order.phase:
        case Phase.RETIRE:
            return ()
        case Phase.WRITE:
            return _follows(order, order.candidate, candidate)
        case Phase.BACK:
            return (*_follows(order, order.baseline, baseline), *_back(order, baseline, candidate))
        case _:
            pass
    told = [
        *_follows(order, order.baseline, baseline),
        *_follows(order, order.candidate, candidate),
    ]
    if told or baseline is None or candidate is None:
        return tuple(told)
    match order.phase:
        case Phase.WARM:
            return _warm(order.terms, candidate)
        case Phase.AGREE:
            return _disagree(order.terms, baseline, candidate)
        case Phase.DRAIN | Phase.FLATTEN:
            return _open_positions(order, baseline)
        case _:
            return _copied(order, baseline, candidate)


def _follows(order: Order, name: str, said: Report | None) -> tuple[str, ...]:
    """Whether a process does what this very order says."""
    if said is None:
        return (f"{name} says nothing",)
    if (said.store, said.token, said.epoch) != (order.store, order.token, order.epoch):
        return (f"{name} follows decision {said.token}, not {order.token}",)
    role = order.role(name)
    if said.role is not role:
        why = f": {said.trouble}" if said.trouble else ""
        return (f"{name} {said.role.value}, and should be one that {role.value}{why}",)
    return (f"{name}: {said.trouble}",) if said.trouble else ()


def _warm(terms: Terms, said: Report) -> tuple[str, ...]:
    told = []
    for what, has, needs in (
        ("bars", said.bars, terms.bars), ("decisions", said.decisions, terms.decisions),
    ):  # fmt: skip
        if has < needs:
            told.append(f"{said.process} has {has} of {needs} {what}")
    return (*told, *_wild(said))


def _wild(said: Report) -> tuple[str, ...]:
    """Targets that are no numbers; NaN is none."""
    wild = sorted(name for name, value in said.targets.items() if value is None)
    return (f"{said.process} has no target of {', '.join(wild)}",) if wild else ()


def _disagree(terms: Terms, baseline: Report, candidate: Report) -> tuple[str, ...]:
    """At one bar, of every instrument that either of both speaks of. Saying nothing is no flat."""
    wild = (*_wild(baseline), *_wild(candidate))
    if wild:
        return wild
    if not baseline.bar or baseline.bar != candidate.bar:
        return (f"targets of {baseline.bar or 'no bar'} and {candidate.bar or 'no bar'}",)
    told = []
    for name in sorted({*baseline.targets, *candidate.targets}):
        one, other = baseline.targets.get(name), candidate.targets.get(name)
        if one is None or other is None:
            told.append(f"only one has a target of {name}")
        elif abs(one - other) > terms.band:
            told.append(f"{name}: {one:g} and {other:g}")
    if not baseline.targets:
        told.append("there are no targets")
    return tuple(told)


def _open_positions(order: Order, said: Report) -> tuple[str, ...]:
    """Unknown is not flat."""
    if said.holding is None or said.held != order.token:
        return (f"{said.process} does not say what it holds",)
    still = {name: held for name, held in sorted(said.holding.position.items()) if held != 0}
    return tuple(f"{said.process} holds {held:g} of {name}" for name, held in still.items())


def _copied(order: Order, baseline: Report, candidate: Report) -> tuple[str, ...]:
    """What the baseline holds under this order is what the candidate has taken over and come to."""
    if baseline.holding is None or baseline.held != order.token:
        return (f"{baseline.process} does not say what it holds",)
    wrong = unfit(baseline.holding)
    if wrong:
        return (f"{baseline.process}: {wrong}",)
    taken = candidate.adopted
    if taken is None or taken.token != order.token or taken.sha256 != baseline.sha256:
        return (f"{candidate.process} has not taken over state {baseline.sha256[:12]}",)
    if taken.trouble or taken.made is None:
        return tuple(f"{candidate.process}: {words}" for words in taken.trouble)
    terms = order.terms
    told = differences(baseline.holding, taken.made, terms.position, terms.risk)
    return tuple(f"{candidate.process} comes to {words}" for words in told)


def _back(order: Order, baseline: Report | None, candidate: Report | None) -> tuple[str, ...]:
    """What the candidate held when it lost the writing is what the baseline has taken over: the
    state that was there when the order was written, or one word later."""
    if not order.takes or baseline is None:
        return ()
    taken = baseline.adopted
    last = candidate.sha256 if candidate is not None else order.takes
    if taken is None or taken.sha256 not in (order.takes, last):
        return (f"{baseline.process} has not taken over state {order.takes[:12]}",)
    return tuple(f"{baseline.process}: {words}" for words in taken.trouble)


# The ramp ------------------------------------------------------------------------------------


def on_the_ramp(ramp: Ramp, length_s: float, instrument: str, own: float, at: float) -> float:
    """The target of a new writer at `at` (seconds): its own, and what is left of the distance that
    it began with. Equal parts in equal times, so no step is larger than the whole distance by the
    length; a time before the beginning is the beginning."""
    offset = ramp.offsets.get(instrument, 0.0)
    if length_s <= 0:
        return own
    passed = min(max((at - ramp.since) / length_s, 0.0), 1.0)
    return own + offset * (1 - passed)
