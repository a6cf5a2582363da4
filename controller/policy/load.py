"""A policy file, from text to models and parsed conditions, with everything wrong in its place.

The stages: `document` (YAML to nodes), `variables`, `shape` (nodes to models), `condition`,
`check`. Each reports all it finds; the next one runs only on what the former let through.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from controller.policy.check import check_policy
from controller.policy.checks.context import Context, Line
from controller.policy.condition import parse_condition
from controller.policy.document import MAX_BYTES, DocumentError, Node, Scalar, read_document
from controller.policy.expression import Condition, Guard
from controller.policy.findings import Finding
from controller.policy.models import Policy, Stage, Trigger
from controller.policy.names import Names, names_of
from controller.policy.places import Places, Where
from controller.policy.shape import ShapeReader
from controller.policy.tokens import ConditionError
from controller.policy.variables import fill_in


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """What was read of one file. `policy` is None where the shape is broken; `gates` (by stage)
    and `guards` (by trigger) hold the conditions that could be parsed. `digest` is the sha256 of
    the text as written, before any variable."""

    path: Path
    text: str
    digest: str
    policy: Policy | None = None
    gates: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    guards: Mapping[str, Guard] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it may run: read whole, and no error in it."""
        return self.policy is not None and all(f.severity != "error" for f in self.findings)

    @property
    def compiles(self) -> bool:
        """Whether there is a whole policy to compile. One that runs already must go on when a
        later program finds fault with its text."""
        return (
            self.policy is not None
            and all(len(self.gates[s.name]) == len(s.advance) for s in self.policy.stages)
            and all(trigger.name in self.guards for trigger in self.policy.triggers)
        )


def load_policy(path: Path, environ: Mapping[str, str]) -> LoadedPolicy:
    """Read and check the file at `path`. Never raises for what the file holds, or for a file that
    is not there: that is a finding as well."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is not a file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "give the path of a policy, such as policies/NAME.yaml"
        return _broken(path, "", Finding("P001", f"cannot be read: {reason}", path, 1, 1, hint))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(raw) > MAX_BYTES:
            text = raw.decode("utf-8", "replace")
        else:
            before = raw[: error.start].decode("utf-8")
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            finding = Finding("P003", "not UTF-8", path, line, column, "save the file as UTF-8")
            return replace(_broken(path, "", finding), digest=sha256(raw).hexdigest())
    return load_text(text, path, environ)


def load_text(
    text: str, path: Path, environ: Mapping[str, str], *, keep_unset: bool = False
) -> LoadedPolicy:
    """Read and check the text of a policy; `path` is where it is said to be from. `keep_unset`
    leaves a variable that is not set as it is written."""
    try:
        root, findings = read_document(text, path)
    except DocumentError as error:
        return _broken(path, text, error.finding)
    reader = ShapeReader(path)
    findings += fill_in(root, environ, path, keep_unset=keep_unset)
    variables = {(finding.line, finding.column) for finding in findings}
    policy = reader.read(Policy, root)
    findings += tuple(f for f in reader.findings if (f.line, f.column) not in variables)
    loaded = _broken(path, text, *findings)
    if policy is None or findings:
        return loaded
    return _judge(loaded, policy, root, None if keep_unset else environ)


def _judge(
    loaded: LoadedPolicy, policy: Policy, root: Node, environ: Mapping[str, str] | None
) -> LoadedPolicy:
    """The conditions parsed, and everything checked that needs the whole policy."""
    context, unread = _context(loaded, policy, root, environ)
    found = check_policy(context)
    return replace(
        loaded,
        policy=policy,
        gates={
            stage.name: tuple(line.condition for line in gate)
            for stage, gate in zip(policy.stages, context.gates, strict=True)
        },
        guards={
            trigger.name: guard
            for trigger, guard in zip(policy.triggers, context.guards, strict=True)
            if guard is not None
        },
        findings=_in_order(*_without_echo(unread, found), *found),
    )


def _context(
    loaded: LoadedPolicy, policy: Policy, root: Node, environ: Mapping[str, str] | None
) -> tuple[Context, list[Finding]]:
    """What every check reads, and the conditions that could not be read."""
    names, places = names_of(policy), Places(loaded.path, loaded.text, root)
    reader = _ConditionReader(names, places)
    gates = [
        list(reader.gate(("stages", number, "advance"), stage))
        for number, stage in enumerate(policy.stages)
    ]
    guards = [
        reader.guard(("triggers", number), trigger)
        for number, trigger in enumerate(policy.triggers)
    ]
    return Context(policy, gates, guards, names, places, environ), reader.findings


def context_of(loaded: LoadedPolicy, environ: Mapping[str, str]) -> Context:
    """What every check reads, of a policy that was read whole: for a check that knows more than
    the file, such as what was measured."""
    assert loaded.policy is not None
    root, _ = read_document(loaded.text, loaded.path)
    return _context(loaded, loaded.policy, root, environ)[0]


def _without_echo(read: list[Finding], found: tuple[Finding, ...]) -> list[Finding]:
    """A metric's broken unit does not compare with anything: one finding is enough."""
    broken = any(finding.code == "P323" for finding in found)
    return [finding for finding in read if not (broken and finding.code == "P203")]


class _ConditionReader:
    """Parses the conditions of one document; an error points into the condition's own text."""

    def __init__(self, names: Names, places: Places) -> None:
        self.findings: list[Finding] = []
        self._names, self._places = names, places

    def gate(self, where: Where, stage: Stage) -> Iterator[Line]:
        """The lines of the gate at `where` that can be read."""
        for number, check in enumerate(stage.advance):
            line = (*where, number)
            whole = isinstance(self._places.node(line), Scalar)
            text = line if whole else (*line, "check")
            condition = self.read(text)
            if condition is not None:
                yield Line(number, check, condition, text)

    def guard(self, where: Where, trigger: Trigger) -> Guard | None:
        """The conditions of the trigger at `where`; None if one of them cannot be read."""
        when = self.read((*where, "when"))
        clear = self.read((*where, "clear")) if trigger.clear is not None else None
        if when is None or (trigger.clear is not None and clear is None):
            return None
        return Guard(when, clear)

    def read(self, where: Where) -> Condition | None:
        """The tree at `where`, or None and a finding."""
        node = self._places.node(where)
        assert isinstance(node, Scalar)
        try:
            return parse_condition(node.text, self._names)
        except ConditionError as error:
            self.findings.append(
                self._places.inside(where, error.column, error.code, error.message, error.hint)
            )
            return None


def _broken(path: Path, text: str, *findings: Finding) -> LoadedPolicy:
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return LoadedPolicy(path, text, digest, findings=_in_order(*findings))


def _in_order(*findings: Finding) -> tuple[Finding, ...]:
    """By place. What several aliases share is found once."""
    once = {(f.line, f.column, f.code): f for f in reversed(findings)}
    return tuple(once[key] for key in sorted(once))
