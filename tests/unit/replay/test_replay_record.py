"""A recorded journal is a scenario that goes the same way."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.plans import POLICY
from support.running import Shop

from controller.core.event import Event, Tick
from controller.core.measurement import Measurement
from controller.replay.outcome import ScenarioResult, run_scenario
from controller.replay.record import NothingRecorded, record_scenario
from controller.replay.scenario import load_scenarios


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "rollout.db")
    shop.register()
    yield shop
    shop.close()


def recorded(shop: Shop, folder: Path, policy: str = POLICY) -> ScenarioResult:
    """The journal as a scenario, run on `policy`."""
    path = folder / "signal.scenarios.yaml"
    path.write_text(record_scenario(shop.store, shop.plans.plan, "signal"), encoding="utf-8")
    (folder / "signal.yaml").write_text(policy, encoding="utf-8")
    found = load_scenarios(path, {})
    assert not found.findings, [str(finding) for finding in found.findings]
    (scenario,) = found.scenarios
    assert scenario.expectations
    return run_scenario(scenario)


def lived(shop: Shop) -> None:
    """Into the canary, a pause, a gap, and back by the stop-loss."""
    shop.command("start")
    shop.ticks(timedelta(minutes=15))
    shop.command("pause", reason='a "quoted" reason')
    shop.ticks(timedelta(minutes=2))
    shop.command("resume")
    shop.wires.source.answers["candidate.accuracy"] = Measurement(status="no_data")
    shop.ticks(timedelta(minutes=3))
    shop.wires.source.answers["candidate.accuracy"] = Measurement(
        value=0.9, samples=130, mean=0.9, variance=0.09
    )
    shop.ticks(timedelta(minutes=3))
    shop.wires.source.answers["candidate.drawdown"] = Measurement(value=0.02, samples=500)
    shop.tick()
    shop.ticks(timedelta(minutes=6))
    assert shop.state().name == "cooldown"


def test_what_was_recorded_goes_the_same_way_again(shop: Shop, tmp_path: Path) -> None:
    lived(shop)

    result = recorded(shop, tmp_path)

    assert result.passed, [str(failure) for failure in result.failures]
    assert result.timeline is not None
    went = [one.decision.state.name for one in result.timeline.happened if one.decision.move]
    assert went == [e.state.name for e in shop.entries() if e.move and e.state is not None]
    assert any(
        "loss" in reason for one in result.timeline.happened for reason in one.decision.reasons
    )


def test_a_gap_and_the_value_after_it_are_measured_again_as_they_were(
    shop: Shop, tmp_path: Path
) -> None:
    lived(shop)
    journaled = [entry.event for entry in shop.entries()]

    timeline = recorded(shop, tmp_path).timeline

    assert timeline is not None
    again = accuracies([one.event for one in timeline.happened])
    assert again == accuracies(journaled)
    assert {status for status, _ in again} == {"ok", "no_data"}


def accuracies(events: Iterable[Event]) -> list[tuple[str, float | None]]:
    """What was measured while the rollout was live."""
    ticks = [event.measurements for event in events if isinstance(event, Tick)]
    found = [tick["candidate.accuracy"] for tick in ticks if "candidate.accuracy" in tick]
    return [(one.status, one.value) for one in found]


def test_an_edited_policy_shows_where_it_would_have_gone_otherwise(
    shop: Shop, tmp_path: Path
) -> None:
    lived(shop)

    result = recorded(shop, tmp_path, POLICY.replace("drawdown > 1%", "drawdown > 5%"))

    assert any("state: rolling_back" in f.expectation.text for f in result.failures)


def test_a_rollout_that_was_never_started_has_nothing_to_tell(shop: Shop) -> None:
    with pytest.raises(NothingRecorded, match="signal was never started"):
        record_scenario(shop.store, shop.plans.plan, "signal")
    with pytest.raises(NothingRecorded, match="nowhere was never started"):
        record_scenario(shop.store, shop.plans.plan, "nowhere")
