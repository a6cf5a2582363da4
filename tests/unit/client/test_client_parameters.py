"""Parameters in the client: the newest whole vector, otherwise the last good one; no exception in
the caller's loop unless asked for."""

import json
from pathlib import Path

import pytest

from controller.client import Client, Parameters, ParametersError
from controller.client.parameters import ParameterFile
from controller.effects.files import replace_file


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return open_client(tmp_path)


def open_client(directory: Path, *, strict: bool = False) -> Client:
    return Client.from_file(
        directory / "share.json", baseline="v1", watch=None, strict=strict,
        parameters=directory / "live.yaml", acknowledgements=directory / "said", name="engine",
    )  # fmt: skip


def test_it_gives_the_newest_vector_and_the_same_object_while_nothing_changes(
    client: Client, tmp_path: Path
) -> None:
    assert client.parameters() is None
    replace_file(tmp_path / "live.yaml", b"flow: {fast: 10}\n")
    first = client.parameters()
    assert first is not None
    assert first.values == {"flow": {"fast": 10}}
    assert client.parameters() is first
    replace_file(tmp_path / "live.yaml", b"flow: {fast: 10}\n")
    assert client.parameters() is first
    replace_file(tmp_path / "live.yaml", b"flow: {fast: 12}\n")
    second = client.parameters()
    assert second is not None
    assert second.values["flow"]["fast"] == 12


@pytest.mark.parametrize("content", [b"[", b"\xff", b"- 1\n", None])
def test_what_cannot_be_read_leaves_the_last_good_vector_and_is_counted(
    content: bytes | None, client: Client, tmp_path: Path
) -> None:
    replace_file(tmp_path / "live.yaml", b"fast: 10\n")
    first = client.parameters()
    if content is None:
        (tmp_path / "live.yaml").unlink()
    else:
        replace_file(tmp_path / "live.yaml", content)
    assert client.parameters() is first
    assert client.counts["parameters"] == 1


def test_a_strict_client_raises(tmp_path: Path) -> None:
    client = open_client(tmp_path, strict=True)
    with pytest.raises(ParametersError, match=r"no file .*live\.yaml"):
        client.parameters()
    (tmp_path / "said").write_text("no directory")
    with pytest.raises(ParametersError, match="said"):
        client.acknowledge(Parameters({}, "0" * 64))


def test_an_acknowledgement_is_one_small_file_by_the_name_of_the_process(
    client: Client, tmp_path: Path
) -> None:
    assert client.acknowledge(Parameters({}, "ab" * 32))
    assert client.acknowledge(Parameters({}, "cd" * 32))
    (path,) = (tmp_path / "said").iterdir()
    assert path.name == "engine.json"
    assert json.loads(path.read_text()) == {"process": "engine", "sha256": "cd" * 32}


def test_an_acknowledgement_that_cannot_be_written_is_false_and_counted(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "said").write_text("no directory")
    assert not client.acknowledge(Parameters({}, "ab" * 32))
    assert client.counts["parameters"] == 1


def test_a_client_without_parameters_says_what_to_name(tmp_path: Path) -> None:
    client = Client.from_file(tmp_path / "share.json", baseline="v1", watch=None)
    for call in (client.parameters, lambda: client.acknowledge(Parameters({}, ""))):
        with pytest.raises(ValueError, match="name their file"):
            call()
    with pytest.raises(ParametersError, match="no place to acknowledge"):
        ParameterFile(tmp_path / "live.yaml").acknowledge(Parameters({}, ""))
    with pytest.raises(ValueError, match="no name of a process"):
        ParameterFile(tmp_path / "live.yaml", tmp_path, "../evil")
