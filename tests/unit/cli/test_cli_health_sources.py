"""`rollout doctor` asks every source once, and says what is wrong with each."""

from pathlib import Path

import pytest
from support.web import Asked, free_port, serving

from controller.cli.health import examine

POLICY = """
rollout: web
baseline: v1
candidate: v3
sources:
  ops: {type: prometheus, url: "http://127.0.0.1:PORT", retries: 0}
  api: {type: http, url: "URL/stats", auth: {file: token}}
  app: {type: openmetrics, url: "URL/metrics"}
metrics:
  cost: {source: api, query: cost}
stages: [{name: all, weight: 100%, hold: 1h}]
triggers: [{name: cost, when: candidate.cost > 5, severity: high}]
"""


def react(asked: Asked) -> None:
    if asked.path == "/metrics":
        asked.answer("depth 5\n", kind="text/plain; version=0.0.4")
    else:
        asked.answer('{"cost": 1}')


def test_every_source_is_asked_and_each_has_words_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    with serving(react) as server:
        text = POLICY.replace("URL", server.url).replace("PORT", str(port))
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "web.yaml").write_text(text)
        found = {each.what: each for each in examine({})}
        assert found["source api"].state == "warn"
        assert "token cannot be read: No such file" in found["source api"].detail
        (tmp_path / "policies" / "token").write_text("s3cret\n")
        found = {each.what: each for each in examine({})}
    assert found["source api"].detail == "answers with JSON: cost"
    assert found["source app"].detail == "answers with 1 series of 1 metrics"
    assert found["source ops"].state == "warn"
    assert found["source ops"].detail == f"ops: 127.0.0.1:{port}: connection refused"
    assert found["source ops"].remedy == "the rollout would see no data"
