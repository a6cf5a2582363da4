"""From a published state and a key to the version that acts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mmh3 import mmh3_32_uintdigest

from controller.core.share import NONE, WHOLE, Share
from controller.traffic.buckets import UNUSUAL, BadKey, Buckets, limit
from controller.traffic.published import Pinned, Published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "key"
"""The attribute that stands for the key itself."""
BIGGEST = 1 << 64
"""Whole numbers below it may stand for the text of their digits."""


class Side(StrEnum):
    """Which of the two versions acts."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class Reason(StrEnum):
    """Why it acts: by share or pin, or because nothing else could be known."""

    SHARE = "share"
    PIN = "pin"
    NO_STATE = "no_state"
    TOO_OLD = "too_old"
    BAD_KEY = "bad_key"
    NO_ATTRIBUTE = "no_attribute"
    NO_BLEND = "no_blend"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who acts on a key. `version` acts; `mirror`, if not None, runs as well and its answer is
    only compared. `epoch` and `token` name the decision that it follows from (0: none)."""

    version: str
    side: Side
    reason: Reason
    mirror: str | None = None
    epoch: int = 0
    token: int = 0

    def __str__(self) -> str:
        return self.version


class Unroutable(ValueError):
    """Nobody can say where this belongs; `reason` says why."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Router:
    """Routes keys by one published state. Immutable; every answer is made beforehand."""

    __slots__ = ("_baseline", "_candidate", "_heads", "_limit", "_pins", "buckets", "published")

    def __init__(self, published: Published, buckets: Buckets | None = None) -> None:
        """`buckets`: those of an earlier router, taken over if the layer is the same."""
        if buckets is None or buckets.layer != published.layer:
            buckets = Buckets(published.layer)
        self.published, self.buckets = published, buckets
        self._heads = buckets.heads
        self._limit = limit(published.share)
        self._baseline = _assignment(published, Side.BASELINE, Reason.SHARE)
        self._candidate = _assignment(published, Side.CANDIDATE, Reason.SHARE)
        self._pins = _Pins(published) if published.share > NONE and _has_pins(published) else None

    @property
    def has_pins(self) -> bool:
        """Whether anybody's version is not a matter of the share."""
        return self._pins is not None

    def route(self, key: str, attributes: Mapping[str, object] | None = None) -> Assignment:
        """Who acts on `key`. Raises Unroutable."""
        try:
            raw = key.encode()
            place = mmh3_32_uintdigest(self._heads[len(raw)] + raw)
        except UNUSUAL:
            place = self._place(key)
        if self._pins is not None:
            pinned = self._pins.find(key, attributes)
            if pinned is not None:
                return pinned
        return self._candidate if place < self._limit else self._baseline

    def share_of(
        self, key: str, attributes: Mapping[str, object] | None = None, *, whole: bool = False
    ) -> Share:
        """The candidate's share of what `key` stands for, where both act on it together: the
        published one, unless a pin gives it to one of them. `whole`: to the one that acts on the
        key. Raises Unroutable."""
        if self._pins is None and not whole:
            return self.published.share
        if whole:
            return WHOLE if self.route(key, attributes).side is Side.CANDIDATE else NONE
        self._place(key)
        pinned = self._pins.find(key, attributes) if self._pins is not None else None
        if pinned is None:
            return self.published.share
        return WHOLE if pinned.side is Side.CANDIDATE else NONE

    def route_many(
        self, keys: Sequence[str], attributes: Mapping[str, Sequence[object]] | None = None
    ) -> "tuple[NDArray[np.bool_], dict[Reason, int]]":
        """Whether the candidate acts on each key, and how many are the baseline's because nobody
        can say. `attributes`: columns as long as `keys`."""
        places, good = self.buckets.places(keys)
        candidate = (places < self._limit) & good
        doubts: dict[Reason, int] = {}
        bad = int(good.size - good.sum())
        if bad:
            doubts[Reason.BAD_KEY] = bad
        if self._pins is not None:
            self._pins.apply(keys, attributes or {}, good, candidate, doubts)
        return candidate, doubts

    def _place(self, key: str) -> int:
        """The slow way, for long keys and for what is none."""
        try:
            return self.buckets.place(key)
        except BadKey as error:
            raise Unroutable(Reason.BAD_KEY, str(error)) from None


class _Pins:
    """The pins of one state. Where a key could be pinned to the baseline and its attribute is not
    known, it is the baseline's."""

    __slots__ = ("_baseline", "_candidate", "_to_baseline", "_to_candidate")

    def __init__(self, published: Published) -> None:
        self._baseline = _sets(published.pins.baseline)
        self._candidate = _sets(published.pins.candidate)
        self._to_baseline = _assignment(published, Side.BASELINE, Reason.PIN)
        self._to_candidate = _assignment(published, Side.CANDIDATE, Reason.PIN)

    def find(self, key: str, attributes: Mapping[str, object] | None) -> Assignment | None:
        """Where `key` is pinned to, if it is. Raises Unroutable."""
        for name, values in self._baseline:
            value = key if name == KEY else _text(attributes, name)
            if value is None:
                raise Unroutable(Reason.NO_ATTRIBUTE, f"{name} is not given, and pins read it")
            if value in values:
                return self._to_baseline
        for name, values in self._candidate:
            if (key if name == KEY else _text(attributes, name)) in values:
                return self._to_candidate
        return None

    def apply(
        self,
        keys: Sequence[str],
        attributes: Mapping[str, Sequence[object]],
        good: "NDArray[np.bool_]",
        candidate: "NDArray[np.bool_]",
        doubts: dict[Reason, int],
    ) -> None:
        """The same for many keys, written into `candidate` and `doubts`."""
        names = [name for name, _ in (*self._baseline, *self._candidate) if name != KEY]
        columns = {name: attributes[name] for name in names if name in attributes}
        for number, key in enumerate(keys):
            if not good[number]:
                continue
            known = {name: column[number] for name, column in columns.items()} if columns else None
            try:
                found = self.find(key, known)
            except Unroutable as doubt:
                candidate[number] = False
                doubts[doubt.reason] = doubts.get(doubt.reason, 0) + 1
            else:
                if found is not None:
                    candidate[number] = found is self._to_candidate


def _assignment(published: Published, side: Side, reason: Reason) -> Assignment:
    acts = published.baseline if side is Side.BASELINE else published.candidate
    mirrored = published.mirror and side is Side.BASELINE
    return Assignment(
        acts, side, reason, published.candidate if mirrored else None,
        published.epoch, published.token,
    )  # fmt: skip


def _has_pins(published: Published) -> bool:
    return bool(published.pins.baseline or published.pins.candidate)


def _sets(pinned: Pinned) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((name, frozenset(values)) for name, values in pinned.items())


def _text(attributes: object, name: str) -> str | None:
    """The attribute as it is written in a policy; None if there is none that could be."""
    value = attributes.get(name) if isinstance(attributes, Mapping) else None
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < BIGGEST:
        return str(value)
    return None
