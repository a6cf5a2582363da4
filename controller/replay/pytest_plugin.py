"""Scenario files as pytest items: `NAME.scenarios.yaml` is collected where it lies.

Nothing but pytest is imported until a scenario file is found.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from controller.replay.expect import Failure
    from controller.replay.scenario import Scenario

SUFFIX = ".scenarios.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of this plugin."""
    group = parser.getgroup("rollout", "rollout scenarios")
    group.addoption(
        "--rollout-mode",
        choices=("pure", "live", "both"),
        default="both",
        help="run scenarios on the core alone, through the real scheduler and store, or both, "
        "which must decide the same (default)",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ScenarioFile | None":
    """Collect scenario files."""
    if file_path.name.endswith(SUFFIX):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """One file of scenarios."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its scenarios. A file with errors is a collection error with their places."""
        from controller.replay.scenario import load_scenarios

        loaded = load_scenarios(self.path)
        if loaded.findings:
            raise self.CollectError("\n".join(str(finding) for finding in loaded.findings))
        for scenario in loaded.scenarios:
            yield ScenarioItem.from_parent(self, name=scenario.name, scenario=scenario)


class ScenarioItem(pytest.Item):
    """One scenario."""

    def __init__(self, *, scenario: "Scenario", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._scenario = scenario

    def runtest(self) -> None:
        """Run it; every expectation that does not hold is in the failure."""
        from controller.replay.outcome import run_scenario

        result = run_scenario(self._scenario, self.config.getoption("--rollout-mode"))
        if not result.passed:
            raise ScenarioFailed(result.failures)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The readable blocks, not a traceback."""
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the scenario is."""
        return self.path, self._scenario.line - 1, f"scenario: {self.name}"


class ScenarioFailed(Exception):
    """Expectations that did not hold."""

    def __init__(self, failures: "tuple[Failure, ...]") -> None:
        super().__init__("\n\n".join(str(failure) for failure in failures))
