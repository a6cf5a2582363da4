"""The client in processes of its own: what it loads, that they agree, and that a fork goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.publishing import state

from controller.traffic.published import encode

pytestmark = pytest.mark.real

OURS = {
    "controller", "controller.blend", "controller.blend.blend", "controller.blend.columns",
    "controller.blend.friction",
    "controller.blend.learning", "controller.blend.legs", "controller.blend.mixing",
    "controller.blend.settings", "controller.client", "controller.client.blending",
    "controller.client.client", "controller.client.feed", "controller.client.known",
    "controller.client.parameters", "controller.client.record", "controller.client.stream",
    "controller.core",
    "controller.core.share", "controller.traffic", "controller.traffic.buckets",
    "controller.traffic.published", "controller.traffic.route", "controller.traffic.running",
    "controller.client.files", "controller.client.handover", "controller.client.orders",
    "controller.core.effect", "controller.traffic.handover", "controller.traffic.snapshot",
}  # fmt: skip
OTHERS = {"mmh3", "msgspec", "typing_extensions"}
"""What it may load that neither we nor Python bring."""
LOADED = """
import sys
from controller.client import Client
Client.from_file("nowhere.json", baseline="v1").assign("a")
print(*sys.modules)
"""
ASSIGNED = """
import json, sys
from controller.client import Client
client = Client.from_file(sys.argv[1], baseline="v1", watch=None)
json.dump([client.assign(f"key-{n}").version for n in range(2000)], sys.stdout)
"""
FORKED = """
import os, sys, threading
from datetime import timedelta
from pathlib import Path
from controller.client import Client
from controller.effects.files import replace_file

path, after = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
client = Client.from_file(path, baseline="v1", watch=timedelta(milliseconds=1))
assert client.assign("a").version == "v1"
with client._known._lock:  # as if the watching thread were at work at that moment
    child = os.fork()
if child == 0:
    seen = threading.Event()
    client.subscribe(lambda published: seen.set())
    if client.assign("a").version != "v3":
        seen.wait(30)
    os._exit(0 if client.assign("a").version == "v3" and client.health().watching else 1)
replace_file(path, after)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(program: str, *arguments: object, seed: str = "0") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)],
        env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_loads_nothing_but_itself_and_two_small_libraries() -> None:
    loaded = set(run(LOADED).split())
    assert {name for name in loaded if name.partition(".")[0] == "controller"} == OURS
    bare = set(run("import sys, asyncio, logging; print(*sys.modules)").split())
    tops = {name.partition(".")[0] for name in loaded - bare}
    strangers = tops - sys.stdlib_module_names - OTHERS - {"controller"}
    assert strangers == set()
    assert "asyncio" not in loaded


def test_the_same_key_has_the_same_version_in_any_process_and_after_any_restart(
    tmp_path: Path,
) -> None:
    path = tmp_path / "share.json"
    path.write_bytes(encode(state(25_000)))
    answers = [run(ASSIGNED, path, seed=seed) for seed in ("0", "1", "random")]
    assert answers[0] == answers[1] == answers[2]
    assert set(json.loads(answers[0])) == {"v1", "v3"}


def test_a_forked_process_goes_on_seeing_what_is_published(tmp_path: Path) -> None:
    path, after = tmp_path / "share.json", tmp_path / "after"
    path.write_bytes(encode(state(0)))
    after.write_bytes(encode(state(100_000, token=8)))
    run(FORKED, path, after)
