"""What is shown of a decision: numbers as people read them, and no limit lost on a small screen."""

import io

import pytest
from msgspec.structs import replace
from rich.console import Console, RenderableType
from support.plans import POLICY, plan_of

from controller.cli.output import fitted
from controller.cli.render import words
from controller.cli.render.plan import plan_text
from controller.cli.render.rules import rules_table
from controller.core.decision import Explanation, Progress, RuleResult, Term
from controller.core.measurement import Outcome
from controller.core.share import Share


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "%", "-"),
        (0.0, "%", "0%"),
        (88.0, "%", "88%"),
        (2001.4, "ms", "2,001 ms"),
        (0.0132, "ratio", "0.0132"),
        (-1.3579, "bps", "-1.358 bps"),
        (0.00001368, "%", "0.00001368%"),
        (-0.00001368, "", "-0.00001368"),
        (4e-17, "", "4e-17"),
        (1_234_567.0, "", "1,234,567"),
        (0.2552, "m", "15s"),
        (-0.5, "h", "-30m"),
        (90.0, "m", "1h 30m"),
        (0.0, "m", "0s"),
        (2.5, "s", "2.5 s"),
    ],
)
def test_a_number_is_written_as_people_read_it(value: float | None, unit: str, shown: str) -> None:
    assert words.number(value, unit) == shown


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress("dwell", 30_000, 60_000), "dwell      ██████████░░░░░░░░░░ 30s of 1m"),
        (Progress("deadline", 90_000, 60_000, "then rollback"),
         "deadline   ████████████████████ 1m 30s of 1m then rollback"),
        (Progress("cooldown", 5_000, 0), "cooldown   5s"),
    ],
)  # fmt: skip
def test_a_clock_is_a_bar_with_both_spans(progress: Progress, shown: str) -> None:
    assert words.clock(progress) == shown


LATENCY = RuleResult(
    "slow",
    "candidate.latency <= 1.2 * baseline.latency",
    Outcome.PASS,
    (Term("candidate.latency", 91.0, 120, 100, "<=", 120.0, 29.0, "ms"),),
)
ERRORS = RuleResult(
    "errors",
    "candidate.errors > 10%",
    Outcome.FAIL,
    (Term("candidate.errors", 12.0, 120, 100, ">", 10.0, -2.0, "%"),),
    count="2 of 3 in 5",
    severity="high",
)


def drawn(picture: RenderableType, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(picture)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_value_limit_distance_and_samples_are_there_on_every_screen(width: int) -> None:
    told = Explanation("canary", Share(5_000), checks=(LATENCY,), triggers=(ERRORS,))
    text = drawn(rules_table(told), width)
    for said in ("91 ms", "<= 120 ms", "+29 ms", "120 of 100", "12%", "10%", "-2%", "pending"):
        assert said in text
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_a_comparison_shows_its_interval_method_and_number_in_words() -> None:
    detail = "interval -0.4 to 2.1 %, paired, 1,204 worth 310 independent ones"
    term = Term("difference.accuracy", 0.9, 1204, 100, ">", -2.0, 1.6, "%", detail, -0.4, 2.1, 310)
    rule = RuleResult("gate", "not_worse(accuracy, margin: 2%)", Outcome.PASS, (term,))
    text = drawn(rules_table(Explanation("canary", Share(5_000), checks=(rule,))), 120)
    for said in ("0.9%", "+1.6%", "1204 of 100", "pass"):
        assert said in text
    assert detail in " ".join(text.split())


def test_a_trigger_is_quiet_pending_or_firing_and_the_unknown_keeps_its_name() -> None:
    def said(outcome: Outcome, *, firing: bool = False) -> str:
        result = RuleResult("loss", "candidate.loss > 1%", outcome, firing=firing)
        return words.outcome(result, trigger=True)

    assert said(Outcome.PASS) == "quiet"
    assert said(Outcome.FAIL) == "pending"
    assert said(Outcome.FAIL, firing=True) == "firing"
    assert said(Outcome.NO_DATA) == "no data"
    assert words.outcome(ERRORS, trigger=False) == "fail"


def test_what_is_on_a_dry_run_says_so_wherever_it_is_shown() -> None:
    result = replace(ERRORS, firing=True, dry_run=True)
    assert words.outcome(result, trigger=True) == "dry run: firing"
    assert words.style(result, trigger=True) != words.style(ERRORS, trigger=True)
    told = Explanation("canary", Share(5_000), triggers=(result,))
    assert "dry run: firing" in drawn(rules_table(told), 120)


def test_a_plan_says_how_each_rule_counts_and_what_its_unknowns_mean() -> None:
    text = POLICY.replace(
        "candidate.errors <= 5%]",
        "{check: candidate.errors <= 5%, confirm: 3 in a row,"
        " unknown: {error: ignore, no_data: {meanwhile: reset, fail_after: 10m}}}]",
    )
    text = text.replace("signals.silent > 2m", "signals.silent > 2m, clear: signals.silent < 1m")
    text = text.replace("window: rollout, capital", "dry_run: true, window: rollout, capital")
    told = plan_text(plan_of(text), None)
    for line in (
        "needs candidate.accuracy >= 85%\n",
        "needs candidate.errors <= 5% (3 in a row; no data: reset, then a failure after 10m; "
        "error: ignore)\n",
        "errors: candidate.errors > 10% (3 of 5) -> rollback\n",
        "silent: signals.silent > 2m (until signals.silent < 1m) -> hold, rollback after 10m\n",
        "loss: candidate.drawdown > 1% (at once, between ticks too; dry run) -> rollback\n",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("short", "short"),
        ("one two three four five six", "one two three four\nfive six"),
        ("  rule      alpha beta gamma", "  rule      alpha\n            beta\n            gamma"),
        ("  2. canary and all of it", "  2. canary and all\n     of it"),
        ("     done within twelve hours", "     done within\n     twelve hours"),
        ("say /a/path/that/is/longer/than", "say\n/a/path/that/is/longer/than"),
    ],
)
def test_a_line_that_is_too_long_goes_on_under_its_label(line: str, fits: str) -> None:
    assert fitted(line, 20) == fits
