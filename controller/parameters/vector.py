"""All parameters at once: what differs between two configurations, and what it is on the way.

A configuration is a tree of mappings, lists and values. What is the same in both stays as it is;
whatever differs must be named by a rule, or by the rule for the rest. Neither tree is ever changed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, Literal

from controller.parameters.curves import Curve, Number, between, on_grid

Path = tuple[Any, ...]
"""Keys and numbers of items, from the root."""
Tree = Mapping[Any, Any]


class Side(Enum):
    """A value as one of the two configurations has it, present or not."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class _Absent(Enum):
    ABSENT = "nothing"


ABSENT = _Absent.ABSENT
"""In place of a value that is not there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a policy says of one path: the curve of a number, or the progress (over 0, to 1) at
    which the candidate's value takes over."""

    path: str
    how: Curve | Fraction


@dataclass(frozen=True, slots=True)
class Move:
    """One path whose value differs, and how it gets from `start` to `end`."""

    path: Path
    start: Any
    end: Any
    how: Curve | Fraction

    @property
    def name(self) -> str:
        """The path as a policy writes it."""
        return path_text(self.path)

    def at(self, progress: Fraction) -> Side | Number:
        """The value at `progress`: that of a side, or a number between."""
        if progress <= 0:
            return Side.BASELINE
        if progress >= 1:
            return Side.CANDIDATE
        if isinstance(self.how, Fraction):
            return Side.CANDIDATE if progress >= self.how else Side.BASELINE
        return between(self.start, self.end, progress, self.how)

    def value(self, progress: Fraction) -> Any:
        """The same, as a value; ABSENT where there is none."""
        found = self.at(progress)
        if isinstance(found, Side):
            return self.start if found is Side.BASELINE else self.end
        return found


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a rule (its number; None: no rule at all) does not fit. `about`: `path` (not there, or
    named twice, or not named), `same` (nothing to do) or `values` (the curve cannot take them)."""

    about: Literal["path", "same", "values"]
    rule: int | None
    name: str
    words: str
    hint: str = ""


class Unfit(ValueError):
    """Rules that do not fit two configurations; the message names each."""


class Interpolation:
    """Two configurations and what leads from one to the other."""

    def __init__(
        self, baseline: Tree, candidate: Tree, rules: Sequence[Rule], rest: Fraction | None
    ) -> None:
        """`rest`: where everything switches that no rule names; None: that is a problem."""
        self._trees = {Side.BASELINE: baseline, Side.CANDIDATE: candidate}
        self.paths = {path_text(path): path for tree in self._trees.values() for path in walk(tree)}
        self.problems: list[Problem] = []
        self.moves = tuple(self._moves(baseline, candidate, rules, rest))

    @property
    def unfit(self) -> list[Problem]:
        """The problems that leave no way; a rule for what is the same in both is none of them."""
        return [problem for problem in self.problems if problem.about != "same"]

    def must_fit(self) -> None:
        """Raises Unfit if there is no way."""
        if self.unfit:
            raise Unfit("; ".join(f"{p.name}: {p.words}" for p in self.unfit))

    def settings(self, progress: Fraction) -> dict[Path, Side | Number]:
        """What differs, at `progress`."""
        return {move.path: move.at(progress) for move in self.moves}

    def value(self, name: str, progress: Fraction) -> Any:
        """Of any path, at `progress`; ABSENT where there is none. Raises KeyError for a path that
        is in neither configuration."""
        path = self.paths[name]
        for move in self.moves:
            if path[: len(move.path)] == move.path:
                found = move.at(progress)
                side = found if isinstance(found, Side) else None
                return find(self._trees[side], path) if side is not None else found
        return find(self._trees[Side.BASELINE], path)

    def tree(self, progress: Fraction) -> dict[Any, Any]:
        """The whole configuration at `progress`, a copy. Raises Unfit."""
        self.must_fit()
        one, other = self._trees[Side.BASELINE], self._trees[Side.CANDIDATE]
        found: dict[Any, Any] = put_together(one, other, self.settings(progress))
        return found

    def _moves(
        self, baseline: Tree, candidate: Tree, rules: Sequence[Rule], rest: Fraction | None
    ) -> Iterator[Move]:
        named: dict[Path, int] = {}
        for number, rule in enumerate(rules):
            path = self.paths.get(rule.path)
            if path is None:
                words = "it is in neither configuration"
                self.problems.append(Problem("path", number, rule.path, words))
                continue
            over = next((p for p in named if p == path[: len(p)] or path == p[: len(path)]), None)
            if over is not None:
                words = f"{path_text(over)} is named already"
                self.problems.append(Problem("path", number, rule.path, words, "name it once"))
                continue
            named[path] = number
        different = list(differences(baseline, candidate, named))
        for path in different:
            start, end = find(baseline, path), find(candidate, path)
            at = named.get(path)
            if at is not None:
                problem = misfit(at, rules[at], start, end)
                if problem is None:
                    yield Move(path, start, end, rules[at].how)
                else:
                    self.problems.append(problem)
            elif rest is not None:
                yield Move(path, start, end, rest)
            else:
                self.problems.append(_unnamed(path_text(path), start, end))
        for path in named.keys() - set(different):
            words = f"it is {shown(find(baseline, path))} in both"
            self.problems.append(Problem("same", named[path], path_text(path), words))


def _unnamed(name: str, start: Any, end: Any) -> Problem:
    how = "curve: linear" if is_number(start) and is_number(end) else "switch_at: 50%"
    hint = f"add {{path: {name}, {how}}}"
    return Problem("path", None, name, f"{shown(start)} and {shown(end)}", hint)


def misfit(number: int, rule: Rule, start: Any, end: Any) -> Problem | None:
    """Why a rule cannot lead from one value to the other."""
    if isinstance(rule.how, Fraction):
        return None
    told = f"{shown(start)} and {shown(end)}"
    if not (is_number(start) and is_number(end)):
        hint = "write `switch_at: 50%` instead of the curve"
        if isinstance(start, Mapping | list) and isinstance(end, Mapping | list):
            hint = f"name what is in it, or {hint}"
        words = f"a curve needs two numbers, not {told}"
        return Problem("values", number, rule.path, words, hint)
    if rule.how.name == "log" and min(start, end) <= 0:
        words = f"a logarithmic curve needs two numbers above 0, not {told}"
        return Problem("values", number, rule.path, words, "write `curve: linear`")
    tick = rule.how.tick
    missed = [v for v in (start, end) if tick is not None and not on_grid(v, tick)]
    if missed:
        words = f"{shown(missed[0])} is no multiple of the tick {tick:g}"
        return Problem("values", number, rule.path, words, "both must be multiples of it")
    return None


def differences(baseline: Any, candidate: Any, whole: Mapping[Path, Any]) -> Iterator[Path]:
    """Paths at which two trees differ, as deep as both go; those in `whole` are not gone into."""
    yield from _differences(baseline, candidate, whole, ())


def _differences(one: Any, other: Any, whole: Mapping[Path, Any], at: Path) -> Iterator[Path]:
    if same(one, other):
        return
    if at not in whole:
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            for key in [*one, *(key for key in other if key not in one)]:
                pair = one.get(key, ABSENT), other.get(key, ABSENT)
                yield from _differences(*pair, whole, (*at, key))
            return
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            for number, pair in enumerate(zip(one, other, strict=True)):
                yield from _differences(*pair, whole, (*at, number))
            return
    yield at


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, types included: 1 is neither true nor 1.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(*pair) for pair in pairs)
    if isinstance(one, float) and isinstance(other, float) and one != one:
        return other != other
    return type(one) is type(other) and bool(one == other)


def put_together(baseline: Tree, candidate: Tree, settings: Mapping[Path, Side | Number]) -> Any:
    """A copy of the baseline's tree with what differs as `settings` say."""
    found = deepcopy(baseline)
    for path, setting in settings.items():
        if setting is Side.BASELINE:
            continue
        value = find(candidate, path) if setting is Side.CANDIDATE else setting
        parent = find(found, path[:-1])
        if value is ABSENT:
            del parent[path[-1]]
        else:
            parent[path[-1]] = deepcopy(value)
    return found


def find(tree: Any, path: Path) -> Any:
    """What is at a path; ABSENT where nothing is."""
    for part in path:
        if (isinstance(tree, Mapping) and part in tree) or (
            isinstance(tree, list) and isinstance(part, int) and 0 <= part < len(tree)
        ):
            tree = tree[part]
        else:
            return ABSENT
    return tree


def walk(tree: Any, at: Path = ()) -> Iterator[Path]:
    """Every path of a tree, the root left out."""
    if isinstance(tree, Mapping):
        parts: Iterator[tuple[Any, Any]] = iter(tree.items())
    elif isinstance(tree, list):
        parts = iter(enumerate(tree))
    else:
        return
    for part, value in parts:
        yield (*at, part)
        yield from walk(value, (*at, part))


def path_text(path: Path) -> str:
    """`flow.windows[2]`."""
    text = ""
    for part in path:
        item = isinstance(part, int) and not isinstance(part, bool)
        text += f"[{part}]" if item else f".{part}" if text else str(part)
    return text


def is_number(value: Any) -> bool:
    """Whether a curve can take it: a finite number, and neither true nor false."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def shown(value: Any) -> str:
    """A value in a few words."""
    if value is ABSENT:
        return "nothing"
    if isinstance(value, Mapping | list):
        return "a table" if isinstance(value, Mapping) else f"a list of {len(value)}"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
