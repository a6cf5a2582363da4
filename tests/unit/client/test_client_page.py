"""The guide of the client does what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

from support.marked import GOOD
from support.publishing import state

from controller.client import Reason
from controller.policy.load import load_text
from controller.traffic.published import encode

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text(encoding="utf-8")
FIRST, ELSEWHERE, SECOND = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def run(program: str, place: Path) -> None:
    (place / "live").mkdir()
    published = state(100_000, baseline="ifd-1.0", candidate="ifd-3.0")
    (place / "live" / "share.json").write_bytes(encode(published))
    subprocess.run([sys.executable, "-c", program], cwd=place, check=True, timeout=60)


def test_its_first_example_answers(tmp_path: Path) -> None:
    run(FIRST + "assert (version, health.ok) == ('ifd-3.0', True), health", tmp_path)


def test_its_example_of_a_controller_elsewhere_is_the_baselines_without_one(tmp_path: Path) -> None:
    program = ELSEWHERE.replace(":8787", ":1")  # nothing listens there
    run(
        "from controller.client import Client\n" + program
        + "assert client.assign('a').version == 'ifd-1.0', client.health()",
        tmp_path,
    )  # fmt: skip


def test_its_second_example_records(tmp_path: Path) -> None:
    run("from controller.client import Client\n" + SECOND, tmp_path)
    recorded = (tmp_path / "inbox" / "client.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in recorded] == ["a17", "a17"]


def test_its_yaml_is_a_policys() -> None:
    (routing,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert [
        str(finding) for finding in load_text(GOOD + routing, Path("p.yaml"), {}).findings
    ] == []


def test_it_names_every_reason() -> None:
    assert all(f"`{reason}`" in PAGE for reason in Reason)
