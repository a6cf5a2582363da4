"""flagd gives every key the version that we give it: asked by flagd's own code."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.contrib.tools.flagd.core.targeting.custom_ops import fractional
from openfeature.evaluation_context import EvaluationContext
from support.publishing import client_of, state

from controller.core.share import WHOLE, Share
from controller.traffic import flagd
from controller.traffic.buckets import Buckets, limit
from controller.traffic.published import Pins, Published

SHARES = (0, 1, 2, 500, 1_000, 5_000, 25_000, 33_333, 50_000, 75_000, 99_999, 100_000)
MILLION = 1_000_000
PINS = Pins(
    baseline={"key": ("key-1",), "account": ("A1", "17")},
    candidate={"key": ("key-2",), "account": ("A2",), "desk": ("rates",)},
)


def core_of(published: Published) -> FlagdCore:
    core = FlagdCore()
    core.set_flags(flagd.encode(published).decode())
    return core


def resolved(core: FlagdCore, key: str, attributes: dict[str, Any] | None = None) -> str:
    context = EvaluationContext(key, attributes or {})
    return core.resolve_string_value("signal", "none", context).value


def test_flagds_fractional_agrees_on_a_million_keys_over_many_shares() -> None:
    keys = [f"{number:x}-NQ" for number in range(MILLION)]
    places, _ = Buckets("signal").places(keys)
    limits = [limit(Share(share)) for share in SHARES]
    weights = [(["candidate", share], ["baseline", WHOLE - share]) for share in SHARES]
    data: dict[str, Any] = {"$flagd": {"flagKey": "signal"}}
    different = 0
    for number, (key, place) in enumerate(zip(keys, places.tolist(), strict=True)):
        chosen = number % len(SHARES)
        data["targetingKey"] = key
        theirs = fractional(data, *weights[chosen])
        different += (theirs == "candidate") != (place < limits[chosen])
    assert different == 0


@pytest.mark.parametrize("share", SHARES)
def test_the_whole_flag_agrees_with_the_client(share: int) -> None:
    published = state(share)
    core, client = core_of(published), client_of(published)
    keys = ["ö", "x" * 23, "x" * 24, "x" * 300, *(f"key-{number}" for number in range(500))]
    assert [resolved(core, key) for key in keys] == [client.assign(key).version for key in keys]


@pytest.mark.parametrize("share", [0, 1, 50_000, 100_000])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"account": "A1"}, {"account": "A2"}, {"account": 17}, {"account": "A9"}, {"account": ""},
     {"account": "A9", "desk": "rates"}, {"desk": "rates"}],
    ids=str,
)  # fmt: skip
def test_pins_agree_with_the_client(share: int, attributes: dict[str, Any]) -> None:
    published = state(share, pins=PINS)
    core, client = core_of(published), client_of(published)
    for key in ("key-1", "key-2", "key-3", "key-4", "key-5"):
        assert resolved(core, key, attributes) == client.assign(key, attributes).version


@pytest.mark.parametrize("pins", [Pins(), PINS, Pins(candidate={"account": ("A2",)})])
@pytest.mark.parametrize("share", [0, 5_000, 100_000])
def test_without_a_key_both_give_the_baseline(
    share: int, pins: Pins, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # flagd says so too
    published = state(share, pins=pins)
    attributes = {"account": "A2"}
    assert resolved(core_of(published), "", attributes) == "v1"
    assert client_of(published).assign("", attributes).version == "v1"


def test_a_flag_file_is_read_by_the_openfeature_provider(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    published = state(50_000)
    path.write_bytes(flagd.encode(published))
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path))
    try:
        api.set_provider_and_wait(provider, "routing")
        client, own = api.get_client("routing"), client_of(published)
        for number in range(50):
            key = f"key-{number}"
            details = client.get_string_details("signal", "none", EvaluationContext(key))
            assert details.value == own.assign(key).version
            assert details.flag_metadata["token"] == 7
    finally:
        api.clear_providers()


@pytest.mark.parametrize("share", [0, 5_000, 100_000])
@pytest.mark.parametrize("pins", [Pins(), PINS])
def test_a_flag_says_what_state_it_stands_for(share: int, pins: Pins) -> None:
    published = state(share, pins=pins, mirror=True)
    assert flagd.decode(flagd.encode(published)) == published


def test_a_flag_that_somebody_changed_stands_for_nothing() -> None:
    content = json.loads(flagd.encode(state()))
    content["flags"]["signal"]["targeting"]["fractional"][0][1] = 50_000
    with pytest.raises(ValueError, match="changed by somebody else"):
        flagd.decode(json.dumps(content).encode())


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"flags": {}}', b'{"flags": {"a": {}, "b": {}}}',
                b'{"flags": {"a": {"metadata": {"state": "{}"}}}}', b'{"flags": {"a": 1}}'],
)  # fmt: skip
def test_a_file_of_other_flags_is_not_ours(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a published flag"):
        flagd.decode(content)
