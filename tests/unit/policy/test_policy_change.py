"""An edit takes over by itself only when it can make the rollout nothing but more careful."""

from pathlib import Path

import pytest
from support.plans import POLICY
from support.traffic import changed

from controller.policy.change import classify
from controller.policy.load import load_text
from controller.policy.models import Policy


def policy(text: str) -> Policy:
    loaded = load_text(text, Path("p.yaml"), {})
    assert loaded.policy is not None
    assert loaded.ok, [str(f) for f in loaded.findings]
    return loaded.policy


LINE = "candidate.errors <= 5%"
SAFE = [
    ("candidate.accuracy >= 85%, candidate.errors", "candidate.accuracy >= 90%, candidate.errors"),
    ("candidate.errors <= 5%]", "candidate.errors <= 4%]"),
    ("candidate.errors <= 5%]", "candidate.errors <= 5%, candidate.drawdown <= 0.5%]"),
    ("5%\n    hold: 1h", "5%\n    hold: 2h"),
    ("deadline: {after: 6h}", "deadline: {after: 5h}"),
    ("within: 2h", "within: 1h"),
    ("candidate.drawdown > 1%", "candidate.drawdown > 0.9%"),
    ("severity: high", "severity: critical"),
    ("escalate_after: 10m", "escalate_after: 5m"),
    ("cooldown: 1h", "cooldown: 2h"),
    ("lock: {after: 3, per: 12h}", "lock: {after: 2, per: 12h}"),
    ("baseline: v1", "baseline: v1\nowner: desk"),
    (
        "schedule: {tick: 30s}",
        "schedule:\n  tick: 30s\n"
        "  freeze: [{name: f, from: 2026-03-18T17:30:00Z, to: 2026-03-18T20:00:00Z}]",
    ),
    ("triggers:\n", "triggers:\n  - {name: more, when: candidate.errors > 20%, severity: high}\n"),
    (f"{LINE}]", f"{{check: {LINE}, confirm: 3 in a row}}]"),
    (f"{LINE}]", f"{{check: {LINE}, unknown: {{no_data: {{fail_after: 5m}}}}}}]"),
    (f"{LINE}]", "{check: candidate.errors <= 4%, confirm: 2 of 3, unknown: {error: reset}}]"),
    ("signals.silent > 2m", "signals.silent > 2m, clear: signals.silent < 1m"),
    ("confirm: 3 of 5", "confirm: 3 of 5, unknown: {error: {fail_after: 5m}}"),
    ("window: rollout, capital", "window: rollout, description: of all signals, capital"),
]  # fmt: skip

UNSAFE = [
    ("candidate.accuracy >= 85%, candidate.errors", "candidate.accuracy >= 80%, candidate.errors"),
    (", candidate.errors <= 5%]", "]"),
    ("candidate.errors <= 5%]", "candidate.errors <= 6%]"),
    ("deadline: {after: 6h}", "deadline: {after: 7h}"),
    ("deadline: {after: 6h}", "deadline: {after: 6h, then: pause}"),
    ("weight: 5%", "weight: 4%"),
    ("weights: [25%, 50%]", "weights: [25%, 40%, 50%]"),
    ("name: ramp", "name: climb"),
    ("candidate.drawdown > 1%", "candidate.drawdown > 2%"),
    ("candidate.drawdown > 1%", "candidate.drawdown >= 1%"),
    (", confirm: 3 of 5", ", confirm: 4 of 5"),
    ("severity: high", "severity: medium, escalate_after: 1m"),
    ("cooldown: 1h", "cooldown: 30m"),
    ("min_samples: 100, better: higher", "min_samples: 50, better: higher"),
    ("approval: {by: risk, within: 2h, else: rollback}", ""),
    ("tick: 30s", "tick: 15s"),
    ("candidate: v3", "candidate: v4"),
    ("mirror: true, hold: 10m", "mirror: true, hold: 20m"),
    ("triggers:\n", "publish: {share: {type: file, path: share.json}}\ntriggers:\n"),
    ("triggers:\n", "routing: {layer: other}\ntriggers:\n"),
    ("triggers:\n", "routing: {pin: {baseline: {account: [A1]}}}\ntriggers:\n"),
    ("triggers:\n", "routing: {max_age: 10m}\ntriggers:\n"),
    ("window: rollout, capital", "window: rollout, max_age: 2h, capital"),
    ("  - {name: loss, when: candidate.drawdown > 1%, severity: critical}\n", ""),
    (f"{LINE}]", f"{{check: {LINE}, unknown: {{no_data: ignore}}}}]"),
    (f"{LINE}]", "{check: candidate.errors <= 4%, unknown: {no_data: ignore}}]"),
    ("confirm: 3 of 5", "confirm: 3 of 5, unknown: {error: ignore}"),
    ("confirm: 3 of 5", "confirm: 3 of 5, unknown: {error: reset}"),
    ("confirm: 3 of 5", "confirm: 3 of 5, unknown: {error: {meanwhile: ignore, fail_after: 5m}}"),
    ("window: rollout, capital", "dry_run: true, window: rollout, capital"),
]

# From the first to the second is safe, and back is not.
MORE_CAREFUL = [
    ("unknown: {no_data: ignore}", "unknown: {no_data: hold}"),
    ("unknown: {no_data: reset}", "unknown: {no_data: hold}"),
    ("unknown: {no_data: {fail_after: 6m}}", "unknown: {no_data: {fail_after: 5m}}"),
    ("clear: candidate.errors < 8%", "clear: candidate.errors < 7%"),
]
EITHER_WAY_LAXER = [
    ("unknown: {no_data: reset}", "unknown: {no_data: ignore}"),
    ("unknown: {no_data: {fail_after: 5m}}", "unknown: {no_data: ignore}"),
]


@pytest.mark.parametrize(("old", "new"), SAFE)
def test_what_is_more_careful_takes_over_by_itself(old: str, new: str) -> None:
    assert POLICY.count(old) >= 1
    edit = classify(policy(POLICY), policy(POLICY.replace(old, new, 1)))
    assert edit.changes
    assert edit.safe, edit.words


@pytest.mark.parametrize(("old", "new"), UNSAFE)
def test_everything_else_waits_for_a_person(old: str, new: str) -> None:
    assert POLICY.count(old) >= 1
    edit = classify(policy(POLICY), policy(POLICY.replace(old, new, 1)))
    assert edit.changes
    assert not edit.safe, edit.words


def with_key(key: str) -> Policy:
    trigger = f"severity: medium, escalate_after: 1h, {key}, confirm: 3 of 5"
    return policy(POLICY.replace("severity: high, confirm: 3 of 5", trigger))


@pytest.mark.parametrize(("lax", "careful"), MORE_CAREFUL)
def test_a_trigger_that_is_held_to_more_takes_over_and_one_held_to_less_waits(
    lax: str, careful: str
) -> None:
    assert classify(with_key(lax), with_key(careful)).safe
    assert not classify(with_key(careful), with_key(lax)).safe


@pytest.mark.parametrize(("one", "other"), EITHER_WAY_LAXER)
def test_what_is_neither_more_nor_less_careful_waits(one: str, other: str) -> None:
    assert not classify(with_key(one), with_key(other)).safe


def test_forgetting_what_is_counted_is_more_careful_of_a_check_and_less_of_a_trigger() -> None:
    keys = "{check: candidate.errors <= 5%, confirm: 3 in a row, unknown: {no_data: WORD}}]"
    of_check = {
        word: policy(POLICY.replace(f"{LINE}]", keys.replace("WORD", word)))
        for word in ("ignore", "hold", "reset")
    }
    assert classify(of_check["hold"], of_check["reset"]).safe
    assert classify(of_check["ignore"], of_check["hold"]).safe
    assert not classify(of_check["reset"], of_check["hold"]).safe
    assert not classify(of_check["hold"], of_check["ignore"]).safe


def test_the_same_policy_in_other_words_changes_nothing() -> None:
    edit = classify(policy(POLICY), policy("# a comment\n" + POLICY))
    assert (edit.changes, edit.safe) == ((), True)
    assert edit.words == ("nothing but its wording",)


def test_an_edit_tells_first_what_needs_a_person() -> None:
    text = POLICY.replace("cooldown: 1h", "cooldown: 2h").replace("weight: 5%", "weight: 6%")
    words = classify(policy(POLICY), policy(text)).words
    assert words[0] == "stages.canary.weight: 5.0 to 6.0"
    assert words[1] == "rollback.cooldown: 3600s to 7200s"


def test_what_a_plan_is_reckoned_with_decides_nothing() -> None:
    edit = classify(policy(changed()), policy(changed(("4000/h", "5000/h"), ("sd: 40", "sd: 41"))))

    assert [change.path for change in edit.changes] == ["traffic", "metrics"]
    assert edit.safe


# Blends -----------------------------------------------------------------------------------

BLEND = "limits: {baseline: 1.0, candidate: 0.5, account: 0.9}"
LESS = [
    ("account: 0.9", "account: 0.8"),
    ("candidate: 0.5", "candidate: 0.4"),
    ("baseline: 1.0", "baseline: 0.9"),
    (BLEND, f"{BLEND}, mode: performance, performance: {{most: 50%}}"),
    (BLEND, f"{BLEND}, mode: confidence, calibration: {{worst: 0.2}}"),
]
MAYBE_MORE = [
    ("account: 0.9", "account: 1.0"),
    (", account: 0.9", ""),
    (BLEND, f"{BLEND}, band: 0.05"),
    (BLEND, f"{BLEND}, conflict: flat"),
    (BLEND, f"{BLEND}, min_hold: 5m"),
    (BLEND, f"{BLEND}, missing: {{candidate: flat}}"),
    (BLEND, f"{BLEND}, mode: confidence, calibration: {{samples: 50}}"),
    (BLEND, f"{BLEND}, mode: performance, performance: {{step: 1%}}"),
]


def blended(blend: str) -> Policy:
    return policy(f"{POLICY}\ntransition: {{blend: {{{blend}}}}}\n")


def based(new: str) -> str:
    """The mode that an edit is about, so that nothing but the edit differs."""
    mode = next((m for m in ("performance", "confidence") if f"mode: {m}" in new), "")
    return f"{BLEND}, mode: {mode}" if mode else BLEND


@pytest.mark.parametrize(("old", "new"), LESS)
def test_a_blend_that_lets_less_through_takes_over_by_itself_and_is_published(
    old: str, new: str
) -> None:
    edit = classify(blended(based(new)), blended(BLEND.replace(old, new)))
    assert edit.safe, edit.words
    assert edit.published
    back = classify(blended(BLEND.replace(old, new)), blended(based(new)))
    assert not back.safe


@pytest.mark.parametrize(("old", "new"), MAYBE_MORE)
def test_a_blend_that_may_hold_more_waits_for_a_person(old: str, new: str) -> None:
    edit = classify(blended(based(new)), blended(BLEND.replace(old, new)))
    assert edit.changes
    assert not edit.safe


def test_a_blend_that_is_new_or_gone_waits_for_a_person() -> None:
    for pair in ((policy(POLICY), blended(BLEND)), (blended(BLEND), policy(POLICY))):
        assert not classify(*pair).safe
    assert classify(blended(BLEND), blended(BLEND)).changes == ()


SPENT = "  spent: {source: signals, value: sum(cost), unit: USD}\nstages:"
BUDGET = "data: {cost: spent, day: 8 USD, warn: 80%, hold: 100%}"


@pytest.mark.parametrize(
    ("old", "new", "safe"),
    [
        ("day: 8 USD", "day: 7 USD", True),
        ("day: 8 USD", "day: 9 USD", False),
        ("day: 8 USD", "day: 8 USD, month: 100 USD", True),
        ("hold: 100%", "hold: 90%", True),
        ("hold: 100%", "hold: 110%", False),
        ("hold: 100%", "hold: 100%, rollback: 200%", True),
        ("warn: 80%, ", "", False),
        ("cost: spent", "cost: {source: signals, value: sum(fee)}", False),
        ("day: 8 USD", "day: 8 USD, zone: Asia/Tokyo", False),
        (BUDGET, BUDGET + "\n  other: {cost: spent, week: 20 USD, hold: 100%}", True),
        (f"budgets:\n  {BUDGET}\n", "", False),
    ],
)
def test_less_to_spend_is_safe_and_more_is_not(old: str, new: str, safe: bool) -> None:
    text = POLICY.replace("stages:", SPENT, 1) + f"budgets:\n  {BUDGET}\n"
    assert text.count(old) == 1

    edit = classify(policy(text), policy(text.replace(old, new)))

    assert edit.safe is safe
    assert [change.path.partition(".")[0] for change in edit.changes] == ["budgets"]
