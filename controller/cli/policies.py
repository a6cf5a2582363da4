"""Working on policies: init, validate, plan, test, replay."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.output import (
    DatabaseOption,
    Exit,
    Format,
    FormatOption,
    StateOption,
    Stop,
    answer_in,
    emit,
    moment_of,
    now,
    only_rollout,
    plans_of,
    policy_file,
    say,
    settings_from,
    sound,
    store_of,
)

if TYPE_CHECKING:
    from controller.policy.load import LoadedPolicy


class Report(StrEnum):
    """How findings are told."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class Diagram(StrEnum):
    """What is drawn, and how: the machine, or the effects that can be seen by when."""

    MERMAID = "mermaid"
    SVG = "svg"
    EFFECTS = "effects"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (init, validate, plan, test, replay):
        app.command()(command)


# init -------------------------------------------------------------------------------------


def init(
    directory: Annotated[Path, typer.Argument(help="Where the policy goes")] = Path("policies"),
    form: FormatOption = Format.TEXT,
) -> None:
    """Write a commented policy and its scenarios to start from.

    Never overwrites what you wrote; the schema beside it, which editors read, is brought up to
    date.

    Example: rollout init policies/
    """
    from controller.cli.starter import POLICY, SCENARIO_FILE
    from controller.policy.schema import text as schema_text

    as_json = answer_in(form)
    files = {
        directory / "my-rollout.yaml": POLICY,
        directory / "my-rollout.scenarios.yaml": SCENARIO_FILE,
    }
    there = [str(path) for path in files if path.exists()]
    schema = directory / "policy.schema.json"
    outdated = not schema.exists() or schema.read_text(encoding="utf-8") != schema_text()
    if there and not outdated:
        raise Stop(Exit.FAILED, f"already there: {', '.join(there)}", "name another directory")
    files = {} if there else files
    if outdated:
        files[schema] = schema_text()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Stop(Exit.FAILED, f"{error.filename}: {error.strerror}") from error
    if as_json:
        emit({"written": [str(path) for path in files]})
        return
    for path in files:
        say(f"wrote {path}")
    if there:
        say(f"as they were: {', '.join(there)}")
        return
    say(f"next: rollout validate {directory} · rollout test {directory} · rollout plan "
        f"{directory / 'my-rollout.yaml'}")  # fmt: skip


# validate ---------------------------------------------------------------------------------


def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="Policy files or directories of them", exists=True)
    ],
    form: Annotated[Report, typer.Option("--format", help="text, json or sarif")] = Report.TEXT,
) -> None:
    """Check policies as a compiler checks code: each error with its place and what to do.

    Examples: rollout validate policies/ · rollout validate my.yaml --format sarif
    """
    from controller.cli.render.findings import finding_data, finding_text, sarif
    from controller.policy.load import load_policy

    answer_in(Format.JSON if form is not Report.TEXT else Format.TEXT)
    loaded = _without_configurations(
        [load_policy(path, os.environ) for path in _policy_files(paths)], paths
    )
    findings = [finding for one in loaded for finding in one.findings]
    if form is Report.SARIF:
        emit(sarif(findings))
    elif form is Report.JSON:
        emit({
            "policies": [{"path": str(p.path), "digest": p.digest, "ok": p.ok} for p in loaded],
            "findings": [finding_data(finding) for finding in findings],
        })  # fmt: skip
    else:
        for one in loaded:
            lines = one.text.split("\n")
            for finding in one.findings:
                say(finding_text(finding, lines))
        bad = sum(not one.ok for one in loaded)
        good = len(loaded) - bad
        say(f"{good} of {_count(len(loaded), 'policy', 'policies')} fine" +
            (f", {_count(len(findings), 'finding', 'findings')}" if findings else ""))  # fmt: skip
    if not all(one.ok for one in loaded):
        raise SystemExit(int(Exit.FAILED))


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _without_configurations(
    loaded: list["LoadedPolicy"], asked: list[Path]
) -> list["LoadedPolicy"]:
    """Configurations of versions may be YAML below the policies: they are none themselves, unless
    somebody asks for one by its name."""
    from controller.policy.publisher import ConfigPublisher

    files: set[Path] = set()
    for one in loaded:
        if one.policy is not None:
            policy, here = one.policy, one.path.parent
            said = [policy.baseline.config, policy.candidate.config]
            said += [p.path for p in policy.publish.values() if isinstance(p, ConfigPublisher)]
            files |= {(here / name).resolve() for name in said if name is not None}
    return [one for one in loaded if one.path in asked or one.path.resolve() not in files]


def _policy_files(paths: list[Path]) -> list[Path]:
    from controller.policy.files import files_below, is_policy

    found: list[Path] = []
    for path in paths:
        policy_file(path)
        found += filter(is_policy, files_below(path)) if path.is_dir() else [path]
    if not found:
        raise Stop(Exit.USAGE, "no policy files there", "policies end in .yaml")
    return found


# plan -------------------------------------------------------------------------------------


def plan(
    policy: Annotated[Path, typer.Argument(help="A policy file", exists=True, dir_okay=False)],
    diagram: Annotated[
        Diagram | None,
        typer.Option("--diagram", help="Draw instead: the machine, or what can be seen by when"),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="Begin at: 2026-03-02T14:30Z [default: now]")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history",
            exists=True,
            dir_okay=False,
            help="Measure traffic and spread by recorded observations [default: what the store "
            "has of this rollout, else what the policy declares]",
        ),
    ] = None,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """What will happen: stages, gates, triggers, the way back, earliest and latest end.

    For each stage, where the traffic is known: when its samples are there, and what its comparisons
    can show by then. What cannot be decided in time is an error, with what would do.

    Examples: rollout plan my.yaml · rollout plan my.yaml --history signals.csv · rollout plan
    my.yaml --diagram effects > effects.svg
    """
    as_json = answer_in(form)
    from controller.cli.planning import planned, show

    begin = moment_of(start) if start else now()
    found = planned(policy, begin, history, database, state_dir)
    if diagram is Diagram.EFFECTS:
        from controller.cli.render.effects import effects_svg

        sys.stdout.write(effects_svg(found.outlooks))
    elif diagram is not None:
        from controller.core import draw

        drawn = draw.svg if diagram is Diagram.SVG else draw.mermaid
        sys.stdout.write(drawn(found.plan.machine))
    else:
        show(found, begin, as_json=as_json)
    if not found.feasible:
        raise SystemExit(int(Exit.FAILED))


# test -------------------------------------------------------------------------------------


class Mode(StrEnum):
    """What runs a scenario."""

    PURE = "pure"
    LIVE = "live"


def test(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Scenario files, policies, or directories", exists=True),
    ] = None,
    select: Annotated[str, typer.Option("-k", help="Only scenarios whose name or tag has it")] = "",
    mode: Annotated[
        Mode, typer.Option("--mode", help="pure: the core alone; live: real scheduler and store")
    ] = Mode.PURE,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write a JUnit file as well")
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", help="Write a scenario of this rollout's journal")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where the recorded scenario goes")
    ] = None,
    database: DatabaseOption = None,
    state_dir: StateOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run scenario files in frozen time: what the policy does, when, and why.

    Examples: rollout test policies/ · rollout test -k origin-31 · rollout test --record ifd-v3
    """
    as_json = answer_in(form)
    if record is not None:
        _record(record, output, database, state_dir)
        return
    from controller.cli.testing import run_tests

    failed = run_tests(paths or [Path("policies")], select, mode.value, junit, as_json=as_json)
    if failed:
        raise SystemExit(int(Exit.FAILED))


def _record(name: str, output: Path | None, database: str | None, state_dir: Path | None) -> None:
    from controller.replay.record import NothingRecorded, record_scenario

    settings = settings_from(database=database, state_dir=state_dir)
    with store_of(settings) as store:
        chosen = only_rollout(store, name)
        try:
            text = record_scenario(store, plans_of(store).plan, chosen)
        except NothingRecorded as error:
            raise Stop(Exit.FAILED, str(error)) from error
    if output is None:
        sys.stdout.write(text)
        return
    if output.exists():
        raise Stop(Exit.FAILED, f"{output} is there already", "name another file")
    output.write_text(text, encoding="utf-8")
    say(f"wrote {output}; run it: rollout test {output}")


# replay -----------------------------------------------------------------------------------


def replay(
    policy: Annotated[Path, typer.Argument(help="A policy file", exists=True, dir_okay=False)],
    history: Annotated[
        Path,
        typer.Option(
            "--history",
            exists=True,
            dir_okay=False,
            help="CSV, JSON Lines or Parquet, a row per moment `ts`",
        ),
    ],
    form: FormatOption = Format.TEXT,
) -> None:
    """Run the same machine over recorded history: what would have happened, and when.

    Rows are observations (`version` and fields) or measurements (columns such as
    candidate.errors and candidate.errors.samples, in the metric's unit).

    Example: rollout replay policies/ifd-v3.yaml --history signals.csv
    """
    as_json = answer_in(form)
    from controller.cli.replaying import replay_file
    from controller.policy.load import load_policy

    loaded = load_policy(policy, os.environ)
    sound(loaded)
    replay_file(loaded, history, as_json=as_json)
