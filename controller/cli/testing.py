"""`rollout test`: runs scenarios, shows progress, tells failures as blocks."""

import logging
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from controller.cli.output import Exit, Stop, console, emit, say

if TYPE_CHECKING:
    from controller.replay.outcome import Mode, ScenarioResult
    from controller.replay.scenario import Scenario


def run_tests(
    paths: list[Path], select: str, mode: str, junit: Path | None, *, as_json: bool
) -> bool:
    """Run every scenario found below `paths` whose name or tag has `select`; whether any
    failed."""
    scenarios = [
        scenario
        for scenario in _collected(paths)
        if not select or select in scenario.name or select in scenario.tags
    ]
    if not scenarios:
        raise Stop(Exit.USAGE, "no scenarios there", "scenario files end in .scenarios.yaml")
    begin = perf_counter()
    results = _run(scenarios, mode, quiet=as_json)
    seconds = perf_counter() - begin
    if junit is not None:
        from controller.replay.junit import junit_xml

        junit.write_text(junit_xml(results), encoding="utf-8")
    failed = [result for result in results if not result.passed]
    if as_json:
        emit(_data(results, seconds))
        return bool(failed)
    for result in failed:
        say(str(result.failures[0]))
        if len(result.failures) > 1:
            say(f"  and       {len(result.failures) - 1} more of its expectations do not hold")
        say()
    ticks = sum(result.ticks for result in results)
    good = len(results) - len(failed)
    say(f"{good} passed, {len(failed)} failed in {seconds:.2f} s "
        f"({ticks:,} ticks, {ticks / max(seconds, 1e-9):,.0f} a second)")  # fmt: skip
    return bool(failed)


def _collected(paths: list[Path]) -> "list[Scenario]":
    from controller.replay import find_scenarios
    from controller.replay.scenario import load_scenarios

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise Stop(Exit.USAGE, f"there is no {', '.join(missing)}", "name a file or a directory")
    found: list[Scenario] = []
    problems: list[str] = []
    for path in find_scenarios(paths):
        loaded = load_scenarios(path, os.environ)
        problems += [str(finding) for finding in loaded.findings]
        found += loaded.scenarios
    if problems:
        raise Stop(Exit.FAILED, "scenario files with errors\n" + "\n".join(problems))
    return found


def _run(scenarios: "list[Scenario]", mode: str, *, quiet: bool) -> "list[ScenarioResult]":
    from controller.replay.outcome import run_scenario

    how = cast("Mode", mode)
    # What the controller logs on the way (crashes that a scenario asks for) is not its outcome.
    logging.disable(logging.CRITICAL)
    if quiet or not sys.stdout.isatty():
        return [run_scenario(scenario, how) for scenario in scenarios]
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    results = []
    with Progress(*columns, console=console(), transient=True) as progress:
        task = progress.add_task("", total=len(scenarios))
        for scenario in scenarios:
            progress.update(task, description=scenario.name)
            results.append(run_scenario(scenario, how))
            progress.advance(task)
    return results


def _data(results: "list[ScenarioResult]", seconds: float) -> dict[str, Any]:
    return {
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "seconds": seconds,
        "scenarios": [
            {
                "name": result.scenario.name,
                "path": str(result.scenario.path),
                "line": result.scenario.line,
                "passed": result.passed,
                "ticks": result.ticks,
                "failures": [str(failure) for failure in result.failures],
            }
            for result in results
        ],
    }
