"""Buckets: flagd's own, to the last key; what is no key is said to be none."""

import cbor2
import mmh3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.share import WHOLE, Share
from controller.traffic.buckets import LONGEST_KEY, PLACES, BadKey, Buckets, limit

LENGTHS = (1, 22, 23, 24, 25, 254, 255, 256, 257, 65_534, 65_535)
"""At both sides of every head that CBOR has."""


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("layer", ["a", "signal", "x" * 23, "x" * 24, "y" * 300, "schrö"])
def test_a_place_is_murmur3_of_canonical_cbor_of_layer_and_key(layer: str, length: int) -> None:
    key = "k" * length
    encoded = cbor2.dumps([layer, key], canonical=True)
    assert Buckets(layer).place(key) == mmh3.hash(encoded, 0, signed=False)


@given(layer=st.text(min_size=1), key=st.text(min_size=1, max_size=300))
def test_any_text_has_the_place_that_a_cbor_library_gives_it(layer: str, key: str) -> None:
    encoded = cbor2.dumps([layer, key], canonical=True)
    assert Buckets(layer).place(key) == mmh3.hash(encoded, 0, signed=False)


@given(place=st.integers(0, PLACES - 1), share=st.integers(0, WHOLE))
def test_below_the_limit_are_just_the_places_whose_bucket_is_below_the_share(
    place: int, share: int
) -> None:
    assert (place < limit(Share(share))) == ((place * WHOLE >> 32) < share)


@given(share=st.integers(1, WHOLE))
def test_the_limit_lies_between_two_buckets(share: int) -> None:
    edge = limit(Share(share))
    assert (edge - 1) * WHOLE >> 32 == share - 1
    assert edge * WHOLE >> 32 == share


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "empty"),
        (None, "not NoneType"),
        (17, "not int"),
        (b"key", "not bytes"),
        ("\ud800", "UTF-8"),
        ("k" * (LONGEST_KEY + 1), "longer than 65535 bytes"),
        ("ö" * 40_000, "longer than 65535 bytes"),
        ("k" * 50_000_000, "longer than 65535 bytes"),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_what_is_no_key_is_refused_with_the_reason(key: str, said: str) -> None:
    with pytest.raises(BadKey, match=said):
        Buckets("signal").bucket(key)


@given(st.lists(st.text(max_size=300)))
def test_many_keys_have_the_places_that_each_has(keys: list[str]) -> None:
    buckets = Buckets("signal")
    places, good = buckets.places(keys)
    assert places.dtype == np.uint32
    assert good.tolist() == [key != "" for key in keys]
    assert [int(p) for p, key in zip(places, keys, strict=True) if key] == [
        buckets.place(key) for key in keys if key
    ]
