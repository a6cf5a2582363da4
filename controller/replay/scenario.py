"""Scenario files: a policy, what is measured, what happens, and what is expected when."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from controller.core.compiler import SHARE_TARGET, step_names
from controller.core.enter import HANDOVER
from controller.core.measurement import Outcome
from controller.core.share import Share, from_percent
from controller.core.state import APPROVAL, HELD, PAUSED, ROLLING_BACK
from controller.policy import document
from controller.policy.budgets import SHARED, metrics_of, triggers_of
from controller.policy.checks.references import RESERVED
from controller.policy.document import DocumentError, Node, Scalar, read_document
from controller.policy.findings import Finding, did_you_mean
from controller.policy.load import LoadedPolicy, load_text
from controller.policy.quality import MEASURES, judged_sources
from controller.policy.units import parse_quantity
from controller.policy.values import parse_duration, parse_percent, parse_time
from controller.replay.series import SAMPLES, Constant, Gap, Noise, Piece, Ramp, Recorded, Series

SUFFIX = ".scenarios.yaml"
COMMANDS = ("start", "approve", "pause", "resume", "advance", "rollback", "reset", "ack", "silence")
KEYS = ("policy", "start", "series", "scenarios")
SCENARIO_KEYS = (
    "name", "tags", "set", "from", "start", "series", "observations", "events", "expect",
    "until", "rejected",
)  # fmt: skip
CLAIM_KEYS = (
    "state", "share", "reasons", "effects", "alerts", "blocked_by", "outcomes", "would_have",
    "measured", "refused", "dwell", "epoch", "files",
)  # fmt: skip
TRIGGER_WORDS = ("quiet", "pending", "firing")
OUTCOME_WORDS = (*(outcome.value for outcome in Outcome), *TRIGGER_WORDS)
"""What `outcomes` may claim of a rule; the last three of a trigger alone."""
TIMES = ("at", "always", "never", "within", "stays", "repeatable")
CODES = {
    "S001": "a scenario file that cannot be read",
    "S002": "an unknown or missing key",
    "S003": "a wrong value",
    "S004": "an unknown name",
}


@dataclass(frozen=True, slots=True)
class Flow:
    """Observations that come in: one at `first`, or one `every` so often until `last`.
    `fields` are the JSON fields; `version` is candidate, baseline, shared (what both have in
    common) or empty (a late outcome). With `every`, each moment has a `key` of its own, which all
    share."""

    source: str
    first: timedelta
    every: timedelta | None
    last: timedelta
    version: str
    identity: str
    fields: Mapping[str, Any]
    writers: int = 1
    key: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens: a command of a person, `crash`, `clock`, `source` or `target`."""

    at: timedelta
    what: str
    by: str = "scenario"
    reason: str = ""
    name: str = ""
    span: timedelta = timedelta(0)
    before_delivery: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """What is claimed of a moment; None is not claimed."""

    state: str | None = None
    share: Share | None = None
    reasons: tuple[str, ...] = ()
    effects: tuple[tuple[str, str], ...] = ()
    alerts: Mapping[str, int] = field(default_factory=dict)
    blocked_by: tuple[str, ...] = ()
    outcomes: Mapping[str, str] = field(default_factory=dict)
    would_have: tuple[str, ...] | None = None
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    refused: str | None = None
    dwell: timedelta | None = None
    epoch: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Claims, and when they are to hold: `at`, `always` or `never` (from `begins` to `ends`),
    `within` (from `begins`, at the latest at `ends`), `stays` (all of `begins` to `ends`)."""

    kind: str
    line: int
    text: str
    claims: Claims
    begins: timedelta = timedelta(0)
    ends: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story. `policy_text` is the policy with the scenario's own changes."""

    path: Path
    line: int
    name: str
    policy_path: Path
    policy_text: str
    start: datetime
    tags: tuple[str, ...] = ()
    begin: str = ""
    series: Mapping[str, Series] = field(default_factory=dict)
    own_series: frozenset[str] = frozenset()
    flows: tuple[Flow, ...] = ()
    events: tuple[Happening, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    until: timedelta = timedelta(0)
    rejected: tuple[str, ...] = ()

    def load(self, environ: Mapping[str, str] | None = None) -> LoadedPolicy:
        """The policy as this scenario has it."""
        if environ is not None:
            return load_text(self.policy_text, self.policy_path, environ)
        return _loaded(self.policy_text, self.policy_path, tuple(sorted(os.environ.items())))


@lru_cache(maxsize=256)
def _loaded(text: str, path: Path, environ: tuple[tuple[str, str], ...]) -> LoadedPolicy:
    """Most scenarios of a file have the same policy."""
    return load_text(text, path, dict(environ))


@dataclass(frozen=True, slots=True)
class LoadedScenarios:
    """A scenario file as read."""

    path: Path
    scenarios: tuple[Scenario, ...]
    findings: tuple[Finding, ...]


class _Wrong(Exception):
    """A value that cannot be read, at its node."""

    def __init__(self, node: Node, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.node, self.code, self.message, self.hint = node, code, message, hint


def load_scenarios(path: Path, environ: Mapping[str, str] | None = None) -> LoadedScenarios:
    """Read a scenario file and the policy that it names. Never raises for what they hold."""
    try:
        text = path.read_text(encoding="utf-8")
        root, findings = read_document(text, path)
    except (OSError, UnicodeDecodeError) as error:
        return LoadedScenarios(path, (), (Finding("S001", str(error), path, 1, 1),))
    except DocumentError as error:
        return LoadedScenarios(path, (), (error.finding,))
    if findings:
        return LoadedScenarios(path, (), findings)
    try:
        return LoadedScenarios(
            path, tuple(_FileReader(path, text, environ or os.environ).read(root)), ()
        )
    except _Wrong as wrong:
        node = wrong.node
        found = Finding(wrong.code, wrong.message, path, node.line, node.column, wrong.hint)
        return LoadedScenarios(path, (), (found,))


class _FileReader:
    def __init__(self, path: Path, text: str, environ: Mapping[str, str]) -> None:
        self._path, self._environ = path, environ
        self._lines = text.split("\n")

    def read(self, root: Node) -> list[Scenario]:
        entries = _mapping(root, KEYS, "the file")
        self._policy_path = self._path.parent / _text(_needed(entries, "policy", root))
        try:
            self._policy = self._policy_path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _Wrong(entries["policy"], "S001", f"the policy cannot be read: {error}") from None
        self._start = _call(parse_time, entries["start"]) if "start" in entries else None
        self._series = _items_of(entries.get("series"))
        scenarios = _needed(entries, "scenarios", root)
        return [self._scenario(node) for node in _list(scenarios)]

    def _scenario(self, node: Node) -> Scenario:
        entries = _mapping(node, SCENARIO_KEYS, "the scenario")
        start = _call(parse_time, entries["start"]) if "start" in entries else self._start
        if start is None:
            raise _Wrong(node, "S002", "no start time", "add `start: 2026-03-02T14:30:00Z`")
        policy = _with_changes(self._policy, self._policy_path, entries.get("set"))
        own = _items_of(entries.get("series"))
        loaded = _loaded(policy, self._policy_path, tuple(sorted(self._environ.items())))
        ratios = _ratios(loaded)
        self._states = _states(loaded)
        self._rules = _rules(loaded)
        expectations = tuple(self._expectation(item) for item in _list(entries.get("expect")))
        events = sorted(
            (_happening(item) for item in _list(entries.get("events"))), key=lambda e: e.at
        )
        flows = tuple(_flow(item) for item in _list(entries.get("observations")))
        scenario = Scenario(
            path=self._path,
            line=node.line,
            name=_text(_needed(entries, "name", node)),
            policy_path=self._policy_path,
            policy_text=policy,
            start=start,
            tags=tuple(_text(item) for item in _list(entries.get("tags"))),
            begin=_text(entries["from"]) if "from" in entries else "",
            series={
                name: _series(value, self._path.parent, ratio=name in ratios)
                for name, value in (self._series | own).items()
            },
            own_series=frozenset(own),
            flows=flows,
            events=tuple(events),
            expectations=expectations,
            rejected=tuple(_text(item) for item in _list(entries.get("rejected"))),
        )
        self._check_names(scenario, loaded, node, entries)
        until = _span(entries["until"]) if "until" in entries else _end(scenario)
        return replace(scenario, until=until)

    def _check_names(
        self, scenario: Scenario, loaded: LoadedPolicy, node: Node, entries: dict[str, Node]
    ) -> None:
        """Names that the policy does not have would make a scenario that proves nothing."""
        if scenario.rejected:
            return
        if loaded.policy is None or not loaded.ok:
            problems = "; ".join(f"{f.code} {f.message} (line {f.line})" for f in loaded.findings)
            raise _Wrong(node, "S004", f"its policy is not valid: {problems}",
                         f"rollout validate {self._policy_path}")  # fmt: skip
        steps = [name for stage in loaded.policy.stages for name, _ in step_names(stage)]
        if scenario.begin and scenario.begin not in steps:
            raise _Wrong(entries["from"], "S004", f"unknown state {scenario.begin!r}",
                         did_you_mean(scenario.begin, steps))  # fmt: skip
        known = [f"{s}.{m}" for m in metrics_of(loaded.policy) for s in ("candidate", "baseline")]
        known += [f"{source}.silent" for source in loaded.policy.sources]
        known += [f"{s}.{name}" for s, _ in judged_sources(loaded.policy) for name in MEASURES]
        for name, value in _items_of(entries.get("series")).items():
            if name not in known:
                hint = did_you_mean(name, known)
                raise _Wrong(value, "S004", f"unknown measurement {name!r}", hint)
        told = loaded.policy.alerts
        places = {
            "source": tuple(loaded.policy.sources),
            "target": (
                *loaded.policy.publish,
                SHARE_TARGET,
                HANDOVER,
                *(told.channels if told else ()),
            ),
        }
        for what, written in _named(entries):
            if _text(written) not in places[what]:
                hint = did_you_mean(_text(written), places[what])
                raise _Wrong(written, "S004", f"unknown {what} {_text(written)!r}", hint)

    def _expectation(self, node: Node) -> Expectation:
        entries = _mapping(
            node, (*TIMES, *CLAIM_KEYS, "from", "to", "after", "for"), "the expectation"
        )
        text = self._lines[node.line - 1].strip().removeprefix("- ")
        kinds = [kind for kind in TIMES if kind in entries]
        if len(kinds) != 1:
            raise _Wrong(node, "S002", "an expectation says when, once",
                         f"one of: {', '.join(TIMES)}")  # fmt: skip
        kind = kinds[0]
        begins = _span(entries["from"]) if "from" in entries else timedelta(0)
        ends = _span(entries["to"]) if "to" in entries else None
        own = {key: value for key, value in entries.items() if key in CLAIM_KEYS}
        match kind:
            case "at":
                begins = ends = _span(entries["at"])
            case "always" | "never" | "stays":
                own = _mapping(entries[kind], CLAIM_KEYS, f"`{kind}`")
                if kind == "stays":
                    ends = begins + _span(_needed(entries, "for", node))
            case "within":
                begins = _span(entries["after"]) if "after" in entries else timedelta(0)
                ends = begins + _span(entries["within"])
            case _:
                return Expectation(kind, node.line, text, Claims())
        if not own:
            hint = f"one or more of: {', '.join(CLAIM_KEYS)}"
            raise _Wrong(node, "S002", "an expectation that claims nothing always holds", hint)
        if "state" in own and self._states and _text(own["state"]) not in self._states:
            hint = did_you_mean(_text(own["state"]), self._states)
            raise _Wrong(own["state"], "S004", f"unknown state {_text(own['state'])!r}", hint)
        self._check_rules(own)
        return Expectation(kind, node.line, text, _claims(own), begins, ends)

    def _check_rules(self, own: dict[str, Node]) -> None:
        """`outcomes` and `would_have` name rules of the policy, and words that they can have."""
        if self._rules is None:
            return
        triggers, checks = self._rules
        for name, value in _items_of(own.get("outcomes")).items():
            if name not in triggers and name not in checks:
                hint = did_you_mean(name, [*triggers, *checks])
                raise _Wrong(value, "S004", f"unknown trigger or check {name!r}", hint)
            words = OUTCOME_WORDS if name in triggers else OUTCOME_WORDS[: -len(TRIGGER_WORDS)]
            if _text(value) not in words:
                hint = f"one of: {', '.join(words)}"
                raise _Wrong(value, "S003", f"{name} cannot be {_text(value)!r}", hint)
        for node in _list(own.get("would_have")):
            if _text(node) not in triggers:
                hint = did_you_mean(_text(node), triggers)
                raise _Wrong(node, "S004", f"unknown trigger {_text(node)!r}", hint)


def _named(entries: dict[str, Node]) -> Iterator[tuple[str, Node]]:
    """Every source and target that observations and events name."""
    for flow in _list(entries.get("observations")):
        yield "source", _items_of(flow)["source"]
    for event in _list(entries.get("events")):
        for what, value in _items_of(event).items():
            if what in ("source", "target"):
                yield what, _items_of(value)["name"]


def _states(loaded: LoadedPolicy) -> tuple[str, ...]:
    """Every state of the policy's machine; none of a policy that is not valid."""
    if loaded.policy is None:
        return ()
    steps = [name for stage in loaded.policy.stages for name, _ in step_names(stage)]
    sides = [f"{step}.{side}" for step in steps for side in (HELD, PAUSED, APPROVAL)]
    back = [f"{ROLLING_BACK}.{step}" for step in loaded.policy.rollback.plan]
    return (*steps, *sides, *back, *sorted(RESERVED))


def _rules(loaded: LoadedPolicy) -> tuple[list[str], list[str]] | None:
    """Names of the triggers and texts of the checks; None of a policy that is not valid."""
    if loaded.policy is None:
        return None
    checks = {check.check for stage in loaded.policy.stages for check in stage.advance}
    triggers = (*loaded.policy.triggers, *triggers_of(loaded.policy))
    return [trigger.name for trigger in triggers], sorted(checks)


# Parts ------------------------------------------------------------------------------------


def _claims(entries: dict[str, Node]) -> Claims:
    effects = []
    for item in _list(entries.get("effects")):
        effects += [(kind, _text(value)) for kind, value in _items_of(item).items()]
    measured = {
        name: {key: _quantity(value) for key, value in _items_of(node).items()}
        for name, node in _items_of(entries.get("measured")).items()
    }
    return Claims(
        state=_text(entries["state"]) if "state" in entries else None,
        share=_share(entries["share"]) if "share" in entries else None,
        reasons=_texts(entries.get("reasons")),
        effects=tuple(effects),
        alerts={k: int(_quantity(v)) for k, v in _items_of(entries.get("alerts")).items()},
        blocked_by=_texts(entries.get("blocked_by")),
        outcomes={name: _text(node) for name, node in _items_of(entries.get("outcomes")).items()},
        would_have=_texts(entries["would_have"]) if "would_have" in entries else None,
        measured=measured,
        refused=_text(entries["refused"]) if "refused" in entries else None,
        dwell=_span(entries["dwell"]) if "dwell" in entries else None,
        epoch=int(_quantity(entries["epoch"])) if "epoch" in entries else None,
        files={k: _text(v) for k, v in _items_of(entries.get("files")).items()},
    )


def _happening(node: Node) -> Happening:
    entries = _mapping(node, ("at", *COMMANDS, "crash", "clock", "source", "target"), "the event")
    at = _span(_needed(entries, "at", node))
    rest = [key for key in entries if key != "at"]
    if len(rest) != 1:
        raise _Wrong(node, "S002", "one thing happens at a time", "one key beside `at`")
    what, value = rest[0], entries[rest[0]]
    if what == "clock":
        return Happening(at, what, span=_span(value))
    if what == "crash":
        inner = _mapping(value, ("down", "before"), "the crash")
        down = _span(_needed(inner, "down", value))
        return Happening(at, what, span=down, before_delivery="before" in inner)
    if what in ("source", "target"):
        inner = _mapping(value, ("name", "outage"), f"the {what}")
        name = _text(_needed(inner, "name", value))
        return Happening(at, what, name=name, span=_span(_needed(inner, "outage", value)))
    words = ("alert", "for") if what in ("ack", "silence") else ()
    inner = _mapping(value, ("by", "reason", *words), what)
    return Happening(
        at,
        what,
        name=_text(inner["alert"]) if "alert" in inner else "",
        span=_span(inner["for"]) if "for" in inner else timedelta(0),
        by=_text(inner["by"]) if "by" in inner else "scenario",
        reason=_text(inner["reason"]) if "reason" in inner else "",
    )


def _flow(node: Node) -> Flow:
    keys = ("source", "at", "every", "from", "to", "version", "id", "fields", "writers", "key")
    entries = _mapping(node, keys, "the observations")
    every = _span(entries["every"]) if "every" in entries else None
    first = _span(entries.get("at") or _needed(entries, "from", node))
    version = _text(entries["version"]) if "version" in entries else ""
    if version not in ("", "candidate", "baseline", SHARED):
        raise _Wrong(entries["version"], "S003", f"{version!r} is not a side",
                     f"write candidate, baseline or {SHARED}")  # fmt: skip
    return Flow(
        source=_text(_needed(entries, "source", node)),
        first=first,
        every=every,
        last=_span(entries["to"]) if "to" in entries else first,
        version=version,
        identity=_text(entries["id"]) if "id" in entries else "",
        fields={k: _plain(v) for k, v in _items_of(_needed(entries, "fields", node)).items()},
        writers=int(_quantity(entries["writers"])) if "writers" in entries else 1,
        key=_text(entries["key"]) if "key" in entries else "",
    )


def _series(node: Node, folder: Path, *, ratio: bool) -> Series:
    items = node.items if isinstance(node, document.Sequence) else [node]
    pieces: list[Piece] = []
    for item in items:
        before = pieces[-1] if pieces else Piece(timedelta(0), Gap())
        pieces.append(_piece(item, before, folder))
    return Series(tuple(pieces), ratio)


def _piece(node: Node, before: Piece, folder: Path) -> Piece:
    if isinstance(node, Scalar):
        return Piece(timedelta(0), Constant(_quantity(node)))
    kinds = ("constant", "step", "ramp", "noise", "csv", "gap", "nan")
    entries = _mapping(node, (*kinds, "at", "samples", "sd", "column"), "the series")
    found = [kind for kind in kinds if kind in entries]
    if len(found) != 1:
        raise _Wrong(node, "S002", "a piece of a series has one shape", f"of: {', '.join(kinds)}")
    kind, value = found[0], entries[found[0]]
    begins = _span(entries["at"]) if "at" in entries else timedelta(0)
    until = None
    shape: Any
    match kind:
        case "constant" | "step":
            shape = Constant(_quantity(value))
        case "nan":
            shape = Constant(float("nan"))
        case "gap":
            shape = Gap()
            until = None if _text(value) == "always" else begins + _span(value)
        case "ramp":
            inner = _mapping(value, ("from", "to", "over"), "the ramp")
            first, last = (_quantity(_needed(inner, key, value)) for key in ("from", "to"))
            over = _needed(inner, "over", value)
            if _span(over) <= timedelta(0):
                raise _Wrong(
                    over, "S003", "a ramp takes some time", "write a `step`, or `over: 1m`"
                )
            shape = Ramp(first, last, _span(over))
        case "noise":
            inner = _mapping(value, ("mean", "sd", "seed"), "the noise")
            mean, sd = (_quantity(_needed(inner, key, value)) for key in ("mean", "sd"))
            shape = Noise(mean, sd, int(_quantity(inner["seed"])) if "seed" in inner else 0)
        case _:
            shape = _recorded(value, folder, _text(_needed(entries, "column", node)))
    samples = before.samples if kind == "step" else SAMPLES
    if "samples" in entries:
        samples = int(_quantity(entries["samples"]))
    deviation = _quantity(entries["sd"]) if "sd" in entries else None
    return Piece(begins, shape, samples, deviation, until)


def _recorded(node: Node, folder: Path, column: str) -> Recorded:
    """A CSV with a column `at` (a duration since the start) and the value's column."""
    path = folder / _text(node)
    times, values = [], []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                times.append(parse_duration(row["at"]) if row["at"] != "0" else timedelta(0))
                text = row[column].strip()
                values.append(parse_quantity(text)[0] if text else None)
    except (OSError, KeyError, ValueError, TypeError) as error:
        words = f"{path.name}: {error}"
        raise _Wrong(node, "S003", words, f"columns needed: at, {column}") from None
    return Recorded(tuple(times), tuple(values))


def _ratios(loaded: LoadedPolicy) -> set[str]:
    if loaded.policy is None:
        return set()
    return {
        f"{side}.{name}"
        for name, metric in loaded.policy.metrics.items()
        if (metric.value or "").startswith("ratio(")
        for side in ("candidate", "baseline")
    }


def _end(scenario: Scenario) -> timedelta:
    """The last moment that anything is said about."""
    moments = [event.at + event.span for event in scenario.events]
    moments += [e.ends if e.ends is not None else e.begins for e in scenario.expectations]
    return max(moments, default=timedelta(0))


# Changes to the policy --------------------------------------------------------------------


def _with_changes(text: str, path: Path, changes: Node | None) -> str:
    """The policy's text, with values replaced by dotted path; items of lists go by their name."""
    if changes is None:
        return text
    try:
        root, _ = read_document(text, path)
    except DocumentError:
        return text
    for dotted, value in _items_of(changes).items():
        _put(root, dotted.split("."), value, changes)
    return _dumped(root) + "\n"


def _put(node: Node, parts: list[str], value: Node, at: Node) -> None:
    here, rest = parts[0], parts[1:]
    if isinstance(node, document.Sequence):
        for number, item in enumerate(node.items):
            entries = item.entries if isinstance(item, document.Mapping) else {}
            name = entries.get("name")
            if name is not None and isinstance(name[1], Scalar) and name[1].text == here:
                if rest:
                    _put(item, rest, value, at)
                else:
                    node.items[number] = value
                return
    elif isinstance(node, document.Mapping):
        if rest and here in node.entries:
            _put(node.entries[here][1], rest, value, at)
            return
        if not rest:
            key = Scalar(here, False, at.line, at.column, 0, 0, '"')
            node.entries[here] = (node.entries.get(here, (key, value))[0], value)
            return
    raise _Wrong(at, "S004", f"the policy has nothing at {here!r}", "name the path by its keys")


def _dumped(node: Node) -> str:
    """A node as YAML in one line (JSON but for plain scalars that mean numbers or flags)."""
    match node:
        case Scalar():
            plain = node.plain and _is_literal(node.text)
            return node.text if plain else json.dumps(node.text, ensure_ascii=False)
        case document.Sequence():
            return "[" + ", ".join(_dumped(item) for item in node.items) + "]"
        case document.Mapping():
            inner = (f"{json.dumps(k)}: {_dumped(v)}" for k, (_, v) in node.entries.items())
            return "{" + ", ".join(inner) + "}"


def _is_literal(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return text in ("true", "false", "null")
    return True


# Nodes ------------------------------------------------------------------------------------


def _mapping(node: Node, known: tuple[str, ...], what: str) -> dict[str, Node]:
    if not isinstance(node, document.Mapping):
        raise _Wrong(node, "S003", f"{what} is not a mapping of keys", f"keys: {', '.join(known)}")
    for key, (written, _) in node.entries.items():
        if key not in known:
            hint = did_you_mean(key, known)
            raise _Wrong(written, "S002", f"unknown key {key!r} in {what}", hint)
    return {key: value for key, (_, value) in node.entries.items()}


def _items_of(node: Node | None) -> dict[str, Node]:
    if node is None:
        return {}
    if not isinstance(node, document.Mapping):
        raise _Wrong(node, "S003", "a mapping of names is needed here")
    return {key: value for key, (_, value) in node.entries.items()}


def _needed(entries: Mapping[str, Node], key: str, at: Node) -> Node:
    if key not in entries:
        raise _Wrong(at, "S002", f"the key {key!r} is missing", f"add `{key}: ...`")
    return entries[key]


def _list(node: Node | None) -> list[Node]:
    if node is None:
        return []
    return node.items if isinstance(node, document.Sequence) else [node]


def _texts(node: Node | None) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(node))


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise _Wrong(node, "S003", "a text is needed here")
    return node.text


def _call(read: Any, node: Node) -> Any:
    try:
        return read(_text(node))
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise _Wrong(node, "S003", message, hint) from None


def _span(node: Node) -> timedelta:
    """A duration; `0`, `0m` and negative ones too."""
    text = _text(node)
    if text.startswith("-"):
        return -_span(_with_text(node, text[1:]))
    if text == "0":
        return timedelta(0)
    found: timedelta = _call(parse_duration, node)
    return found


def _quantity(node: Node) -> float:
    text = _text(node)
    if text.startswith("-"):
        return -_quantity(_with_text(node, text[1:].lstrip()))
    return float(_call(parse_quantity, node)[0])


def _with_text(node: Node, text: str) -> Scalar:
    return Scalar(text, False, node.line, node.column, 0, 0, "")


def _share(node: Node) -> Share:
    return from_percent(_call(parse_percent, node))


def _plain(node: Node) -> Any:
    """A JSON value of an observation's field."""
    text = _text(node)
    if not isinstance(node, Scalar) or not node.plain:
        return text
    if text in ("true", "false"):
        return text == "true"
    if text == "null":
        return None
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
