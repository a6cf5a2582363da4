"""`rollout plan`: when each stage has its samples, what it can show by then, and what would do."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.traffic import TEXT, changed, gated, look

from controller.cli.app import app, register
from controller.cli.output import Stop
from controller.cli.render.effects import effects_svg
from controller.core.state import State
from controller.sources.push import PushSource
from controller.store import open_store

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
OFF = gated("candidate.accuracy >= 85%", "'not_worse(pnl, margin: 3 USD)'")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    register()
    yield tmp_path


class Said:
    """What one call printed."""

    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._captured = capfdbinary

    def plan(self, text: str, *words: str, code: int = 0, name: str = "policy.yaml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        try:
            app(["plan", name, "--start", "2026-03-02T14:30Z", *words], standalone_mode=False)
            ended = 0
        except SystemExit as stopped:
            ended = int(stopped.code or 0)
        except Stop as stop:
            assert stop.code == code
            return f"{stop.message}\n{stop.hint}"
        captured = self._captured.readouterr()
        assert ended == code, captured
        return captured.out.decode() + captured.err.decode()


@pytest.fixture
def said(capfdbinary: pytest.CaptureFixture[bytes]) -> Said:
    return Said(capfdbinary)


def history(pnl: float = 40, every: float = 0.9) -> Path:
    """An hour and more of observations of the baseline."""
    from random import Random

    random, file = Random(1), Path("history.jsonl")
    rows = [
        {"ts": (T0 + timedelta(seconds=every * n)).isoformat(), "version": "v1",
         "correct": random.random() < 0.9, "pnl": random.gauss(0, pnl)}
        for n in range(4001)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_each_stage_says_when_it_has_its_samples_and_what_it_can_show(said: Said) -> None:
    words = re.sub(r"\s+", " ", said.plan(changed()))

    assert (
        "at 5% of 4,000/h: 100 samples (candidate.accuracy, accuracy of both, pnl of both) after "
        "30m not_worse(accuracy, margin: 5%) can show a drop of accuracy of 8.1 points or more by "
        "the hold, 3.2 points by the deadline; versions that are alike pass after 2h 29m "
        "not_worse(pnl, margin: 5 USD) can show a drop of pnl of 9.1 USD or more by the hold, "
        "3.64 USD by the deadline; versions that are alike pass after 3h 07m"
    ) in words
    assert "Reckoned with 4,000/h as declared accuracy: about 85%, its limit" in words
    assert "pnl: sd 40 USD, declared" in words
    assert "each observation taken as news" in words


def test_a_stage_says_what_never_comes_and_what_nobody_knows(said: Said) -> None:
    text = changed((", sd: 40", ""), ("window: 30m, min_samples: 100", "window: 30m"))
    Path("history.jsonl").write_text(
        "".join(
            json.dumps({"ts": (T0 + timedelta(hours=n)).isoformat(), "version": "v1",
                        "correct": True}) + "\n" for n in range(100)
        )
    )  # fmt: skip

    words = re.sub(r"\s+", " ", said.plan(text, "--history", "history.jsonl", code=1))

    assert "30 samples (candidate.accuracy) never: 30m brings 0.025" in words
    assert "nobody knows how much pnl varies: add `sd:` to it" in words


def test_a_plan_without_traffic_says_how_to_get_to_know(said: Said) -> None:
    text = changed(("traffic: 4000/h\n", ""), (", sd: 40", ""))

    assert "add `traffic: 4000/h`, or show what there was: --history FILE" in said.plan(text)


def test_triggers_that_compare_say_what_harm_they_can_show(said: Said) -> None:
    text = changed(
        ("triggers:\n", "triggers:\n"
         "  - {name: harm, when: 'worse(pnl, by: 9 USD)', severity: high, stages: [canary]}\n"
         "  - {name: split, when: not split_as_asked(signals), severity: low, "
         "stages: [canary]}\n"),
    )  # fmt: skip

    words = said.plan(text)

    assert "trigger harm: worse(pnl, by: 9 USD) can show a drop of pnl of " in words
    assert "trigger split: " in words
    assert "split_as_asked(signals) can show a share that is off by 1.2 points" in words


def test_a_history_is_measured_and_goes_before_what_is_declared(said: Said) -> None:
    file = history()
    text = changed(("traffic: 4000/h", "traffic: 400000/h"))

    words = said.plan(text, "--history", str(file))

    assert "at 5% of 4,000/h:" in words
    assert "measured in history.jsonl: signals 4,000/h, 4,001 observations in 1h of" in words
    assert re.search(r"pnl: sd (39|40)[.\d]* USD, measured", words)


def test_what_was_measured_and_cannot_be_decided_is_told_with_what_would_do(said: Said) -> None:
    file = history(pnl=80)

    words = said.plan(changed(), "--history", str(file), code=1)

    assert "which is too late" in words
    assert re.search(r"policy\.yaml:18:9: P351 canary would not be left in time", words)
    assert "what would do: a deadline of" in words


def test_a_program_gets_all_of_it(said: Said) -> None:
    file = history(pnl=80)

    found: dict[str, Any] = json.loads(
        said.plan(changed(), "--history", str(file), "--format", "json", code=1)
    )

    assert found["evidence"]["origin"] == "measured"
    assert found["evidence"]["traffic_per_hour"] == pytest.approx(4000)
    assert found["evidence"]["spreads"]["pnl"]["sd"] == pytest.approx(80, rel=0.05)
    canary = next(step for step in found["steps"] if step["name"] == "canary")
    rule = canary["outlook"][2]
    assert rule["rule"] == "not_worse(pnl, margin: 5 USD)"
    (effect,) = rule["effects"]
    assert effect["undecided"] and effect["certain"] and effect["margin"] == 5
    assert effect["by_deadline"] > 5 and effect["decided_ms"] > 6 * 3_600_000
    assert canary["outlook"][0]["samples"][0]["reached_ms"] == pytest.approx(1_800_000, abs=1)
    assert [finding["code"] for finding in found["findings"]] == ["P351"]


def test_a_warning_is_told_and_is_no_failure(said: Said) -> None:
    text = changed(gated("candidate.accuracy >= 85%", "'not_worse(accuracy, margin: 2%)'"))

    words = said.plan(text.replace(", sd: 40", ""))

    assert "P351 warning: canary would not be left in time" in words


def test_the_store_of_a_rollout_is_measured_without_being_asked(said: Said) -> None:
    Path(".rollout").mkdir()
    lines = history(every=1.8).read_bytes()
    with open_store(".rollout/rollout.db", create=True) as store:
        store.create(State(rollout="signal", policy=""), "policy.yaml")
        PushSource("signals", store, "signal/signals").push(lines, T0 + timedelta(days=1))

    gate = gated("candidate.pnl >= 1 USD")
    words = said.plan(changed(("hold: 1h\n", "hold: 2h\n"), gate, (
        "sd: 40", "window: 2h")))  # fmt: skip

    assert "measured in the store: signals 2,000/h" in words


def test_a_store_without_the_rollout_changes_nothing(said: Said) -> None:
    Path(".rollout").mkdir()
    with open_store(".rollout/rollout.db", create=True):
        pass

    assert "Reckoned with 4,000/h as declared" in said.plan(changed())


def test_a_store_that_cannot_be_read_is_told_and_the_plan_goes_on(said: Said) -> None:
    Path(".rollout").mkdir()
    Path(".rollout/rollout.db").write_bytes(b"this is no database, whatever its name says" * 40)

    words = said.plan(changed())

    assert "not measured, the store cannot be read" in words
    assert "Reckoned with 4,000/h as declared" in words
    assert "rollout.db" in said.plan(changed(), "--database", ".rollout/rollout.db", code=3)


def test_a_history_that_cannot_be_measured_is_an_error(said: Said) -> None:
    Path("h.csv").write_text("ts,version,pnl\n2026-03-02T14:30:00Z,v9,1\n")

    assert "no two observations of v3 or v1" in said.plan(changed(), "--history", "h.csv", code=1)


def test_a_scenario_file_is_told_from_a_policy(said: Said) -> None:
    text = "policy: policy.yaml\nscenarios: []\n"

    words = said.plan(text, name="signal.scenarios.yaml", code=2)

    assert words == (
        "signal.scenarios.yaml has scenarios, it is no policy\n"
        "run them: rollout test signal.scenarios.yaml"
    )


def test_effects_are_drawn_for_each_rule_with_a_line_for_each_step(said: Said) -> None:
    drawn = said.plan(changed(), "--diagram", "effects")

    picture = ElementTree.fromstring(drawn)
    space = {"svg": "http://www.w3.org/2000/svg"}
    texts = [each.text for each in picture.iterfind(".//svg:text", space)]
    lines = picture.findall(".//svg:line[@class='margin']", space)
    assert "not_worse(pnl, margin: 5 USD)" in texts
    assert texts.count("canary 5%") == 2
    assert len(lines) == 2


def test_nothing_to_draw_is_said() -> None:
    assert "nothing to draw" in effects_svg(look(TEXT.replace("traffic: 4000/h\n", "")))
