"""Parameters through the real controller, store and files, with a process that takes them on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.parameters import FLOW_1, FLOW_3, POLICY
from support.services import Desk

from controller.client import Client
from controller.core.effect import Alert
from controller.core.event import Acknowledgement

SECOND = timedelta(seconds=1)
TEXT = (
    POLICY.replace("rollout: flow", "rollout: signal")
    .replace("config: v", "config: configs/v")
    .replace("path: share.json", "path: live/share.json")
    .replace("path: live.yaml", "path: live/flow.yaml")
    .replace("directory: said", "directory: live/said")
    .replace("hold: 2h, against: frozen_baseline", "hold: 2m")
    .replace("window: 5m, min_samples: 100", "window: 1m, min_samples: 1")
    .replace("[25%, 50%]", "[50%]")
    .replace("hold: 1h, advance", "hold: 1m, advance")
    .replace("over: 1h", "over: 10m")
    .replace("hold: 1h}", "hold: 10m}")
)  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, TEXT, {"configs/v1.yaml": FLOW_1, "configs/v3.yaml": FLOW_3})
    yield desk
    desk.close()


def engine(desk: Desk) -> Client:
    live = desk.policies / "live"
    return Client.from_file(
        live / "share.json", baseline="v1", watch=None,
        parameters=live / "flow.yaml", acknowledgements=live / "said", name="engine",
    )  # fmt: skip


def run(desk: Desk, client: Client, span: timedelta) -> list[int]:
    """Rounds every second, after each the engine takes on what is there; `flow.fast` as it was."""
    seen: list[int] = []
    for second in range(span // SECOND):
        if second % 30 == 0:
            at = desk.now.isoformat()
            desk.push(*({"version": v, "ts": at, "correct": True} for v in ("v1", "v3")))
        desk.go(SECOND, SECOND)
        found = client.parameters()
        if found is not None and (not seen or found.values["flow"]["fast"] != seen[-1]):
            seen.append(found.values["flow"]["fast"])
            client.acknowledge(found)
    return seen


def alerts(desk: Desk) -> list[str]:
    entries = desk.service.store.journal("signal")
    return [e.kind for entry in entries for e in entry.effects if isinstance(e, Alert)]


def test_a_process_that_takes_on_each_vector_is_led_to_the_candidates_file(desk: Desk) -> None:
    desk.command("start")
    seen = run(desk, engine(desk), timedelta(minutes=12))
    assert seen == [10 + round(2.5 * n + 0.01) for n in range(21)]
    assert (desk.policies / "live/flow.yaml").read_text() == FLOW_3
    assert desk.state().name == "watch"
    run(desk, engine(desk), timedelta(minutes=3))
    assert desk.state().name == "completed"
    assert set(alerts(desk)) == {"stage", "completed"}


def test_a_process_that_says_nothing_stops_them_and_the_work_goes_back(desk: Desk) -> None:
    desk.command("start")
    client = engine(desk)
    run(desk, client, timedelta(minutes=2))
    desk.go(timedelta(minutes=4), SECOND)
    assert (desk.policies / "live/flow.yaml").read_bytes() != FLOW_1.encode()
    (waiting,) = desk.service.store.outbox("signal")
    assert "published, not acknowledged: engine runs with" in waiting.last_error
    assert "target" not in alerts(desk)
    desk.go(timedelta(minutes=3), SECOND)
    assert desk.state().name.startswith("rolling_back")
    assert (desk.policies / "live/flow.yaml").read_text() == FLOW_1
    desk.go(timedelta(minutes=7), SECOND)
    assert desk.state().name == "partial", "nobody has said that the engine runs with it"
    run(desk, client, timedelta(minutes=2))
    assert desk.state().name == "cooldown"


def test_the_answer_is_asked_for_every_second(desk: Desk) -> None:
    desk.command("start")
    desk.go(timedelta(seconds=40), SECOND)
    (waiting,) = desk.service.store.outbox("signal")
    assert waiting.attempts >= 40


def test_a_restart_between_decision_and_delivery_loses_and_repeats_nothing(desk: Desk) -> None:
    client = engine(desk)
    desk.command("start")
    seen = run(desk, client, timedelta(minutes=3))
    while not desk.state().unacknowledged:
        desk.go(SECOND, SECOND)
    before = desk.state()
    desk.restart()
    assert desk.state() == before
    seen += [fast for fast in run(desk, client, timedelta(minutes=9)) if fast not in seen]
    assert seen == [10 + round(2.5 * n + 0.01) for n in range(21)]
    keys = [e.event.key for e in desk.service.store.journal("signal")
            if isinstance(e.event, Acknowledgement) and e.event.ok]  # fmt: skip
    assert len(keys) == len(set(keys))
