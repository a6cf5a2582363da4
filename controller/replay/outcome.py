"""One scenario run and held against its expectations."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from controller.replay.expect import Failure, failures
from controller.replay.runner import plan_of, run_pure
from controller.replay.scenario import Claims, Expectation, Scenario
from controller.replay.timeline import Timeline

Mode = Literal["pure", "live", "both"]


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What came of a scenario. `timeline` is None where its policy was to be refused."""

    scenario: Scenario
    failures: tuple[Failure, ...]
    timeline: Timeline | None = None

    @property
    def passed(self) -> bool:
        """Every expectation held."""
        return not self.failures

    @property
    def ticks(self) -> int:
        """Ticks decided on."""
        return self.timeline.ticks if self.timeline else 0


def run_scenario(scenario: Scenario, mode: Mode = "pure") -> ScenarioResult:
    """Run on the core alone (`pure`), through the real scheduler and store (`live`), or `both`,
    which must decide the same."""
    loaded = scenario.load()
    if scenario.rejected:
        return ScenarioResult(scenario, _refused(scenario, [f.code for f in loaded.findings]))
    plan = plan_of(scenario, loaded)
    if mode == "pure":
        timeline = run_pure(scenario, loaded)
        found = failures(scenario, plan, timeline)
    else:
        from controller.replay.live import first_difference, run_live

        timeline = run_live(scenario, loaded)
        found = failures(scenario, plan, timeline)
        if mode == "both":
            pure = run_pure(scenario, loaded)
            found += failures(scenario, plan, pure)
            difference = first_difference(pure, timeline)
            if difference is not None:
                found += (_said(scenario, *difference),)
    if any(expected.kind == "repeatable" for expected in scenario.expectations):
        found += _unlike_again(scenario)
    return ScenarioResult(scenario, found, timeline)


def _refused(scenario: Scenario, codes: list[str]) -> tuple[Failure, ...]:
    if sorted(set(codes)) == sorted(scenario.rejected):
        return ()
    words = f"the policy has the findings {codes}" if codes else "the policy is accepted"
    return (_said(scenario, timedelta(0), words, f"rejected: {list(scenario.rejected)}"),)


def _unlike_again(scenario: Scenario) -> tuple[Failure, ...]:
    """The same story twice must give the same bytes (rule 12)."""
    if run_pure(scenario).fingerprint() == run_pure(scenario).fingerprint():
        return ()
    return (_said(scenario, timedelta(0), "a second run decided otherwise", "repeatable"),)


def _said(
    scenario: Scenario, at: timedelta, words: str, text: str = "the same decisions"
) -> Failure:
    expected = Expectation("at", scenario.line, text, Claims())
    return Failure(scenario, expected, at, (words,), ())
