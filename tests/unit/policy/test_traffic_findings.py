"""What the traffic cannot bring in time, in its place (the mark »), and what would do."""

import re

import pytest
from support.marked import load, marked
from support.traffic import changed, context, gated

from controller.policy.checks.sharpes import sharpe_error, sharpe_years
from controller.policy.checks.traffic import undecidable
from controller.policy.evidence import Evidence, Spread
from controller.policy.findings import Finding


def found_in(text: str) -> Finding:
    """The one finding of a marked text, which is where the mark is."""
    place = marked(text)
    loaded = load(place.text)
    assert len(loaded.findings) == 1, [str(finding) for finding in loaded.findings]
    (finding,) = loaded.findings
    assert (finding.line, finding.column) == (place.line, place.column)
    return finding


def test_the_policy_of_these_tests_is_fine() -> None:
    assert load(changed()).findings == ()


CASES: dict[str, tuple[list[tuple[str, str]], str, str, str]] = {
    # name: (edits, code and severity, words of the message, words of the hint)
    "a hundred samples in half an hour at 5%": (
        [("4000/h", "1900/h"), gated("»candidate.accuracy >= 85%"), (", sd: 40", "")],
        "P338 error",
        "candidate.accuracy needs 100 samples in 30m, and 1900/h brings about 47.5 at 5% in canary",
        "`min_samples: 47`, or a window and hold of 1h4m, or a weight of 11%",
    ),
    "fewer observations than bound anything": (
        [("4000/h", "90/h"), ("min_samples: 100, better: higher, sd", "min_samples: 0, better: "
         "higher, sd"), gated("»better(pnl)")],
        "P338 error", "difference.pnl needs 30 samples in 6h, and 90/h brings about 27",
        "a deadline of 6h40m, or a weight of 6%, or this line in the gate of shadow",
    ),
    "fewer bars than bound anything": (
        [("sd: 40", "sd: 40, dependence: 2h"), gated("»better(pnl)")],
        "P338 error", "difference.pnl needs 5 bars in 6h, which have 3 at 5%", "a deadline of 10h",
    ),
    "a split of too little work": (
        [("4000/h", "30/h"), gated("»split_as_asked(signals)"), (", sd: 40", "")],
        "P338 error", "split.signals needs 200 assignments in 6h, and 30/h brings about 180",
        "a deadline of 6h50m, or a weight of 6%",
    ),
    "more ranks than are compared": (
        [("min_samples: 100, better: higher, sd", "min_samples: 300, better: higher, sd"),
         ("weight: 5%", "weight: 50%"), gated("»mann_whitney(pnl)")],
        "P338 error", "shift.pnl needs 300 samples", "`min_samples: 200`",
    ),
    "a blind comparison of a trigger": (
        [("triggers:\n", "triggers:\n  - {name: harm, when: »'worse(pnl, by: 9 USD)', "
          "severity: high, min_samples: 5000, stages: [canary]}\n")],
        "P338 error", "trigger harm is blind: difference.pnl needs 5000 samples", "`stages:`",
    ),
    "a margin below what is declared to be seen": (
        [gated("»'not_worse(pnl, margin: 3 USD)'")],
        "P351 error",
        "by the deadline of 6h, at 5%, not_worse(pnl, margin: 3 USD) shows no difference below "
        "3.64 USD (pnl: sd 40 USD, declared; each observation taken as news)",
        "a deadline of 9h10m, or a weight of 8%, or `margin: 3.7 USD`, or this line in the gate of "
        "shadow, where both versions see all the work",
    ),
    "a margin below what a ratio at its limit shows": (
        [gated("candidate.accuracy >= 85%", "»'not_worse(accuracy, margin: 2%)'"),
         (", sd: 40", "")],
        "P351 warning", "shows no difference below 3.2 points (accuracy: about 85%, its limit",
        "`margin: 3.3%`",
    ),
    "a margin that only the whole line can do without": (
        [gated("»'candidate.accuracy >= 50% and not_worse(pnl, margin: 3 USD)'")],
        "P351 error", "not_worse(pnl, margin: 3 USD)", "`margin: 3.7 USD`",
    ),
    "a rate for each day of a market": (
        [("traffic: 4000/h", "traffic: »26000/d"), ("{tick: 30s}", "{tick: 30s, calendar: XNYS}"),
         gated("candidate.accuracy >= 85%"), ("min_samples: 100, better: higher}",
          "min_samples: 0, better: higher}"), (", sd: 40", "")],
        "P352 error", "XNYS is not open all day", "4000/h",
    ),
    "a deviation of what nothing compares": (
        [gated("candidate.pnl >= 1 USD"), ("sd: 40", "»sd: 40")],
        "P344 error", "nothing compares pnl", "not_worse(pnl",
    ),
    "a deviation without traffic": (
        [("traffic: 4000/h\n", ""), ("sd: 40", "»sd: 40")],
        "P344 error", "without the traffic", "traffic: 4000/h",
    ),
    "a deviation of nothing": (
        [("sd: 40", "sd: »0")], "P103 error", "", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_decided_is_found_in_its_place(name: str) -> None:
    edits, code, message, hint = CASES[name]

    finding = found_in(changed(*edits))

    assert f"{finding.code} {finding.severity}" == code
    assert message in finding.message
    assert hint in finding.hint


@pytest.mark.parametrize(
    "line",
    [
        "'not_worse(pnl, margin: 3 USD) or candidate.pnl >= 1 USD'",
        "'not not_worse(pnl, margin: 3 USD)'",
        "{check: 'not_worse(pnl, margin: 3 USD)', unknown: {inconclusive: ignore}}",
        "'better(pnl, by: 1 USD)'",
        "'not_worse(pnl, margin: 1% of baseline)'",
    ],
)
def test_a_gate_that_can_be_passed_another_way_is_no_error(line: str) -> None:
    assert load(changed(gated(line))).findings == ()


def test_a_warning_stops_nothing() -> None:
    text = changed(gated("candidate.accuracy >= 85%", "'not_worse(accuracy, margin: 2%)'"))

    loaded = load(text.replace(", sd: 40", ""))

    assert loaded.ok
    assert [finding.severity for finding in loaded.findings] == ["warning"]
    assert "P351 warning: canary would" in str(loaded.findings[0])


def test_what_was_measured_is_an_error_where_what_is_assumed_was_a_warning() -> None:
    text = changed(gated("candidate.accuracy >= 85%", "'not_worse(accuracy, margin: 2%)'"))
    text = text.replace(", sd: 40", "")
    rate = 4000 / 3600
    rates = {"metric:accuracy": rate, "source:signals": rate}
    spreads = {"accuracy": Spread(0.35, "measured"), "pnl": Spread(40, "measured")}
    known = Evidence(rate, None, spreads, rates, "a file: signals 4,000/h")

    (finding,) = undecidable(context(text), known)

    assert (finding.code, finding.severity) == ("P351", "error")
    assert "accuracy: sd 0.35, measured" in finding.message


GROWING = "'not_worse(pnl, margin: 3 USD)'"
GROWING_WAYS = [
    # what the hint says, and how one writes it
    (r"a deadline of (\w+)", [("deadline: {{after: 6h}}", "deadline: {{after: {0}}}")]),
    (r"a weight of (\S+%)", [("weight: 5%", "weight: {0}")]),
    (r"`margin: ([\d.]+ USD)`", [("margin: 3 USD", "margin: {0}")]),
    (
        r"this line (in the gate of shadow),",
        [
            (f"      - {GROWING}\n", ""),
            ("mirror: true, hold: 30m", f"mirror: true, hold: 30m, advance: [{GROWING}]"),
        ],
    ),
]
WINDOW_WAYS = [
    (r"`min_samples: (\d+)`", [("30m, min_samples: 100", "30m, min_samples: {0}")]),
    (
        r"a window and hold of (\w+)",
        [("window: 30m", "window: {0}"), ("hold: 1h\n", "hold: {0}\n")],
    ),
    (r"a weight of (\S+%)", [("weight: 5%", "weight: {0}")]),
    (
        r"this line (in the gate of shadow),",
        [
            ("      - candidate.accuracy >= 85%\n", "      - candidate.pnl >= 1 USD\n"),
            (
                "mirror: true, hold: 30m",
                "mirror: true, hold: 30m, advance: [candidate.accuracy >= 85%]",
            ),
        ],
    ),
]


@pytest.mark.parametrize(
    ("edits", "pattern", "ways"),
    [
        *(([gated("candidate.accuracy >= 85%", GROWING)], *way) for way in GROWING_WAYS),
        *(
            ([("4000/h", "1900/h"), (", min_samples: 100, better: higher, sd: 40", ""),
              gated("candidate.accuracy >= 85%")], *way)
            for way in WINDOW_WAYS
        ),
    ],
)  # fmt: skip
def test_each_way_that_is_proposed_does(
    edits: list[tuple[str, str]], pattern: str, ways: list[tuple[str, str]]
) -> None:
    text = changed(*edits)
    (finding,) = load(text).findings
    said = re.search(pattern, finding.hint)
    assert said is not None, finding.hint

    for old, new in ways:
        before = old.format()
        assert text.count(before) == 1, before
        text = text.replace(before, new.format(said[1]))

    assert load(text).findings == ()


def test_a_stage_in_which_both_see_all_the_work_is_proposed_where_there_is_none() -> None:
    shadow = "  - {name: shadow, weight: 0%, mirror: true, hold: 30m}\n"
    text = changed((shadow, ""), gated("candidate.accuracy >= 85%", GROWING))
    (finding,) = load(text).findings
    said = re.search(r"before it, \{(.*)\}, with a hold of (\w+),", finding.hint)
    assert said is not None, finding.hint

    stage = f"  - {{{said[1]}, hold: {said[2]}, advance: [{GROWING}]}}\n"
    text = text.replace(f"      - {GROWING}\n", "").replace("stages:\n", f"stages:\n{stage}", 1)

    assert load(text).findings == ()


def test_no_way_is_proposed_that_leaves_the_line_short_of_something_else() -> None:
    both = "'candidate.accuracy >= 50% and candidate.pnl >= 1 USD'"
    text = changed(("4000/h", "1900/h"), (", sd: 40", ""),
                   gated(both, "candidate.accuracy <= 99%"))  # fmt: skip
    first, second = load(text).findings

    assert "min_samples" not in first.hint
    assert "`min_samples: 47`" in second.hint


def test_no_way_is_proposed_that_would_break_something_else() -> None:
    heavy = ("weight: 5%", "weights: [5%, 6%]")
    (finding,) = load(changed(heavy, gated("'not_worse(pnl, margin: 3 USD)'"))).findings

    assert "a weight of" not in finding.hint


# Sharpe -------------------------------------------------------------------------------------


def test_a_gap_of_sharpe_ratios_takes_the_days_that_were_reckoned_elsewhere() -> None:
    # 5% one-sided, 80% power, daily returns: 3116 days unpaired, 312 at 0.9, 62 at 0.98.
    days = [252 * sharpe_years(1, correlation=one) for one in (0, 0.9, 0.98)]
    half = [252 * sharpe_years(0.5, correlation=one) for one in (0, 0.9, 0.98)]

    assert days == pytest.approx([3116, 312, 62], rel=0.01)
    assert half == pytest.approx([12464, 1246, 249], rel=0.01)


@pytest.mark.parametrize(
    ("days", "error"), [(5, 7.1), (20, 3.55), (60, 2.05), (250, 1.0), (1250, 0.45)]
)
def test_the_error_of_a_sharpe_ratio_is_the_published_one(days: int, error: float) -> None:
    assert sharpe_error(days / 252, 1, 252) == pytest.approx(error, rel=0.01)


def test_a_gate_on_a_sharpe_ratio_is_warned_of() -> None:
    edits = [
        ("mean(pnl), unit: USD, min", "sharpe(pnl), bar: 30s, capital: 1000, window: 1h, min"),
        (", sd: 40", ""),
    ]

    alone = found_in(changed(*edits, gated("»candidate.pnl >= 1")))
    both = found_in(changed(*edits, gated("»candidate.pnl >= baseline.pnl")))

    assert (alone.code, alone.severity) == ("P353", "warning")
    assert "to tell 1 a year from 0 takes 6.2 years" in alone.message
    assert "a gap of 1 a year takes 12 years (1.2 at a correlation of 0.9" in both.message
    assert "slippage" in alone.hint
