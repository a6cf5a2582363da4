"""Parameters and processes of their own: nobody ever reads parts of two vectors, and an engine is
led from one file to the other by nothing but the files."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.parameters import FLOW_1, FLOW_3
from support.services import Desk

from controller.core.effect import SetParameters
from controller.core.share import WHOLE, Share
from controller.effects.config import ConfigFile, Versions
from controller.policy.transition import ParameterRule, Parameters

pytestmark = pytest.mark.real

NAMES = [f"p{number}" for number in range(40)]
READER = """
import json, sys
from controller.client import Client
client = Client.from_file("nowhere.json", baseline="v1", watch=None, parameters=sys.argv[1])
seen = set()
print("ready", flush=True)
while 100 not in seen:
    found = client.parameters()
    values = set(found.values.values())
    assert len(values) == 1, sorted(values)
    assert len(found.values) == 40
    seen |= values
print(len(seen), client.counts.get("parameters", 0), flush=True)
"""
ENGINE = """
import sys
from controller.client import Client
live = sys.argv[1]
client = Client.from_file(
    f"{live}/share.json", baseline="v1", watch=None,
    parameters=f"{live}/flow.yaml", acknowledgements=f"{live}/said", name="engine",
)
running = None
for _ in sys.stdin:
    found = client.parameters()
    if found is not None and found is not running:
        running = found
        assert client.acknowledge(running)
    print(running.values["flow"]["fast"] if running else None, flush=True)
"""
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("suffix", ["json", "yaml", "toml"])
def test_a_reader_in_another_process_never_sees_half_a_vector(suffix: str, tmp_path: Path) -> None:
    for name, value in (("v1", 0), ("v3", 100)):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "toml":
            path.write_text("".join(f"{key} = {value}\n" for key in NAMES))
        else:
            path.write_text(json.dumps(dict.fromkeys(NAMES, value)))
    rules = tuple(ParameterRule(path=name, curve="linear") for name in NAMES)
    files = {name: tmp_path / f"{name}.{suffix}" for name in ("v1", "v3")}
    versions = Versions(files, "v1", "v3")
    target = ConfigFile(tmp_path / f"live.{suffix}", versions, "r", "s", Parameters(rules=rules))
    target.deliver(SetParameters("r/0/0", "live", Share(0), 1, 0))
    command = [sys.executable, "-c", READER, str(target.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for token in range(1, 51):
            progress = Share(token * WHOLE // 50)
            target.deliver(SetParameters(f"r/{token}/0", "live", progress, 1, token))
        told = reader.stdout.read().split()
        assert reader.wait(60) == 0
    assert int(told[0]) >= 2
    assert told[1] == "0"


POLICY = """\
rollout: signal
baseline: {version: v1, config: configs/v1.yaml}
candidate: {version: v3, config: configs/v3.yaml}
schedule: {tick: 30s}
publish:
  share: {type: file, path: live/share.json}
  live: {type: config, path: live/flow.yaml}
transition:
  parameters:
    over: 10m
    stages: [sync]
    changes: 5
    rules:
      - {path: flow.fast, curve: linear}
    rest: {switch_at: 100%}
    acknowledge: {directory: live/said, by: [engine]}
stages:
  - {name: sync, weight: 0%, mirror: true, hold: 10m}
  - {name: full, weight: 100%, hold: 5m}
"""


def test_an_engine_of_its_own_is_led_from_one_file_to_the_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path, POLICY, {"configs/v1.yaml": FLOW_1, "configs/v3.yaml": FLOW_3})
    live = desk.policies / "live"
    command = [sys.executable, "-c", ENGINE, str(live)]
    seen: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdin is not None and engine.stdout is not None
        desk.command("start")
        while desk.state().name != "completed" or desk.state().unacknowledged:
            desk.go(SECOND, SECOND)
            engine.stdin.write("\n")
            engine.stdin.flush()
            said = engine.stdout.readline().strip()
            if said not in seen:
                seen.append(said)
            assert len(seen) < 20 and desk.state().epoch == 1
        engine.stdin.close()
        assert engine.wait(60) == 0
    assert seen == ["10", "20", "30", "40", "50", "60"]
    assert (live / "flow.yaml").read_text() == FLOW_3
    desk.close()
