"""The one definition of buckets: the same key, the same place, in any process and any language.

A key's place is `murmur3_32(cbor([layer, key]))` with seed 0, an integer below 2^32; its bucket is
`(place * 100,000) >> 32`. That is `fractional` of flagd (openfeature-flagd-core 2) for a flag whose
key is the layer and whose weights add up to 100,000, the candidate's first. The candidate has the
buckets below its share, so raising the share moves keys only towards it (rule 11).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmh3 import mmh3_32_uintdigest

from controller.core.share import WHOLE, Share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLACES = 1 << 32
LONGEST_KEY = 65_535
"""Bytes of a key in UTF-8. What is longer is a mistake of its writer."""
_PREPARED = 256
UNUSUAL = (KeyError, AttributeError, TypeError, UnicodeEncodeError)
"""What the quick way through `heads` raises for a key that is no text, empty, long or not UTF-8."""


class BadKey(ValueError):
    """Not a key; the message says what is wrong with it."""


class Buckets:
    """The buckets of one layer. Immutable."""

    __slots__ = ("heads", "layer")

    def __init__(self, layer: str) -> None:
        """`layer`: two rollouts in different layers do not correlate, in the same one they share
        their buckets."""
        self.layer = layer
        self.heads = {length: self._head(length) for length in range(1, _PREPARED)}
        """What stands before a key of so many bytes."""

    def place(self, key: str) -> int:
        """Where `key` is in 0 to 2^32 - 1. Raises BadKey."""
        raw = key_bytes(key)
        return mmh3_32_uintdigest(self._head(len(raw)) + raw)

    def bucket(self, key: str) -> int:
        """0 to 99,999. Raises BadKey."""
        return self.place(key) * WHOLE >> 32

    def places(self, keys: Iterable[str]) -> "tuple[NDArray[np.uint32], NDArray[np.bool_]]":
        """The places of many keys, and which of them are keys at all (the place of one that is
        not says nothing)."""
        import numpy as np

        listed = list(keys)
        heads, digest = self.heads, mmh3_32_uintdigest
        good = np.ones(len(listed), np.bool_)
        try:
            found = [digest(heads[len(raw)] + raw) for raw in map(str.encode, listed)]
        except UNUSUAL:
            found = []
            for number, key in enumerate(listed):
                try:
                    found.append(self.place(key))
                except BadKey:
                    good[number] = False
                    found.append(0)
        return np.array(found, np.uint32), good

    def _head(self, length: int) -> bytes:
        """A CBOR array of two texts, up to the bytes of the second."""
        layer = self.layer.encode()
        return b"\x82" + _text_head(len(layer)) + layer + _text_head(length)


def limit(share: Share) -> int:
    """The places below it are the candidate's: just those whose bucket is below `share`."""
    return -(-(share * PLACES) // WHOLE)


def key_bytes(key: object) -> bytes:
    """`key` in UTF-8. Raises BadKey."""
    if not isinstance(key, str):
        raise BadKey(f"a key is a text, not {type(key).__name__}")
    if not key:
        raise BadKey("the key is empty")
    if len(key) <= LONGEST_KEY:
        try:
            raw = key.encode()
        except UnicodeEncodeError:
            raise BadKey("the key has characters that UTF-8 has not") from None
        if len(raw) <= LONGEST_KEY:
            return raw
    raise BadKey(f"the key is longer than {LONGEST_KEY} bytes")


def _text_head(length: int) -> bytes:
    """Canonical CBOR (RFC 8949 4.2): the shortest head of a text of so many bytes."""
    if length < 24:
        return bytes([0x60 | length])
    if length < 1 << 8:
        return bytes([0x78, length])
    return b"\x79" + length.to_bytes(2)
