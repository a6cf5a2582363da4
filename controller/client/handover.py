"""One of both processes of a handover: its role, what it holds, and the leave to write orders.

handover = Handover("live/handover", "engine-3", "flow-3.0", engine, side=Side.CANDIDATE)
handover.turn(bar)
with handover.writing() as leave:
    if leave:
        broker.send(...)

A turn never raises for what it finds: it reports it, and where it cannot be sure it does not write.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec.structs import replace

from controller.client.files import replace_whole
from controller.client.orders import Orders
from controller.core.effect import Phase
from controller.traffic.handover import (
    LARGEST,
    UNKNOWN,
    WRITING,
    Adopted,
    Order,
    Ramp,
    Report,
    Role,
    decode_report,
    encode,
    is_name,
    on_the_ramp,
)
from controller.traffic.route import Side
from controller.traffic.snapshot import Holding, Migrations, NoWay, digest, migrated, unfit

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)

FROZEN = frozenset({Phase.COPY, Phase.FENCE})
"""Where a state is taken over: one for each order, and not a newer one at each bar."""


class Engine(Protocol):
    """What a process runs, as the handover asks it, all within `turn`. What it raises is reported,
    and never passed on."""

    def ready(self) -> tuple[int, int]:
        """Bars seen without a gap, and decisions made."""
        ...

    def targets(self) -> Mapping[str, float]:
        """What it wants to hold of each instrument, NaN where it cannot say yet."""
        ...

    def holding(self) -> Holding:
        """What it holds, whole, at this bar."""
        ...

    def adopt(self, holding: Holding) -> None:
        """Take over what another held, or itself before a restart. `algorithm` is None where the
        other's state cannot be brought back to this schema: the own one goes on. What a broker can
        be asked for is the broker's to say. Raise where it cannot be taken over."""
        ...


@dataclass(frozen=True, slots=True)
class Leave:
    """To write orders, for as long as the block lasts. `epoch` and `token` rise with each writer:
    send them along where a gate can refuse lower ones. `role`: WRITES, or only towards flat."""

    role: Role
    epoch: int
    token: int


class Handover:
    """One of both processes, for one thread."""

    def __init__(
        self,
        directory: Path | str,
        name: str,
        version: str,
        engine: Engine,
        *,
        side: Side,
        schema: int = 1,
        migrations: Migrations | None = None,
    ) -> None:
        """`directory` and `name` as in the policy's `processes`. `migrations`: pure steps between
        versions of the algorithm's state, by (from, to). Raises ValueError for a name that cannot
        be one."""
        if not is_name(name):
            raise ValueError(f"{name!r} is no name of a process: letters, digits, point, _ and -")
        self.directory, self.name, self.version = Path(directory), name, version
        self._engine, self._side = engine, side
        self._schema, self._migrations = schema, migrations or {}
        self._counts: Counter[str] = Counter()
        self._trouble: list[str] = []
        self._said = self._report_of(name) or Report(name, version, Role.SHADOWS)
        self._orders = Orders(self.directory, name, side, self._said)
        self._restarted = self._said.holding is not None or self._said.adopted is not None
        self._taken: tuple[str, int] | None = None
        self._at = 0.0

    def turn(self, bar: datetime) -> Role:
        """Once for each bar, when the engine has seen it and before anything is sent: read the
        order, do what it asks, say so. Returns what this process is until the next turn."""
        self._trouble, self._at = [], bar.timestamp()
        role = self._orders.look()
        self._wrong(*self._orders.trouble)
        order = self._orders.order
        adopted, could = self._take_over(order, role)
        role = role if could else Role.SHADOWS
        holding, sha256, held = self._hold(order, role)
        targets: dict[str, float | None] = self._asked("targets", self._targets, {})
        bars, decisions = self._asked("ready", self._engine.ready, (0, 0))
        said = Report(
            self.name, self.version, role,
            bars=bars, decisions=decisions, bar=bar.isoformat(), targets=targets,
            holding=holding, sha256=sha256, held=held, adopted=adopted,
            ramp=self._ramp(order, role, holding, targets),
        )  # fmt: skip
        if order is not None:
            said = replace(said, store=order.store, epoch=order.epoch, token=order.token)
        return self._say(replace(said, trouble="; ".join(self._trouble)))

    @contextmanager
    def writing(self) -> Iterator[Leave | None]:
        """The leave to write orders until the end of the block; None: none may be written. Nobody
        else writes meanwhile, and a new order waits, so keep it short. There is leave only under
        the order that the last turn took on."""
        if self._taken is None:
            yield None
            return
        with self._orders.locked() as locked:
            leave = self._leave() if locked else None
            self._wrong(*self._orders.trouble)
            yield leave

    def _leave(self) -> Leave | None:
        """By the order that is there while the lock is held."""
        role = self._orders.look()
        order = self._orders.order
        now = (order.store, order.token) if order is not None else ("", 0)
        if role not in WRITING or now != self._taken:
            return None
        return Leave(role, order.epoch if order is not None else 0, now[1])

    def target(self, instrument: str, own: float) -> float:
        """What to hold of `instrument` at the bar of the last turn: the engine's own target, or on
        a ramp what is on the way there."""
        ramp, order = self._said.ramp, self._orders.order
        if ramp is None or order is None:
            return own
        return on_the_ramp(ramp, order.terms.ramp_s, instrument, own, self._at)

    @property
    def order(self) -> Order | None:
        """The last good order; None before the first."""
        return self._orders.order

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what went wrong: `order`, `refused` and `lock`; `ready`, `targets`, `holding`
        and `adopt` of the engine; `report`."""
        return dict(self._counts)

    @property
    def trouble(self) -> str:
        """What was wrong at the last turn or since; empty: nothing."""
        return "; ".join(self._trouble)

    # Taking over ------------------------------------------------------------------------------

    def _take_over(self, order: Order | None, role: Role) -> tuple[Adopted | None, bool]:
        """Take over what the order asks for, once, and after a restart what was held before.
        Returns what was taken over last, and whether the role can be taken on."""
        before = self._said.adopted
        if order is None:
            return before, self._restore()
        if before is not None and before.token == order.token and not before.trouble:
            return before, self._restore(before.made)
        if order.phase in FROZEN and self._side is Side.CANDIDATE and not order.barred:
            return self._copy(order, order.baseline) or before, True
        changes = role is Role.WRITES and self._said.role not in WRITING
        if not changes or not order.takes:
            return before, self._restore()
        if self._side is Side.CANDIDATE:
            # The state that was proven under the fence; in the engine already, unless it is new.
            proven = before is not None and before.sha256 == order.takes and not before.trouble
            return before, proven and before is not None and self._restore(before.made)
        return self._copy(order, order.candidate) or before, True

    def _copy(self, order: Order, other: str) -> Adopted | None:
        """What the other process holds, brought to this schema and taken over. None: it has not
        said yet."""
        said = self._report_of(other)
        held = said.holding if said is not None else None
        back = self._side is Side.BASELINE
        if back and (held is None or order.takes == UNKNOWN):
            words = f"nobody knows what {other} held; take the position from the broker"
            return Adopted(UNKNOWN, order.token, None, (words,))
        if said is None or held is None or (not back and said.held != order.token):
            return None
        try:
            wanted = self._in_own_schema(held, whole=not back)
        except NoWay as error:
            self._wrong("adopt", str(error))
            return Adopted(said.sha256, order.token, None, (str(error),))
        self._restarted = False
        if not self._adopt(replace(wanted, account=wanted.account.rebased())):
            return Adopted(said.sha256, order.token, None, (self._trouble[-1],))
        made = self._asked("holding", self._engine.holding, None)
        return Adopted(said.sha256, order.token, made, () if made else (self._trouble[-1],))

    def _in_own_schema(self, held: Holding, *, whole: bool) -> Holding:
        """Raises NoWay where the state must come over `whole` and cannot; else it is left out."""
        try:
            return migrated(held, self._schema, self._migrations)
        except NoWay:
            if whole:
                raise
            return replace(held, algorithm=None, schema=self._schema)

    def _restore(self, other: Holding | None = None) -> bool:
        """After a restart the engine takes over what this process held, or had taken over."""
        if not self._restarted:
            return True
        held = other if self._said.role not in WRITING and other is not None else self._said.holding
        if held is None or self._adopt(held):
            self._restarted = False
        return not self._restarted

    def _adopt(self, holding: Holding) -> bool:
        try:
            self._engine.adopt(holding)
        except Exception as error:
            log.exception("%s cannot take over a state", self.name)
            self._wrong("adopt", f"cannot take over: {type(error).__name__}: {error}")
            return False
        return True

    # Saying -----------------------------------------------------------------------------------

    def _hold(self, order: Order | None, role: Role) -> tuple[Holding | None, str, int]:
        """What this process holds, while it writes and when it stops; later what it held then."""
        last, token = self._said, order.token if order is not None else 0
        kept = (last.holding, last.sha256, last.held)
        stops = (
            order is not None and order.phase is Phase.FENCE and self._side is Side.BASELINE
            and not order.barred
        )  # fmt: skip
        frozen = order is not None and order.phase in FROZEN and last.held == token
        if frozen or not (role in WRITING or stops):
            return kept
        found = self._asked("holding", self._engine.holding, None)
        wrong = unfit(found) if found is not None else ""
        if found is None or wrong:
            self._wrong("holding", wrong)
            return kept
        try:
            return found, digest(found), token
        except ValueError as error:
            self._wrong("holding", str(error))
            return kept

    def _ramp(
        self,
        order: Order | None,
        role: Role,
        holding: Holding | None,
        targets: Mapping[str, float | None],
    ) -> Ramp | None:
        """Where a new writer begins from, noted when it begins."""
        if order is None or role is not Role.WRITES or not order.ramps:
            return None
        if self._said.role is Role.WRITES:
            return self._said.ramp
        position = holding.position if holding is not None else {}
        offsets = {
            name: position.get(name, 0.0) - (targets.get(name, 0.0) or 0.0)
            for name in sorted({*position, *targets})
        }
        return Ramp(order.token, self._at, offsets)

    def _targets(self) -> dict[str, float | None]:
        """Of the engine; None where it cannot say."""
        wanted = self._engine.targets()
        return {name: own if isfinite(own) else None for name, own in wanted.items()}

    def _say(self, said: Report) -> Role:
        """Written before anything is sent: without a report there is no leave."""
        try:
            content = encode(said)
            if len(content) > LARGEST:
                raise ValueError(f"larger than {LARGEST} bytes; name what is large by its hash")
            replace_whole(self.directory / f"{self.name}.json", content)
        except (OSError, TypeError, ValueError) as error:
            self._wrong("report", f"{self.directory / self.name}.json: {error}")
            self._taken = None
            return Role.SHADOWS
        self._said = said
        self._taken = (said.store, said.token) if said.role in WRITING else None
        return said.role

    def _report_of(self, process: str) -> Report | None:
        try:
            with (self.directory / f"{process}.json").open("rb") as file:
                return decode_report(file.read(LARGEST + 1), process)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._wrong("report", f"{process} {error}")
            return None

    def _asked(self, what: str, ask: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return ask()
        except Exception as error:
            log.exception("%s: %s of the engine", self.name, what)
            self._wrong(what, f"{what}: {type(error).__name__}: {error}")
            return otherwise

    def _wrong(self, kind: str, words: str) -> None:
        if words:
            self._counts[kind] += 1
            self._trouble.append(words)
