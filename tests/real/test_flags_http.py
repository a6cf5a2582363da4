"""The OpenFeature Remote Evaluation Protocol, as an independent client speaks it."""

import http.client
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    FlagNotFoundError,
    InvalidContextError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import Reason
from support.plans import POLICY
from support.publishing import state
from support.services import Desk

from controller.api.server import Server
from controller.client import Client
from controller.effects.files import replace_file
from controller.traffic.published import Pins, Published, encode

pytestmark = pytest.mark.real

FLAGS = "/ofrep/v1/evaluate/flags"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, POLICY)
    desk.command("start")
    desk.go(timedelta(minutes=1))
    yield desk
    desk.close()


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    server = Server(desk.service, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def provider(server: Server) -> Iterator[OFREPProvider]:
    provider = OFREPProvider(server.url)
    yield provider
    provider.session.close()


def publish(desk: Desk, published: Published) -> None:
    replace_file(desk.service.share_file("signal"), encode(published))


def who(key: str, **attributes: Any) -> EvaluationContext:
    return EvaluationContext(key, attributes)


def post(server: Server, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], Any]:
    line = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=30)
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    line.request("POST", path, body, named)
    answer = line.getresponse()
    content = answer.read()
    line.close()
    told = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, told, json.loads(content) if content else None


def test_it_gives_each_key_the_version_that_our_client_gives_it(
    desk: Desk, provider: OFREPProvider
) -> None:
    publish(desk, state(37_000, token=9))
    with Client.from_file(desk.service.share_file("signal"), baseline="v1") as client:
        for number in range(300):
            key = f"key-{number}"
            found = provider.resolve_string_details("signal", "v0", who(key))
            ours = client.assign(key)
            assert (found.value, found.variant) == (ours.version, ours.side)
            assert found.reason == Reason.SPLIT
            assert found.flag_metadata["token"] == 9


def test_a_rollback_counts_at_the_next_question(desk: Desk, provider: OFREPProvider) -> None:
    publish(desk, state(100_000, token=9))
    found = provider.resolve_string_details("signal", "v0", who("a"))
    assert (found.value, found.reason) == ("v3", Reason.STATIC)
    publish(desk, state(0, epoch=2, token=10))
    assert provider.resolve_string_details("signal", "v0", who("a")).value == "v1"


def test_pins_and_mirrors_are_told(desk: Desk, provider: OFREPProvider) -> None:
    pins = Pins(candidate={"account": ("PAPER", "7")})
    publish(desk, state(1, token=9, pins=pins, mirror=True))
    found = provider.resolve_string_details("signal", "v0", who("a", account="PAPER"))
    assert (found.value, found.reason) == ("v3", Reason.TARGETING_MATCH)
    assert provider.resolve_string_details("signal", "v0", who("a", account=7)).value == "v3"
    found = provider.resolve_string_details("signal", "v0", who("a"))
    assert (found.value, found.flag_metadata["mirror"]) == ("v1", "v3")


def test_a_share_that_was_old_before_anybody_asked_is_the_baselines(
    desk: Desk, provider: OFREPProvider
) -> None:
    publish(desk, state(100_000, token=10, max_age_s=60.0))
    os.utime(desk.service.share_file("signal"), (1_000_000, 1_000_000))
    found = provider.resolve_string_details("signal", "v0", who("a"))
    assert (found.value, found.reason) == ("v1", Reason.STALE)


def test_what_cannot_be_evaluated_is_an_error_of_the_protocol(provider: OFREPProvider) -> None:
    with pytest.raises(FlagNotFoundError, match="no rollout 'other'"):
        provider.resolve_string_details("other", "v0", who("a"))
    with pytest.raises(TargetingKeyMissingError):
        provider.resolve_string_details("signal", "v0", EvaluationContext())
    with pytest.raises(InvalidContextError):
        provider.resolve_string_details("signal", "v0", who("k" * 60_000 + "é" * 3_000))
    with pytest.raises(TypeMismatchError):
        provider.resolve_boolean_details("signal", False, who("a"))


def test_a_file_that_is_gone_is_no_flag_until_one_was_seen_and_then_the_last_state_stands(
    desk: Desk, provider: OFREPProvider
) -> None:
    path = desk.service.share_file("signal")
    path.unlink()
    with pytest.raises(FlagNotFoundError, match="nothing is published"):
        provider.resolve_string_details("signal", "v0", who("a"))
    publish(desk, state(100_000, token=9))
    assert provider.resolve_string_details("signal", "v0", who("a")).value == "v3"
    path.unlink()
    assert provider.resolve_string_details("signal", "v0", who("a")).value == "v3"


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[]", b"3", b'{"context": 3}', b'{"context": []}', b"\xff", b"[" * 60_000],
)
def test_a_body_that_is_none_is_told(server: Server, body: bytes) -> None:
    status, _, said = post(server, f"{FLAGS}/signal", body)
    assert status == 400
    assert said["errorCode"] in ("PARSE_ERROR", "TARGETING_KEY_MISSING")


def test_bodies_are_bounded_and_of_one_kind(server: Server) -> None:
    body = json.dumps({"context": {"targetingKey": "a", "much": "x" * 600_000}}).encode()
    assert post(server, f"{FLAGS}/signal", body)[0] == 413
    assert post(server, f"{FLAGS}/signal", b"{}", Content_Type="text/plain")[0] == 415


def test_all_flags_come_at_once_and_again_only_when_they_differ(desk: Desk, server: Server) -> None:
    publish(desk, state(100_000, token=9))
    body = json.dumps({"context": {"targetingKey": "a"}}).encode()
    status, headers, said = post(server, FLAGS, body)
    assert (status, [(flag["key"], flag["value"]) for flag in said["flags"]]) == (
        200, [("signal", "v3")],
    )  # fmt: skip
    assert post(server, FLAGS, body, If_None_Match=headers["etag"])[0] == 304
    publish(desk, state(0, epoch=2, token=10))
    status, _, said = post(server, FLAGS, body, If_None_Match=headers["etag"])
    assert (status, said["flags"][0]["value"]) == (200, "v1")
