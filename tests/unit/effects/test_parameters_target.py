"""Parameters at their target: both ends are files, nothing late or edited gets there, and nobody
counts as running with them who has not said so."""

import hashlib
from pathlib import Path

import pytest
from support.parameters import FLOW_1, FLOW_3, POLICY, write_files

from controller.client.parameters import ParameterFile
from controller.core.effect import Activate, SetParameters, VerifyActive
from controller.core.share import Share
from controller.effects import open_targets
from controller.effects.base import EffectError, NotYet
from controller.effects.config import ConfigFile
from controller.policy.load import load_text
from controller.traffic.running import Running, encode


def open_live(directory: Path, text: str = POLICY, store: str = "home") -> ConfigFile:
    policy = load_text(text, directory / "policy.yaml", {}, keep_unset=True).policy
    assert policy is not None
    target = open_targets(policy, directory, directory / "state", store)["live"]
    assert isinstance(target, ConfigFile)
    return target


ALONE = POLICY.replace("    acknowledge: {directory: said, by: [engine], within: 5m}\n", "")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_files(tmp_path)
    return tmp_path


def at(percent: int, token: int = 1, epoch: int = 1) -> SetParameters:
    return SetParameters(f"flow/{token}/0", "live", Share(percent * 1000), epoch, token)


def activate(version: str, token: int, epoch: int = 1) -> Activate:
    return Activate(f"flow/{token}/0", "live", version, epoch, token)


def test_both_ends_are_the_files_byte_for_byte(directory: Path) -> None:
    target = open_live(directory, ALONE)
    assert target.deliver(at(0)).startswith("parameters at 0% of the way read back, sha256 ")
    assert target.path.read_text() == FLOW_1
    target.deliver(at(100, 2))
    assert target.path.read_text() == FLOW_3


def test_a_repeat_gives_the_same_bytes_and_the_files_stay_as_they_are(directory: Path) -> None:
    target = open_live(directory, ALONE)
    words = target.deliver(at(50))
    first = target.path.read_bytes()
    assert b"fast: 35" in first and b"mode: full" in first and b"position: 10" in first
    assert open_live(directory, ALONE).deliver(at(50)) == words
    assert target.path.read_bytes() == first
    assert (directory / "v1.yaml").read_text() == FLOW_1
    assert (directory / "v3.yaml").read_text() == FLOW_3


def test_what_somebody_else_wrote_over_a_vector_is_put_right_by_the_repeat(directory: Path) -> None:
    target = open_live(directory, ALONE)
    target.deliver(at(50))
    first = target.path.read_bytes()
    target.path.write_text("flow: {fast: 1}")
    target.deliver(at(50))
    assert target.path.read_bytes() == first


def test_a_late_vector_never_takes_the_place_of_a_newer_one(directory: Path) -> None:
    target = open_live(directory, ALONE)
    target.deliver(activate("v1", 9, epoch=2))
    with pytest.raises(EffectError, match="holds decision 9, this is 8"):
        target.deliver(at(50, 8))
    assert target.path.read_text() == FLOW_1


def test_another_store_does_not_move_them(directory: Path) -> None:
    open_live(directory, ALONE).deliver(at(50))
    with pytest.raises(EffectError, match="v3 was put there by flow of store home"):
        open_live(directory, ALONE, "elsewhere").deliver(at(25, 99))


@pytest.mark.parametrize("edited", ["v1.yaml", "v3.yaml"])
def test_a_file_that_was_edited_on_the_way_stops_them_until_it_is_applied(
    edited: str, directory: Path
) -> None:
    target = open_live(directory, ALONE)
    target.deliver(at(25))
    path = directory / edited
    path.write_text(path.read_text().replace("position: 1", "position: 2"))
    for effect in (at(50, 2), at(100, 3), activate("v3", 4)):
        with pytest.raises(EffectError, match="edited on the way; put it back, roll back, or"):
            target.deliver(effect)
    target.deliver(activate("v1", 4))
    assert target.path.read_bytes() == (directory / "v1.yaml").read_bytes()
    target.deliver(at(50, 5, epoch=2))
    assert b"fast: 35" in target.path.read_bytes()


def test_files_that_no_rule_leads_between_any_more_are_an_error_and_nothing_is_written(
    directory: Path,
) -> None:
    target = open_live(directory, ALONE)
    (directory / "v3.yaml").write_text(FLOW_3.replace("step: 1.0", "step: wide"))
    with pytest.raises(EffectError, match=r"flow\.step: a curve needs two numbers"):
        target.deliver(at(50))
    assert not target.path.exists()
    (directory / "v3.yaml").write_text("[")
    with pytest.raises(EffectError, match="not YAML"):
        target.deliver(at(50))
    (directory / "v3.yaml").unlink()
    with pytest.raises(EffectError, match="No such file"):
        target.deliver(at(50))


# Acknowledged by the processes ---------------------------------------------------------------


def said(directory: Path, process: str, sha256: str, file: str = "engine") -> None:
    (directory / "said").mkdir(exist_ok=True)
    (directory / f"said/{file}.json").write_bytes(encode(Running(process, sha256)))


def test_it_is_there_at_once_and_acknowledged_by_the_hash_of_what_is_there(
    directory: Path,
) -> None:
    target = open_live(directory)
    with pytest.raises(NotYet, match="published, not acknowledged: engine says nothing in"):
        target.deliver(at(50))
    reader = ParameterFile(target.path, directory / "said", "engine")
    found = reader.newest()
    assert found is not None
    assert found.sha256 == hashlib.sha256(target.path.read_bytes()).hexdigest()
    assert found.values["flow"]["fast"] == 35
    with pytest.raises(NotYet):
        target.deliver(at(50))
    reader.acknowledge(found)
    assert target.deliver(at(50)).endswith("; engine runs with it")


@pytest.mark.parametrize(
    ("process", "sha256", "words"),
    [("engine", "0" * 64, "engine runs with '000000000000'"),
     ("risk", None, "engine is spoken for by 'risk'")],
)  # fmt: skip
def test_another_hash_or_name_is_no_acknowledgement(
    process: str, sha256: str | None, words: str, directory: Path
) -> None:
    target = open_live(directory)
    with pytest.raises(NotYet):
        target.deliver(at(50))
    said(directory, process, sha256 or hashlib.sha256(target.path.read_bytes()).hexdigest())
    with pytest.raises(NotYet, match=words):
        target.deliver(at(50))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 3000, b"{}"])
def test_an_acknowledgement_that_cannot_be_read_is_none(content: bytes, directory: Path) -> None:
    target = open_live(directory)
    (directory / "said").mkdir()
    (directory / "said/engine.json").write_bytes(content)
    with pytest.raises(NotYet, match="says nothing that can be read"):
        target.deliver(at(50))


def test_all_that_are_named_have_to_say_so(directory: Path) -> None:
    target = open_live(directory, POLICY.replace("by: [engine]", "by: [engine, risk]"))
    with pytest.raises(NotYet, match=r"engine says nothing.*; risk says nothing"):
        target.deliver(at(50))
    digest = hashlib.sha256(target.path.read_bytes()).hexdigest()
    said(directory, "engine", digest)
    with pytest.raises(NotYet, match="acknowledged: risk says nothing"):
        target.deliver(at(50))
    said(directory, "risk", digest, "risk")
    assert target.deliver(at(50)).endswith("; engine, risk run with it")


def test_the_baseline_is_back_at_once_and_verified_when_the_process_says_so(
    directory: Path,
) -> None:
    target = open_live(directory)
    with pytest.raises(NotYet):
        target.deliver(at(50))
    with pytest.raises(NotYet):
        target.deliver(activate("v1", 2, epoch=2))
    assert target.path.read_text() == FLOW_1
    with pytest.raises(NotYet):
        target.deliver(VerifyActive("flow/3/0", "live", "v1"))
    said(directory, "engine", hashlib.sha256(FLOW_1.encode()).hexdigest())
    assert target.deliver(VerifyActive("flow/3/0", "live", "v1")).endswith("engine runs with it")
