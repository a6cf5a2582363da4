"""The share as weights of HAProxy's servers; acknowledged is what HAProxy itself reports.

The way back raises the baseline's servers, then puts those of the candidate into maintenance, which
keeps sticky sessions away as well. On the way forward the weights are those whose sums come nearest
to the share among servers that can serve; one that somebody else took out of work is let alone.

HAProxy has no compare-and-set, so the decision is noted in a variable of its process: a late
message is refused unless it falls between another controller's look and its write, and then the
next look finds it. A restart of HAProxy forgets weights and note, so the candidate's servers must
be without work in its configuration.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from controller.core.effect import Effect, SetShare, Verify
from controller.core.share import NONE, WHOLE, Share, percent_text
from controller.effects.base import EffectError
from controller.effects.file import Origin
from controller.effects.haproxy_api import Backend, Runtime, Server
from controller.policy.publisher import MOST_WEIGHT, HaproxyPublisher
from controller.traffic.published import Published, Refusal, refusal
from controller.traffic.weights import Weights, share_of, split

COARSEST = 0.01
"""Of the smaller version's share: how far the nearest weights may be from it."""
NO_SHARES = frozenset({"first", "leastconn"})
"""Algorithms that do not divide requests by weight."""


@dataclass(frozen=True, slots=True)
class _Sides:
    """The servers of both versions, and those in the backend that belong to neither."""

    baseline: tuple[Server, ...]
    candidate: tuple[Server, ...]
    others: tuple[Server, ...]
    algorithm: str

    @property
    def weights(self) -> tuple[int, int]:
        """The weight by which each version gets work now."""
        return _sum(self.baseline), _sum(self.candidate)


def _sum(servers: tuple[Server, ...]) -> int:
    return sum(server.serves for server in servers)


class Haproxy:
    """A publisher of weights. Guarantee: at least once, and work for the candidate by no token
    lower than the one noted, but for a message between another's look and its write; work for the
    baseline gets through whatever is noted."""

    def __init__(self, model: HaproxyPublisher, base_dir: Path, origin: Origin) -> None:
        """Opens nothing yet."""
        self._model, self._origin = model, origin
        self._runtime = Runtime(model.socket, base_dir, model.timeout.total_seconds())
        self._place = f"{model.socket}: backend {model.backend}"
        self._note = _variable(model.backend)

    def deliver(self, effect: Effect) -> str:
        """See `Target.deliver`."""
        deadline = self._runtime.deadline()
        match effect:
            case SetShare():
                return self._publish(effect, deadline)
            case Verify():
                return self._shown(effect.share, deadline)
            case _:
                raise EffectError(f"{self._place} takes no {type(effect).__name__}")

    def check(self) -> str:
        """What is there, in words. Raises EffectError."""
        sides = self._look(self._runtime.deadline())
        for server in sides.candidate:
            self._must_be_off_at_start(server)
        count = f"{len(sides.baseline)} + {len(sides.candidate)} servers"
        return f"{self._place}: {count}, the candidate has {_percent(share_of(*sides.weights))}"

    # Publishing ---------------------------------------------------------------------------

    def _publish(self, effect: SetShare, deadline: float) -> str:
        wanted = replace(self._origin.state(effect), mirror=False)
        if effect.share == NONE:
            # Nothing that can fail stands before the way back; the note comes after it.
            said = self._go_back(deadline)
            said += self._write_note(wanted, deadline)
        else:
            self._may_replace(self._noted(deadline), wanted)
            sides = self._look(deadline)
            self._may_split(sides, effect.share)
            commands = list(self._forward(sides, effect.share))
            said = self._write_note(wanted, deadline)
            said += self._runtime.tell(commands, deadline)
        try:
            return self._shown(effect.share, deadline)
        except EffectError as error:
            raise EffectError(f"{error}; HAProxy said: {said}" if said else str(error)) from None

    def _go_back(self, deadline: float) -> str:
        """The baseline's servers first, by their weights of the configuration; then the
        candidate's are put out of work. Servers that are not there do not keep the others."""
        backend, model = self._model.backend, self._model
        try:
            found = self._runtime.backend(backend, deadline).servers
            initial = _proportions([found[name] for name in model.baseline if name in found])
        except EffectError:
            # Without a report there is still a way back.
            found, initial = {}, ()
        weights = dict(zip((n for n in model.baseline if n in found), initial, strict=True))
        commands = [
            f"set server {backend}/{name} weight {weights.get(name, 1)}" for name in model.baseline
        ]
        for name in model.candidate:
            commands += [
                f"set server {backend}/{name} state maint",
                f"set server {backend}/{name} weight 0",
            ]
        return self._runtime.tell(commands, deadline)

    def _forward(self, sides: _Sides, share: Share) -> Iterator[str]:
        """Commands for `share`: the baseline keeps its work until the candidate has its own, and
        no server of the candidate comes back with a weight of before."""
        weights = self._best(sides, share)
        backend = self._model.backend
        for server in sides.baseline:
            if share < WHOLE:
                yield f"set server {backend}/{server.name} weight {weights[server.name]}"
        for server in sides.candidate:
            if not server.taken_out:
                yield f"set server {backend}/{server.name} weight {weights[server.name]}"
            if server.rests:
                yield f"set server {backend}/{server.name} state ready"
        for server in sides.baseline:
            if share == WHOLE:
                yield f"set server {backend}/{server.name} weight 0"

    def _may_split(self, sides: _Sides, share: Share) -> None:
        """Raises EffectError where these servers cannot have `share`."""
        for server in sides.candidate:
            self._must_be_off_at_start(server)
        if NONE < share < WHOLE and sides.algorithm in NO_SHARES:
            raise EffectError(
                f"{self._place} has `balance {sides.algorithm}`, which does not divide requests by "
                "weight; write `balance roundrobin`"
            )

    def _must_be_off_at_start(self, server: Server) -> None:
        if not server.off_at_start:
            raise EffectError(
                f"{self._place}: a restart of HAProxy would give {server.name} work that nobody "
                "decided on; write `disabled` behind it in HAProxy's configuration"
            )

    def _best(self, sides: _Sides, share: Share) -> dict[str, int]:
        """The weight of each server for `share`. Raises EffectError where no weights are near
        enough, or a version that is to have work cannot serve."""
        ours = [server for server in sides.baseline if server.can_serve]
        # Those that a share of 0% put to rest serve as soon as they are told to.
        theirs = [s for s in sides.candidate if s.can_serve or (s.rests and not s.backup)]
        try:
            weights = split(share, _proportions(ours), _proportions(theirs), MOST_WEIGHT)
        except ValueError as error:
            listed = (*sides.baseline, *sides.candidate)
            raise EffectError(f"{self._place}: {error} that can serve ({_told(listed)})") from None
        actual, asked = share_of(sum(weights[0]), sum(weights[1])), share / WHOLE
        if abs(actual - asked) > COARSEST * min(asked, 1 - asked):
            raise EffectError(
                f"{self._place}: weights of the servers that can serve come no nearer to "
                f"{percent_text(share)} than {_percent(actual)}"
            )
        chosen = dict.fromkeys((s.name for s in (*sides.baseline, *sides.candidate)), 0)
        return chosen | _named(ours, weights[0]) | _named(theirs, weights[1])

    # Reading back -------------------------------------------------------------------------

    def _shown(self, share: Share, deadline: float) -> str:
        """What HAProxy reports, if that is `share`. Raises EffectError."""
        sides = self._look(deadline)
        ours, theirs = sides.weights
        words = f"share {_percent(share_of(ours, theirs))} read back, weights {ours}:{theirs}"
        stray = [server.name for server in sides.others if server.serves]
        if stray:
            raise EffectError(
                f"{self._place}: {', '.join(stray)} has work and belongs to neither version"
            )
        if share == NONE:
            self._must_be_back(sides)
        else:
            self._must_be_ours(deadline)
            best = self._best(sides, share)
            wrong = [s for s in (*sides.baseline, *sides.candidate) if s.serves != best[s.name]]
            if wrong:
                raise EffectError(
                    f"{self._place}: {words}, not {percent_text(share)} ({_told(wrong)})"
                )
        return words

    def _must_be_back(self, sides: _Sides) -> None:
        """Raises EffectError."""
        working = [server for server in sides.candidate if not server.in_maintenance]
        if working:
            raise EffectError(
                f"{self._place}: the candidate's servers are not out of work ({_told(working)})"
            )
        if not _sum(sides.baseline):
            raise EffectError(
                f"{self._place}: NOBODY SERVES: the candidate is out of work, and no server of the "
                f"baseline can serve ({_told(sides.baseline)}); bring them up"
            )

    def _look(self, deadline: float) -> _Sides:
        found = self._runtime.backend(self._model.backend, deadline)
        baseline = self._named(found, self._model.baseline)
        candidate = self._named(found, self._model.candidate)
        known = {*self._model.baseline, *self._model.candidate}
        others = tuple(s for name, s in found.servers.items() if name not in known)
        return _Sides(baseline, candidate, others, found.algorithm)

    def _named(self, backend: Backend, names: tuple[str, ...]) -> tuple[Server, ...]:
        missing = [name for name in names if name not in backend.servers]
        if missing:
            there = ", ".join(backend.servers) or "none"
            raise EffectError(
                f"{self._place} has no server {', '.join(missing)}; there are: {there}"
            )
        return tuple(backend.servers[name] for name in names)

    # The note -----------------------------------------------------------------------------

    def _noted(self, deadline: float) -> Published | None:
        """The decision that HAProxy was told last; None where it knows of none."""
        answer = self._runtime.ask(f"get var {self._note}", deadline)
        found = re.search(r"value=<([^/<>]*)/([^/<>]*)/(\d+)/(\d+)/(\d+)>", answer)
        if found is None:
            return None
        share = Share(int(found[3]))
        nothing = SetShare("", "", share, False, int(found[4]), int(found[5]))
        return replace(self._origin.state(nothing), store=found[1], rollout=found[2])

    def _write_note(self, wanted: Published, deadline: float) -> str:
        value = "/".join(
            str(part)
            for part in (wanted.store, wanted.rollout, wanted.share, wanted.epoch, wanted.token)
        )
        commands = ["experimental-mode on", f"set var {self._note} str({value})"]
        return self._runtime.tell(commands, deadline)

    def _may_replace(self, there: Published | None, new: Published) -> None:
        """Raises EffectError when what HAProxy serves has to stay. Another rollout that has come
        to its end leaves the backend to the next."""
        if there is None:
            return
        if there.rollout != new.rollout and there.share in (NONE, WHOLE):
            return
        refused = refusal(there, new)
        if refused is Refusal.OLDER:
            raise EffectError(
                f"{self._place}: holds decision {there.token}, this is {new.token}; if the store "
                f"was restored from a backup, look at what is live and {self._forget}"
            )
        if refused is not None:
            raise EffectError(
                f"{self._place}: share {there.percent} is {there.rollout}'s, of store "
                f"{there.store}; roll back there, or {self._forget} if that is over"
            )

    def _must_be_ours(self, deadline: float) -> None:
        there = self._noted(deadline)
        if there is None:
            raise EffectError(
                f"{self._place}: HAProxy knows of no decision; it was restarted, or knows no "
                "`set var` (before 2.5)"
            )
        if (there.store, there.rollout) != (self._origin.store, self._origin.rollout):
            raise EffectError(
                f"{self._place}: share {there.percent} of {there.rollout} was published from store "
                f"{there.store}, not from this one ({self._origin.store})"
            )

    @property
    def _forget(self) -> str:
        return f"send `experimental-mode on; set var {self._note} str()` to {self._model.socket}"


def _variable(backend: str) -> str:
    """The name of the note: one for each backend, of the signs that a variable may have."""
    readable = re.sub(r"[^A-Za-z0-9]", "_", backend)[:40]
    return f"proc.rollout_{readable}_{hashlib.sha256(backend.encode()).hexdigest()[:8]}"


def _proportions(servers: list[Server]) -> Weights:
    """Those of the configuration; equal ones where it gives none of them any."""
    initial = tuple(server.initial for server in servers)
    return initial if any(initial) else (1,) * len(initial)


def _named(servers: list[Server], weights: Weights) -> dict[str, int]:
    return {server.name: weight for server, weight in zip(servers, weights, strict=True)}


def _told(servers: tuple[Server, ...] | list[Server]) -> str:
    return ", ".join(
        f"{server.name} {'backup' if server.backup else server.status} weight {server.effective}"
        for server in servers
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"
