"""The guide of blending does what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
from support.blending_picture import svg
from support.marked import GOOD, load
from support.publishing import client_of, state

from controller.blend.legs import Status
from controller.blend.settings import Conflict, Mode, Settings
from controller.traffic.published import encode

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "blending.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
BLEND, METRICS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


def test_its_example_blends_and_records(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    published = state(25_000, blend=Settings(mode=Mode.CONFIDENCE))
    (tmp_path / "live" / "share.json").write_bytes(encode(published))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, check=True, timeout=60, capture_output=True
    )
    assert done.stdout.startswith(b"hold 0.4") and b"because blended" in done.stdout
    (line,) = (tmp_path / "inbox" / "client.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert (told["version"], told["conflict"], told["weight"]) == ("v3", False, 0.15)


def test_its_yaml_is_a_policys() -> None:
    text = GOOD.replace("metrics:\n", METRICS.split("triggers:")[0]).replace(
        "triggers:\n", "triggers:" + METRICS.split("triggers:")[1]
    )
    assert [str(finding) for finding in load(text + BLEND).findings] == []


def test_it_names_every_mode_rule_field_and_status() -> None:
    names = [*Mode, *Conflict, *(status for status in Status if status is not Status.USED)]
    names += client_of(state(25_000, blend=Settings())).blend(0.8, 0.4).fields()
    names += [f.encode_name.removesuffix("_s") for f in msgspec.structs.fields(Settings)
              if f.name not in ("enter", "leave")]  # fmt: skip
    assert [name for name in names if f"`{name}" not in PAGE] == []


def test_its_picture_is_what_a_blend_says() -> None:
    said = "draw it: PYTHONPATH=tests python -m support.blending_picture > docs/blending.svg"
    assert (DOCS / "blending.svg").read_text(encoding="utf-8") == svg(), said
