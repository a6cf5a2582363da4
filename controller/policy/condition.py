"""The language of conditions: text to the tree of `policy.expression`, checked on the way.

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | comparison | call | "(" condition ")"
    comparison = sum ("<" | "<=" | ">" | ">=" | "==" | "!=") sum
    sum        = product { ("+" | "-") product }
    product    = value { ("*" | "/") value }
    value      = [ "-" ] QUANTITY | SIDE "." METRIC | SOURCE "." MEASURE | SPENDING | "(" sum ")"

A QUANTITY is a number with or without a unit: 0.85, 5%, 15bps, 2000ms, 1h30m, 100 USD, 1_000.
SIDE is `candidate` or `baseline`, MEASURE `silent` or one of `policy.quality`, a SPENDING is
BUDGET.PERIOD.MEASURE (`data.day.share`), a call is in `policy.functions`. Nothing is evaluated
here, and nothing else can be said.
"""

from collections.abc import Callable
from typing import Literal, assert_never, cast

from controller.policy.cursor import KEYWORDS, MAX_NESTING
from controller.policy.expression import (
    Arithmetic,
    Combine,
    Compare,
    Condition,
    Dimension,
    Elapsed,
    MannWhitney,
    Not,
    Number,
    Reference,
    SplitAsAsked,
    Term,
    Versus,
    references,
)
from controller.policy.findings import did_you_mean
from controller.policy.functions import Calls, write_call
from controller.policy.names import Names
from controller.policy.quality import MEASURES
from controller.policy.tokens import ConditionError, Token
from controller.policy.units import PLAIN, SECOND, compares, example, in_words, parse_quantity

MAX_LENGTH = 500
SIDES = ("candidate", "baseline")
SILENT = "silent"
SPENDING = ("spent", "share", "elapsed", "burn", "forecast")
"""What there is of a period of a budget."""
_COMPARISONS = ("<=", ">=", "==", "!=", "<", ">")


def parse_condition(text: str, names: Names) -> Condition:
    """The tree of `text`. Raises ConditionError with the place, the reason and the remedy."""
    if len(text) > MAX_LENGTH:
        message = f"a condition of {len(text)} characters"
        raise ConditionError(
            text, 1, "P206", message, f"at most {MAX_LENGTH}; write several, one for each limit"
        )
    return Parser(text, names).parse()


def write_condition(node: Condition | Term) -> str:
    """The text of a tree; parsing it gives the tree back."""
    match node:
        case Number() | Elapsed():
            return node.text
        case Reference():
            return node.key
        case Arithmetic():
            return f"({write_condition(node.left)} {node.operator} {write_condition(node.right)})"
        case Compare():
            return f"{write_condition(node.left)} {node.operator} {write_condition(node.right)}"
        case Versus() | MannWhitney() | SplitAsAsked():
            return write_call(node)
        case Combine():
            return "(" + f" {node.operator} ".join(write_condition(p) for p in node.parts) + ")"
        case Not():
            return f"not ({write_condition(node.part)})"
        case _:
            assert_never(node)


def same(left: Condition | Term, right: Condition | Term) -> bool:
    """Whether two trees say the same, wherever they stand."""
    return write_condition(left) == write_condition(right)


_Part = Callable[[], Condition | Term]


def column_of(node: Condition | Term) -> int:
    """Where the text of a node begins, from 1, but for opening parentheses."""
    match node:
        case Compare():
            return column_of(node.left)
        case Combine():
            return column_of(node.parts[0])
        case _:
            return node.column


class Parser(Calls):
    """Recursive descent over the tokens of one condition."""

    def parse(self) -> Condition:
        if self._ended():
            hint = f"write {self.measured.split(',')[0]} <= LIMIT"
            raise self._error(self._now, "P201", "nothing to check", hint)
        node = self._condition(self._disjunction())
        if not self._ended():
            raise self._unexpected()
        return node

    # the grammar ------------------------------------------------------------------------------

    def _disjunction(self) -> Condition | Term:
        return self._chain("or", self._conjunction)

    def _conjunction(self) -> Condition | Term:
        return self._chain("and", self._negation)

    def _chain(self, word: Literal["and", "or"], part: _Part) -> Condition | Term:
        first = part()
        if self._now.text != word:
            return first
        parts = [self._condition(first)]
        while self._take(word):
            parts.append(self._condition(part()))
        flat: list[Condition] = []
        for each in parts:
            inner = isinstance(each, Combine) and each.operator == word
            flat += each.parts if inner and isinstance(each, Combine) else (each,)
        return Combine(word, tuple(flat), flat[0].column)

    def _negation(self) -> Condition | Term:
        token = self._now
        if not self._take("not"):
            return self._comparison()
        with_depth = self._deeper(token)
        node = Not(self._condition(self._negation()), token.column)
        self._depth -= with_depth
        return node

    def _comparison(self) -> Condition | Term:
        left = self._sum()
        token = self._now
        if token.text not in _COMPARISONS:
            return left
        self._at += 1
        left_term, right = self._term(left), self._term(self._sum())
        if self._now.text in _COMPARISONS:
            middle = write_condition(right)
            raise self._error(
                self._now, "P205", "a comparison has two sides",
                f"write two: ... {token.text} {middle} and {middle} {self._now.text} ...",
            )  # fmt: skip
        operator = cast(Literal["<", "<=", ">", ">=", "==", "!="], token.text)
        node = Compare(operator, left_term, right, token.column)
        self._measures_something(node)
        self._same_unit(left_term, right, token, "compare")
        return node

    def _sum(self) -> Condition | Term:
        return self._operators(("+", "-"), self._product)

    def _product(self) -> Condition | Term:
        return self._operators(("*", "/"), self._value)

    def _operators(self, signs: tuple[str, str], part: _Part) -> Condition | Term:
        node = part()
        count = 0
        while (token := self._now).text in signs and token.kind == "sign":
            self._at += 1
            count += 1
            if count > MAX_NESTING:
                raise self._error(
                    token, "P206", f"more than {MAX_NESTING} operators in a row", "split it"
                )
            left, right = self._term(node), self._term(part())
            node = self._arithmetic(token, left, right)
        return node

    def _value(self) -> Condition | Term:
        token = self._now
        if token.kind == "number" or token.text == "-":
            return self._quantity()
        if token.text == "(":
            self._at += 1
            with_depth = self._deeper(token)
            node = self._disjunction()
            self._expect(")", "close the parenthesis")
            self._depth -= with_depth
            return node
        if token.kind == "name" and token.text not in KEYWORDS:
            self._at += 1
            if self._now.text == "(":
                return self._call(token)
            return self._reference(token)
        raise self._unexpected()

    # names --------------------------------------------------------------------------------

    def _reference(self, token: Token) -> Term:
        subject, dot, name = token.text.partition(".")
        if not dot:
            raise self._bare(token)
        if subject in self._names.sources and subject not in SIDES:
            return self._of_source(token, subject, name)
        if subject in self._names.budgets and subject not in SIDES:
            return self._spending(token, subject, name)
        if subject not in SIDES:
            known = [*SIDES, *self._names.sources, *self._names.budgets]
            hint = did_you_mean(subject, known)
            raise self._error(token, "P202", f"unknown version or source {subject!r}", hint)
        metric = self._names.metrics.get(name)
        if metric is None:
            raise self._unknown_metric(token, name)
        return Reference(subject, name, metric.unit, token.column)

    def _of_source(self, token: Token, subject: str, name: str) -> Reference:
        if name == SILENT:
            return Reference(subject, name, SECOND, token.column)
        measure = self._names.metrics.get(token.text)
        if measure is not None:
            return Reference(subject, name, measure.unit, token.column)
        if name in MEASURES:
            message = f"nobody said what good data of {subject} is"
            hint = f"add `quality: {{required: [FIELD]}}` to source {subject}"
            raise self._error(token, "P202", message, hint)
        hint = f"{subject}.{SILENT} is how long {subject} has been silent; metrics are "
        known = did_you_mean(name, [*MEASURES, SILENT], f"{hint}candidate.METRIC")
        raise self._error(token, "P202", f"a source has no {name!r}", known)

    def _spending(self, token: Token, budget: str, name: str) -> Term:
        """`data.day.burn`, as what it is reckoned from: candidate.data_day / 8 USD, by the share
        of the day that has passed."""
        periods = self._names.budgets[budget]
        unit, _, measure = name.partition(".")
        if unit not in periods:
            hint = did_you_mean(unit, periods)
            raise self._error(token, "P202", f"{budget} is no budget of a {unit[:40]!r}", hint)
        if measure not in SPENDING:
            hint = did_you_mean(measure, SPENDING, f"write {budget}.{unit}.share")
            raise self._error(token, "P202", f"a budget has no {measure[:40]!r}", hint)
        known, column = periods[unit], token.column
        text, plain = str(known.amount), self._names.metrics.get(known.metric)
        amount, currency = parse_quantity(text)
        spent = Reference(SIDES[0], known.metric, currency if plain is None else plain.unit, column)
        passed = Elapsed(f"{budget}.{unit}.elapsed", known.period, PLAIN, column)
        share = Arithmetic("/", spent, Number(amount, currency, text, column), PLAIN, column)
        match measure:
            case "spent":
                return spent
            case "share":
                return share
            case "elapsed":
                return passed
            case "burn":
                return Arithmetic("/", share, passed, PLAIN, column)
            case _:
                return Arithmetic("/", spent, passed, spent.unit, column)

    def _bare(self, token: Token) -> ConditionError:
        if token.text in self._names.metrics:
            hint = f"write candidate.{token.text} or baseline.{token.text}"
            return self._error(token, "P202", f"{token.text!r} of which version?", hint)
        if token.text in self._names.sources:
            return self._error(
                token, "P202", f"what of source {token.text!r}?", f"write {token.text}.silent"
            )
        if token.text.lower() in KEYWORDS:
            return self._error(
                token, "P201", f"unexpected {token.text!r}", f"write {token.text.lower()!r}"
            )
        return self._error(token, "P202", f"unknown name {token.text!r}",
                   did_you_mean(token.text, [*self._names.metrics, *SIDES],
                                "a metric is candidate.METRIC or baseline.METRIC"))  # fmt: skip

    # static checks ----------------------------------------------------------------------------

    def _measures_something(self, node: Compare) -> None:
        if not any(references(node)):
            hint = f"one side must be {self.measured}"
            message = "two numbers are compared, nothing is measured"
            raise self._error_at(column_of(node), "P204", message, hint)
        if same(node.left, node.right):
            raise self._error_at(
                column_of(node), "P204", "both sides are the same", "compare with a limit"
            )

    def _same_unit(self, left: Term, right: Term, token: Token, verb: str) -> None:
        if compares(left.unit, right.unit):
            return
        message = (
            f"{write_condition(left)} is {in_words(left.unit)}, "
            f"{write_condition(right)} is {in_words(right.unit)}: they do not {verb}"
        )
        raise self._error(
            token, "P203", message, _unit_hint(left, right) or _unit_hint(right, left)
        )

    def _arithmetic(self, token: Token, left: Term, right: Term) -> Arithmetic:
        operator = cast(Literal["+", "-", "*", "/"], token.text)
        plain_left = left.unit.dimension is Dimension.NUMBER
        plain_right = right.unit.dimension is Dimension.NUMBER
        unit = left.unit
        match operator:
            case "+" | "-":
                self._same_unit(left, right, token, "add")
            case "*":
                if not (plain_left or plain_right):
                    raise self._cannot(token, left, right, "multiplied", "one side must be plain")
                unit = PLAIN if plain_left and plain_right else right.unit if plain_left else unit
            case "/":
                if isinstance(right, Number) and right.value == 0:
                    raise self._error_at(right.column, "P204", "division by zero", "")
                if not plain_right and not compares(left.unit, right.unit):
                    raise self._cannot(token, left, right, "divided", "divide by a plain number")
                unit = PLAIN if plain_left or not plain_right else unit
            case _:
                assert_never(operator)
        return Arithmetic(operator, left, right, unit, left.column)

    def _cannot(
        self, token: Token, left: Term, right: Term, verb: str, hint: str
    ) -> ConditionError:
        message = f"{in_words(left.unit)} cannot be {verb} by {in_words(right.unit)}"
        return self._error(token, "P203", message, hint)

    def _condition(self, node: Condition | Term) -> Condition:
        if isinstance(node, Number | Reference | Arithmetic | Elapsed):
            if self._now.kind not in ("end", "sign") and self._now.text not in KEYWORDS:
                raise self._unexpected()
            text = write_condition(node)
            raise self._error_at(column_of(node), "P201", f"{text} is a value, not a condition",
                          f"compare it with a limit: {text} <= ...")  # fmt: skip
        return node

    def _term(self, node: Condition | Term) -> Term:
        if isinstance(node, Number | Reference | Arithmetic | Elapsed):
            return node
        raise self._error_at(column_of(node), "P201", "a condition is not a value",
                      "join conditions with `and` and `or`")  # fmt: skip


def _unit_hint(metric: Term, limit: Term) -> str:
    """What to do where a measurement and a literal are in different units."""
    if not isinstance(limit, Number) or isinstance(metric, Number):
        return ""
    if metric.unit.dimension is not Dimension.NUMBER:
        return f"write the limit like {example(metric.unit)}"
    if isinstance(metric, Reference):
        return f"give metric {metric.metric} a `unit: {limit.unit.name}`, or write a plain number"
    return "write a plain number"
