"""Every error of a target of the share: code, place (the mark ») and hint."""

from datetime import timedelta

import pytest
from support.marked import load, only_finding

from controller.core.calendar import AlwaysOpen
from controller.core.compiler import compile_plan
from controller.policy.change import classify
from controller.policy.publisher import HaproxyPublisher

GOOD = """\
rollout: checkout
baseline: v1
candidate: v3
schedule: {tick: 30s}
sources: {signals: {type: push}}
metrics:
  errors: {source: signals, value: ratio(bad), window: 5m, min_samples: 100}
publish:
  balancer: {type: haproxy, socket: /run/h.sock, backend: web, baseline: [a, b], candidate: [c]}
  mesh:
    type: webhook
    url: https://mesh/in
    secret: {env: KEY}
    read: {url: "https://mesh/out", share: w.c, mirror: w.m}
stages:
  - {name: shadow, weight: 0%, mirror: true, hold: 10m}
  - {name: canary, weight: 5%, hold: 30m, advance: [candidate.errors <= 1%]}
  - {name: ramp, weights: [25%, 50%], hold: 30m}
  - {name: full, weight: 100%, hold: 2h, against: frozen_baseline}
triggers:
  - {name: errors, when: candidate.errors > 10%, severity: high}
rollback: {deadline: 30s}
"""
WITHOUT_MESH = {GOOD[GOOD.index("  mesh:") : GOOD.index("stages:")]: ""}

BALANCER = GOOD[GOOD.index("  balancer:") : GOOD.index("  mesh:")]
FLAGS = "  f: {type: flagd, path: f}\n"

CASES: dict[str, tuple[dict[str, str], str, str]] = {
    "a share below the weights": ({"weight: 5%": "weight: »0.1%"}, "P383", "more servers"),
    "a share above the weights": ({"[25%, 50%]": "[25%, »99.9%]"}, "P383", "more servers"),
    "a mirror of weights": (
        {**WITHOUT_MESH, "mirror: true": "mirror: »true"}, "P384", "type: file",
    ),
    "a mirror of a flag": (
        {**WITHOUT_MESH, BALANCER: FLAGS, "mirror: true": "mirror: »true"},
        "P384", "type: file",
    ),
    "an age of a flag": (
        {**WITHOUT_MESH, BALANCER: FLAGS, "mirror: true, ": "",
         "stages:": "routing: {max_age: »10m}\nstages:"}, "P344", "type: file",
    ),
    "a mirror that no receiver shows": (
        {", mirror: w.m": "", "mirror: true": "mirror: »true"}, "P384", "read: {mirror",
    ),
    "pins for weights": (
        {**WITHOUT_MESH, "mirror: true, ": "", "stages:": "routing: {»pin: {baseline: {key: [x]}}}"
         "\nstages:"}, "P385", "reads keys",
    ),
    "a layer for weights": (
        {**WITHOUT_MESH, "mirror: true, ": "", "stages:": "routing: {»layer: x}\nstages:"},
        "P385", "reads keys",
    ),
    "an age that nobody counts": (
        {"stages:": "routing: {max_age: »10m}\nstages:"}, "P344", "type: file",
    ),
    "a server of both versions": ({"candidate: [c]": "candidate: [c, »a]"}, "P386", "once"),
    "a server twice": ({"baseline: [a, b]": "baseline: [a, b, »a]"}, "P386", "once"),
    "a server that is no name": ({"candidate: [c]": "candidate: [»'c;d']"}, "P103", "letters"),
    "no server": ({"candidate: [c]": "candidate: »[]"}, "P103", ""),
    "a socket without a port": ({"socket: /run/h.sock": "socket: »haproxy"}, "P387", "slash"),
    "a socket with no such port": (
        {"socket: /run/h.sock": 'socket: »"haproxy:99999"'}, "P387", "127.0.0.1:9999",
    ),
    "no time for weights": ({"candidate: [c]}": "candidate: [c], timeout: »0s}"}, "P345", "30s"),
    "too much time": (
        {"    secret": "    timeout: »30s\n    secret"}, "P388", "`deadline` under `rollback`",
    ),
    "two targets of one backend": (
        {"  mesh:": "  other: {type: haproxy, socket: /run//h.sock, backend: »web, baseline: [d],"
         " candidate: [e]}\n  mesh:"}, "P302", "place of its own",
    ),
    "two targets of one url": (
        {"stages:": '  other: {type: webhook, url: »"https://mesh/in", secret: {env: KEY}, '
         'read: {url: "https://mesh/out"}}\nstages:'}, "P302", "place of its own",
    ),
    "a webhook that shows nothing": (
        {GOOD[GOOD.index("    read:") : GOOD.index("stages:")]: "", "  mesh": "  »mesh"},
        "P102", "",
    ),
    "a webhook without a secret": (
        {"    secret: {env: KEY}\n": "", "  mesh": "  »mesh"}, "P102", "",
    ),
    "a url that is none": ({"url: https://mesh/in": "url: »mesh"}, "P371", "http://127"),
    "a place to read that is none": ({'"https://mesh/out"': '»"ftp://mesh"'}, "P371", "http://127"),
    "a password in a url": ({"url: https://mesh/in": "url: »https://a:b@mesh/in"}, "P373", "auth:"),
    "a secret in a header": (
        {"    secret": "    headers: {»Authorization: x}\n    secret"}, "P373", "auth:",
    ),
    "a secret of two places": (
        {"secret: {env: KEY}": "»secret: {env: KEY, file: k}"}, "P373", "secret: {env: VARIABLE}",
    ),
    "a secret that is not set": ({"{env: KEY}": "{env: »KAY}"}, "P011", "'KEY'"),
    "a path that cannot be read": ({"share: w.c": "share: 'w.»]c'"}, "P372", "jmespath.org"),
    "a mirror that cannot be read": ({"mirror: w.m": "mirror: 'w.»]m'"}, "P372", "jmespath.org"),
    "a whole of nothing": ({"share: w.c": "share: w.c, whole: »0"}, "P103", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_error_has_its_code_its_place_and_a_hint(name: str) -> None:
    changes, code, hint = CASES[name]
    text = GOOD
    for old, new in changes.items():
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    finding, place = only_finding(text, KEY="x")
    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint


def test_the_policy_that_the_cases_change_is_clean() -> None:
    assert [str(finding) for finding in load(GOOD, KEY="x").findings] == []


def test_more_servers_give_finer_shares() -> None:
    servers = ", ".join(f"a{number}" for number in range(4))
    text = GOOD.replace("weight: 5%", "weight: 0.1%").replace("[a, b]", f"[{servers}]")
    assert load(text, KEY="x").findings == ()


def test_what_can_change_under_us_is_read_back_at_every_look() -> None:
    loaded = load(GOOD.replace("  mesh:", "  share: {type: file, path: s}\n  mesh:"), KEY="x")
    assert loaded.policy is not None
    plan = compile_plan(loaded.policy, loaded.gates, loaded.guards, "x", AlwaysOpen())
    assert plan.share_targets == ("balancer", "share", "mesh")
    assert plan.live_targets == ("balancer", "mesh")


def test_an_edited_target_is_never_a_safe_edit_and_is_told_without_what_is_in_it() -> None:
    one, other = load(GOOD, KEY="x").policy, load(GOOD.replace("mesh/in", "mesh/s3cret"), KEY="x")
    assert one is not None and other.policy is not None
    (change,) = classify(one, other.policy).changes
    assert (change.path, change.words, change.safe) == ("publish.mesh", "changed", False)


def test_a_socket_may_come_from_a_variable() -> None:
    text = GOOD.replace("socket: /run/h.sock", 'socket: "${HAPROXY}"')
    assert load(text, KEY="x", HAPROXY="127.0.0.1:9999").findings == ()
    (finding,) = load(text, KEY="x", HAPROXY="haproxy").findings
    assert finding.code == "P387"


def test_defaults_are_those_of_a_careful_person() -> None:
    target = HaproxyPublisher(socket="/s", backend="b", baseline=("a",), candidate=("c",))
    assert target.timeout == timedelta(seconds=2)
