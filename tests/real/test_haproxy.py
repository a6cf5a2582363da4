"""Weights of a real HAProxy: real requests go where the share says, and the read-back knows."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from support.haproxy import SERVERS, HaproxyServer, haproxy
from support.plans import T0, plan_of
from support.services import Desk
from support.web import free_port

from controller.cli.health import examine
from controller.core.back import is_settled
from controller.core.effect import Activate, SetShare, Verify
from controller.core.event import Acknowledgement
from controller.core.share import Share
from controller.core.state import State
from controller.effects.base import EffectError
from controller.effects.file import Origin
from controller.effects.haproxy import Haproxy
from controller.policy.publisher import HaproxyPublisher
from controller.run.readback import ReadBack
from controller.traffic.published import Routing


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[HaproxyServer]:
    with haproxy(tmp_path) as server:
        yield server


def target(
    server: HaproxyServer, store: str = "home", rollout: str = "checkout", **keys: Any
) -> Haproxy:
    said: dict[str, Any] = {
        "socket": str(server.socket),
        "backend": "checkout",
        "baseline": ("old-1", "old-2"),
        "candidate": ("new-1", "new-2"),
    }
    model = HaproxyPublisher(**(said | keys))
    return Haproxy(model, Path("/"), Origin(rollout, "8.2", "8.3", Routing(rollout), store))


def share(units: int, token: int = 7) -> SetShare:
    return SetShare(f"r/{token}/0", "balancer", Share(units), False, 1, token)


def look(units: int) -> Verify:
    return Verify("r/look", "balancer", Share(units))


def about(new: int, of: int = 200) -> dict[str, Any]:
    """Requests by version: where in its round it stands makes a difference of one or two."""
    return {"old": pytest.approx(of - new, abs=2), "new": pytest.approx(new, abs=2)}


def test_real_requests_go_where_the_share_says(balancer: HaproxyServer) -> None:
    publisher = target(balancer)
    for token, (units, new) in enumerate(
        [(0, 0), (5_000, 10), (50_000, 100), (100_000, 200), (0, 0)]
    ):
        words = publisher.deliver(share(units, token))
        assert words.startswith(f"share {units / 1000:g}% read back, weights ")
        assert balancer.shares() == (about(new) if new % 200 else {"old": 200 - new, "new": new})
        assert publisher.deliver(look(units)).startswith(f"share {units / 1000:g}%")


@pytest.mark.parametrize(
    ("units", "weights"), [(1_000, "495:5"), (390, "511:2"), (33_333, "512:256")]
)
def test_the_weights_are_those_that_come_nearest(
    balancer: HaproxyServer, units: int, weights: str
) -> None:
    assert target(balancer).deliver(share(units)).endswith(f"weights {weights}")


def test_a_share_that_weights_cannot_give_changes_nothing(balancer: HaproxyServer) -> None:
    publisher = target(balancer)
    publisher.deliver(share(5_000))
    with pytest.raises(EffectError, match=r"come no nearer to 99\.9% than 99\.81%"):
        publisher.deliver(share(99_900, 8))
    assert balancer.shares() == about(10)


def test_sticky_sessions_go_back_too(balancer: HaproxyServer) -> None:
    cookies = "\n".join(f"{line} cookie {line.split()[1]}" for line in SERVERS.splitlines())
    balancer.restart(servers=cookies, options="cookie S insert indirect")
    publisher = target(balancer)
    publisher.deliver(share(50_000, 1))
    assert set(balancer.ask(20, Cookie="S=new-1")) == {"new-1"}
    publisher.deliver(share(0, 2))
    assert set(balancer.ask(20, Cookie="S=new-1")) == {"old-1", "old-2"}


def test_the_proportions_of_the_configuration_are_kept_and_come_back(
    balancer: HaproxyServer,
) -> None:
    balancer.restart(servers=SERVERS.replace("old-2 {old-2} weight 100", "old-2 {old-2} weight 50"))
    publisher = target(balancer)
    publisher.deliver(share(25_000, 1))
    counted = balancer.ask(200)
    found = [counted[name] for name in ("old-1", "old-2", "new-1", "new-2")]
    assert found == pytest.approx([100, 50, 25, 25], abs=2)
    publisher.deliver(share(0, 2))
    weights = [balancer.say(f"get weight checkout/{name}") for name in ("old-1", "old-2")]
    assert weights == ["100 (initial 100)", "50 (initial 50)"]


def test_a_restart_leaves_the_baseline_and_the_next_look_finds_it(balancer: HaproxyServer) -> None:
    publisher = target(balancer)
    publisher.deliver(share(50_000))
    balancer.restart()
    assert balancer.shares() == {"old": 200, "new": 0}
    with pytest.raises(EffectError, match="HAProxy knows of no decision; it was restarted"):
        publisher.deliver(look(50_000))
    publisher.deliver(share(50_000, 8))
    assert balancer.shares() == about(100)


def test_a_candidate_that_a_restart_would_bring_back_gets_no_work(balancer: HaproxyServer) -> None:
    balancer.restart(servers=SERVERS.replace("{new-2} disabled", "{new-2} weight 10"))
    publisher = target(balancer)
    with pytest.raises(EffectError, match=r"restart of HAProxy would give new-2 .* `disabled`"):
        publisher.deliver(share(5_000))
    with pytest.raises(EffectError, match="would give new-2"):
        publisher.check()
    publisher.deliver(share(0, 8))
    assert balancer.shares() == {"old": 200, "new": 0}


def test_a_weight_that_somebody_changed_is_not_the_share_any_more(balancer: HaproxyServer) -> None:
    publisher = target(balancer)
    publisher.deliver(share(50_000))
    balancer.say("set server checkout/new-1 weight 1")
    with pytest.raises(EffectError, match=r"share 33\.42% read back, .* not 50%"):
        publisher.deliver(look(50_000))
    publisher.deliver(share(0, 8))
    balancer.say("set server checkout/new-1 state ready")
    with pytest.raises(EffectError, match="candidate's servers are not out of work"):
        publisher.deliver(look(0))


def test_a_server_that_somebody_took_out_of_work_stays_out_and_another_has_the_share(
    balancer: HaproxyServer,
) -> None:
    balancer.restart(servers=SERVERS.replace("disabled", "weight 0"))
    publisher = target(balancer)
    publisher.deliver(share(50_000))
    balancer.say("set server checkout/new-1 state maint")
    with pytest.raises(EffectError, match="not 50%"):
        publisher.deliver(look(50_000))
    publisher.deliver(share(50_000, 8))
    counted = balancer.ask(200)
    assert [counted["new-1"], counted["new-2"]] == [0, pytest.approx(100, abs=2)]


def test_a_server_of_the_baseline_that_is_out_of_work_counts_for_nothing(
    balancer: HaproxyServer,
) -> None:
    publisher = target(balancer)
    balancer.say("set server checkout/old-2 state maint")
    for token in (1, 2):
        publisher.deliver(share(25_000, token))
        assert balancer.shares() == about(50)
    balancer.say("set server checkout/old-2 state ready")
    with pytest.raises(EffectError, match="not 25%"):
        publisher.deliver(look(25_000))
    publisher.deliver(share(25_000, 3))
    assert balancer.ask(200)["old-2"] == pytest.approx(75, abs=2)


def test_a_share_that_no_server_can_serve_is_not_acknowledged(balancer: HaproxyServer) -> None:
    balancer.restart(servers=SERVERS.replace("disabled", "weight 0"))
    publisher = target(balancer)
    publisher.deliver(share(50_000))
    for name in ("new-1", "new-2"):
        balancer.say(f"set server checkout/{name} state maint")
    said = r"candidate has no server that can serve \(.*new-1 MAINT"
    with pytest.raises(EffectError, match=said):
        publisher.deliver(look(50_000))
    with pytest.raises(EffectError, match=said):
        publisher.deliver(share(50_000, 8))
    assert balancer.shares() == {"old": 200, "new": 0}


def test_a_server_whose_check_fails_has_no_share(balancer: HaproxyServer) -> None:
    balancer.restart(check="check inter 20ms fall 1 rise 1", options="option httpchk GET /")
    publisher = target(balancer)
    publisher.deliver(share(50_000))
    balancer.behind["new-1"].react = lambda asked: asked.answer("", 500)
    balancer.wait_for("new-1", "DOWN")
    with pytest.raises(EffectError, match="not 50%"):
        publisher.deliver(look(50_000))
    assert publisher.deliver(share(50_000, 8)).startswith("share 50% read back")
    assert balancer.ask(200)["new-2"] == pytest.approx(100, abs=2)


def test_a_way_back_without_a_baseline_that_can_serve_is_taken_and_told_loudly(
    balancer: HaproxyServer,
) -> None:
    publisher = target(balancer)
    publisher.deliver(share(100_000))
    for name in ("old-1", "old-2"):
        balancer.say(f"set server checkout/{name} state maint")
    with pytest.raises(EffectError, match=r"NOBODY SERVES: .*old-1 MAINT.*bring them up"):
        publisher.deliver(share(0, 8))
    assert balancer.ask(10) == {"503": 10}
    for name in ("old-1", "old-2"):
        balancer.say(f"set server checkout/{name} state ready")
    assert publisher.deliver(share(0, 8)) == "share 0% read back, weights 200:0"


def test_a_late_message_never_brings_the_candidate_back(balancer: HaproxyServer) -> None:
    publisher = target(balancer)
    publisher.deliver(share(0, 9))
    with pytest.raises(EffectError, match=r"holds decision 9, this is 8; .*set var proc\.rollout"):
        publisher.deliver(share(50_000, 8))
    assert balancer.shares() == {"old": 200, "new": 0}
    assert publisher.deliver(share(0, 3)).startswith("share 0%")


def test_two_stores_do_not_take_the_work_from_each_other(balancer: HaproxyServer) -> None:
    target(balancer).deliver(share(5_000))
    other = target(balancer, store="elsewhere")
    with pytest.raises(
        EffectError, match=r"share 5% is checkout's, of store home; roll back there"
    ):
        other.deliver(share(50_000, 99))
    with pytest.raises(EffectError, match="was published from store home, not from this one"):
        other.deliver(look(5_000))
    assert balancer.shares() == about(10)
    other.deliver(share(0, 2))
    assert balancer.shares() == {"old": 200, "new": 0}


def test_a_rollout_at_its_end_leaves_the_backend_to_the_next(balancer: HaproxyServer) -> None:
    first = target(balancer)
    following = target(balancer, rollout="checkout-next")
    first.deliver(share(50_000))
    with pytest.raises(EffectError, match="is checkout's"):
        following.deliver(share(5_000, 1))
    first.deliver(share(100_000, 8))
    assert following.deliver(share(5_000, 1)).startswith("share 5%")


def test_what_is_said_to_forget_the_note_makes_haproxy_forget_it(balancer: HaproxyServer) -> None:
    publisher = target(balancer)
    publisher.deliver(share(0, 9))
    with pytest.raises(EffectError) as caught:
        publisher.deliver(share(5_000, 8))
    command = str(caught.value).partition("send `")[2].partition("`")[0]
    balancer.say(command)
    assert publisher.deliver(share(5_000, 8)).startswith("share 5%")


@pytest.mark.parametrize("balance", ["random", "source", "hdr(X-Key)"])
def test_algorithms_that_go_by_weight_are_taken(balancer: HaproxyServer, balance: str) -> None:
    consistent = "" if balance == "random" else "hash-type consistent"
    balancer.restart(balance=balance, options=consistent)
    assert target(balancer).deliver(share(25_000)).startswith("share 25%")


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        ("leastconn", "`balance leastconn`, which does not divide requests"),
        ("first", "`balance first`, which does not divide requests"),
        ("static-rr", "HAProxy said: Backend is using a static LB algorithm"),
    ],
)
def test_an_algorithm_that_gives_no_shares_is_said(
    balancer: HaproxyServer, balance: str, said: str
) -> None:
    balancer.restart(balance=balance)
    publisher = target(balancer)
    with pytest.raises(EffectError, match=said):
        publisher.deliver(share(5_000))
    assert publisher.deliver(share(0, 8)).startswith("share 0%")
    assert balancer.shares() == {"old": 200, "new": 0}


def test_a_server_of_nobody_that_has_work_is_no_share(balancer: HaproxyServer) -> None:
    publisher = target(balancer, baseline=("old-1",))
    with pytest.raises(EffectError, match="old-2 has work and belongs to neither version"):
        publisher.deliver(share(5_000))


def test_a_server_that_is_not_there_is_named_with_those_that_are(balancer: HaproxyServer) -> None:
    publisher = target(balancer, candidate=("new-1", "new-9"))
    publisher_of_all = target(balancer)
    publisher_of_all.deliver(share(50_000))
    with pytest.raises(EffectError, match=r"has no server new-9; there are: old-1, old-2, new-1"):
        publisher.deliver(share(50_000, 8))
    with pytest.raises(EffectError, match=r"no server new-9.*HAProxy said: .*No such server"):
        publisher.deliver(share(0, 9))
    assert balancer.ask(100)["new-1"] == 0, "what is there goes back all the same"


def test_a_backend_that_is_not_there_is_said(balancer: HaproxyServer) -> None:
    with pytest.raises(EffectError, match="is answered by: Can't find backend"):
        target(balancer, backend="nothing").deliver(share(5_000))


def test_it_is_reached_by_host_and_port_too(balancer: HaproxyServer) -> None:
    publisher = target(balancer, socket=f"127.0.0.1:{balancer.api}")
    publisher.deliver(share(50_000))
    assert balancer.shares() == about(100)
    assert publisher.check().endswith("2 + 2 servers, the candidate has 50%")


def test_a_haproxy_that_is_not_there_is_an_error_with_its_place(
    balancer: HaproxyServer, tmp_path: Path
) -> None:
    balancer.stop()
    balancer.socket.unlink()
    with pytest.raises(EffectError, match=r"admin\.sock: there is no socket; is HAProxy running"):
        target(balancer).deliver(share(0))
    with pytest.raises(EffectError, match="connection refused"):
        target(balancer, socket=f"127.0.0.1:{free_port()}").deliver(share(0))


def test_one_that_never_answers_is_given_up_in_time(balancer: HaproxyServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        publisher = target(balancer, socket=place, timeout=timedelta(milliseconds=50))
        with pytest.raises(EffectError, match=r"no answer within 0\.05s"):
            publisher.deliver(share(5_000))


@pytest.mark.parametrize(
    ("chunk", "wait_s", "said"),
    [(b"#", 0.01, r"no answer within 0\.2s"), (b"#" * (1 << 20), 0, "larger than 8 MiB")],
    ids=["in drops", "without end"],
)
def test_what_never_comes_to_an_end_is_cut(
    balancer: HaproxyServer, chunk: bytes, wait_s: float, said: str
) -> None:
    over = Event()

    def pour(server: socket.socket) -> None:
        line, _ = server.accept()
        with line, suppress(OSError):
            while not over.wait(wait_s):
                line.sendall(chunk)

    with socket.create_server(("127.0.0.1", 0)) as server:
        pouring = Thread(target=pour, args=(server,), daemon=True)
        pouring.start()
        place = f"127.0.0.1:{server.getsockname()[1]}"
        seconds = 0.2 if wait_s else 60
        publisher = target(balancer, socket=place, timeout=timedelta(seconds=seconds))
        try:
            with pytest.raises(EffectError, match=said):
                publisher.deliver(share(5_000))
        finally:
            over.set()
            pouring.join()


def test_what_is_for_others_is_refused(balancer: HaproxyServer) -> None:
    with pytest.raises(EffectError, match="takes no Activate"):
        target(balancer).deliver(Activate("r/1/1", "balancer", "v1", 1, 1))


# The whole way -----------------------------------------------------------------------------

POLICY = """\
rollout: signal
baseline: v1
candidate: v3
schedule: {{tick: 30s}}
sources: {{signals: {{type: push}}}}
metrics:
  losses: {{source: signals, value: sum(failed), window: 5m}}
publish:
  balancer:
    type: haproxy
    socket: {socket}
    backend: checkout
    baseline: [old-1, old-2]
    candidate: [new-1, new-2]
stages:
  - {{name: canary, weight: 5%, hold: 1h, deadline: {{after: 6h}}}}
  - {{name: half, weight: 50%, hold: 1h}}
  - {{name: full, weight: 100%, hold: 1h}}
triggers:
  - {{name: loss, when: candidate.losses > 0, severity: critical}}
rollback: {{deadline: 30s, verify_after: 1m, cooldown: 1h}}
"""
TICK = timedelta(seconds=30)


@pytest.fixture
def desk(balancer: HaproxyServer, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, POLICY.format(socket=balancer.socket))
    observe(desk, failed=False)
    yield desk
    desk.close()


def observe(desk: Desk, *, failed: bool) -> None:
    """Of both versions, an observation."""
    at = desk.now.isoformat()
    desk.push(*({"version": version, "time": at, "failed": failed} for version in ("v1", "v3")))


def alerts(desk: Desk, kind: str) -> list[dict[str, Any]]:
    path = desk.service.connections.home / "alerts.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_a_rollout_moves_real_requests_and_a_hard_limit_takes_them_back_at_once(
    balancer: HaproxyServer, desk: Desk
) -> None:
    assert balancer.shares() == {"old": 200, "new": 0}
    desk.command("start")
    assert balancer.shares() == about(10)
    told = [e.event for e in desk.service.store.journal("signal")]
    acknowledged = [event for event in told if isinstance(event, Acknowledgement)]
    assert acknowledged[-1].detail == "share 5% read back, weights 494:26"
    assert desk.service.store.shown("signal")["balancer"].detail == acknowledged[-1].detail
    desk.command("advance")
    desk.go(TICK)
    assert balancer.shares() == about(100)
    desk.push({"version": "v3", "time": desk.now.isoformat(), "failed": True})
    assert desk.state().name == "rolling_back.verify"
    assert balancer.shares() == {"old": 200, "new": 0}
    desk.go(timedelta(minutes=2))
    assert desk.state().name == "cooldown"


def test_a_restart_of_haproxy_is_found_told_and_put_right(
    balancer: HaproxyServer, desk: Desk
) -> None:
    desk.command("start")
    desk.command("advance")
    desk.go(2 * TICK)
    balancer.restart()
    assert balancer.shares() == {"old": 200, "new": 0}
    desk.go(TICK)
    (alert,) = alerts(desk, "drift")
    assert "HAProxy knows of no decision; it was restarted" in alert["reasons"][0]
    assert balancer.shares() == about(100)
    desk.go(2 * TICK)
    assert len(alerts(desk, "drift")) == 1
    assert desk.state().unacknowledged == ()


def test_while_haproxy_is_gone_nothing_advances_and_the_way_back_is_partial_until_it_is_there(
    balancer: HaproxyServer, desk: Desk
) -> None:
    desk.command("start")
    desk.go(2 * TICK)
    balancer.stop()
    desk.go(2 * TICK)
    assert len(alerts(desk, "drift")) == 1
    dwelt = desk.state().dwell_ms
    desk.go(timedelta(minutes=2))
    assert desk.state().dwell_ms == dwelt
    desk.command("rollback")
    desk.go(timedelta(minutes=4))
    assert desk.state().name == "partial"
    assert alerts(desk, "step_failed")
    balancer.start()
    desk.go(timedelta(minutes=3))
    assert desk.state().name == "cooldown"
    assert balancer.shares() == {"old": 200, "new": 0}


def test_several_workers_look_without_keeping_the_round(balancer: HaproxyServer) -> None:
    """The answer of a look that runs in a thread is decided on in a later round."""
    plan = plan_of(POLICY.format(socket=balancer.socket))
    state = State(rollout="signal", policy=plan.digest, name="canary", share=Share(5_000), epoch=1)
    assert is_settled(plan, state)
    looks = ReadBack(lambda *_: target(balancer, rollout="signal"), workers=2)
    looks.ask(plan, state, T0)
    looks.close()
    ((rollout, drift),) = looks.found()
    assert (rollout, drift.target, drift.share) == ("signal", "balancer", 5_000)
    assert "knows of no decision" in drift.detail


def test_the_doctor_asks_haproxy_what_it_serves(
    balancer: HaproxyServer, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.place)
    desk.command("start")
    (found,) = [line for line in examine({}) if line.what == "target balancer"]
    assert (found.state, found.detail[-20:]) == ("ok", "the candidate has 5%")
    balancer.stop()
    (found,) = [line for line in examine({}) if line.what == "target balancer"]
    assert found.state == "fail"
    assert balancer.socket.name in found.detail


def test_status_and_explain_tell_the_share_that_haproxy_gives(desk: Desk) -> None:
    desk.command("start")
    for command, said in [
        (("status", "signal"), "balancer: share 5% read back, weights 494:26"),
        (("status", "signal", "--format", "json"), '"balancer": "share 5% read back'),
        (("explain", "signal", "--seq", "2"), "share 5% read back, weights 494:26"),
    ]:
        place = f"sqlite:///{desk.place / 'rollout.db'}"
        program = [sys.executable, "-m", "controller", *command, "--database", place]
        done = subprocess.run(program, capture_output=True, text=True, cwd=desk.place, check=True)
        assert said in " ".join(done.stdout.split()), done.stdout + done.stderr
