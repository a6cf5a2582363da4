"""What is wrong with a blend is told at its exact place, and what it says reaches the clients."""

from typing import get_args, get_type_hints

import pytest
from support.marked import GOOD, load, only_finding

from controller.blend.settings import (
    Calibration,
    Conflict,
    Limits,
    Missing,
    Mode,
    Performance,
    Settings,
    WithoutBaseline,
    WithoutCandidate,
)
from controller.effects.blending import blending
from controller.policy.models import Policy
from controller.policy.transition import Blend, MissingLeg

CASES = {
    "a blend of another mode": ("mode: »wieghted", "P104", "'weighted'"),
    "an unknown key": ("mode: weighted, »bande: 0.1", "P101", "'band'"),
    "a negative band": ("band: »-0.1", "P103", "at least 0"),
    "a band in per cent": ("band: »5%", "P103", "without quotes"),
    "leaving above entering": ("hysteresis: {enter: 0.2, leave: »0.2}", "P391", "below `enter`"),
    "entering beyond the limit": (
        "hysteresis: {enter: »0.6, leave: 0.1}, limits: {account: 0.5}", "P391", "limits.account",
    ),
    "a band as wide as the limit": ("band: »0.5, limits: {account: 0.5}", "P391", "well below"),
    "a deadband as wide as the candidate": ("deadband: »1", "P391", "limits.candidate"),
    "a least weight above the largest": (
        "mode: performance, performance: {least: »50%, most: 40%}", "P391", "not above `most`",
    ),
    "returns on a scale of nothing": (
        "mode: performance, performance: {scale: »0%}", "P391", "more than 0%",
    ),
    "steps of nothing": ("mode: performance, performance: {step: »0%}", "P391", "more than 0%"),
    "performance in another mode": ("»performance: {cost: 0.02%}", "P392", "leave it out"),
    "a calibration that nothing reads": ("»calibration: {samples: 5}", "P392", "leave it out"),
    "a conflict of a switch": ("mode: switch, »conflict: flat", "P392", "leave it out"),
    "a band of a switch": ("mode: switch, »band: 0.1", "P392", "leave it out"),
    "a hold of a switch": ("mode: switch, »min_hold: 5m", "P392", "leave it out"),
    "thresholds of a switch": (
        "mode: switch, »hysteresis: {enter: 0.2, leave: 0.1}", "P392", "leave it out",
    ),
    "a hold where nothing is held": (
        "missing: {baseline: flat, »hold_for: 5m}", "P392", "`hold` for one",
    ),
    "the unproven whole": ("missing: {baseline: »candidate_full}", "P104", "candidate_scaled"),
    "a minimum hold of nothing": ("min_hold: »0s", "P345", "30s"),
    "signals of no age": ("max_age: »0s", "P345", "30s"),
    "an update every moment": ("mode: performance, performance: {every: »0s}", "P345", "30s"),
    "no hold at all": ("missing: {hold_for: »0s}", "P345", "30s"),
}  # fmt: skip


def with_blend(blend: str) -> str:
    return f"{GOOD}transition: {{blend: {{{blend}}}}}\n"


@pytest.mark.parametrize(("blend", "code", "hint"), CASES.values(), ids=CASES)
def test_each_mistake_is_told_where_it_stands(blend: str, code: str, hint: str) -> None:
    found, place = only_finding(with_blend(blend))
    assert (found.code, found.line, found.column) == (code, place.line, place.column), str(found)
    assert hint in found.hint


def test_a_blend_that_no_client_can_read_is_told() -> None:
    text = (
        f"{GOOD}publish: {{flags: {{type: flagd, path: f.json}}}}\ntransition: {{»blend: {{}}}}\n"
    ).replace("    mirror: true\n", "")
    found, place = only_finding(text)
    assert (found.code, found.line, found.column) == ("P393", place.line, place.column)
    also = text.replace("»", "").replace("publish: {", "publish: {a: {type: file, path: a.json}, ")
    assert load(also).ok


def test_a_blend_that_never_comes_is_told() -> None:
    begin = GOOD[: GOOD.index("stages:")]
    stages = (
        "stages:\n  - {name: shadow, weight: 0%, mirror: true, hold: 1h}\n"
        "  - {name: full, weight: 100%, hold: 1h}\n"
    )
    found, place = only_finding(f"{begin}{stages}transition: {{»blend: {{}}}}\n")
    assert (found.code, found.line, found.column) == ("P394", place.line, place.column)


def test_every_choice_of_a_policy_is_one_that_clients_know() -> None:
    for model, field, known in (
        (Blend, "mode", Mode), (Blend, "conflict", Conflict),
        (MissingLeg, "baseline", WithoutBaseline), (MissingLeg, "candidate", WithoutCandidate),
    ):  # fmt: skip
        assert get_args(get_type_hints(model)[field]) == tuple(known)


def policy(blend: str) -> Policy:
    loaded = load(with_blend(blend))
    assert loaded.policy is not None, [str(finding) for finding in loaded.findings]
    return loaded.policy


def test_what_is_not_written_is_what_clients_take_without_it() -> None:
    assert blending(policy("")) == Settings()


def test_every_key_reaches_the_clients() -> None:
    told = blending(policy(
        "mode: performance, conflict: max_confidence, deadband: 0.02, band: 0.05, "
        "hysteresis: {enter: 0.2, leave: 0.1}, min_hold: 5m, max_age: 30s, "
        "missing: {baseline: candidate_scaled, candidate: hold, hold_for: 2m}, "
        "limits: {baseline: 0.9, candidate: 0.5, account: 0.8}, "
        "performance: {learning_rate: 0.5, sharing: 2%, scale: 3%, cost: 0.02%, least: 5%, "
        "most: 50%, step: 4%, every: 1h}, calibration: {worst: 0.2, samples: 7}"
    ))  # fmt: skip
    assert told == Settings(
        Mode.PERFORMANCE, Conflict.MAX_CONFIDENCE, 0.02, 0.05, 0.2, 0.1, 300.0, 30.0,
        Missing(WithoutBaseline.CANDIDATE_SCALED, WithoutCandidate.HOLD, 120.0),
        Limits(0.9, 0.5, 0.8), Performance(0.5, 0.02, 0.03, 0.0002, 0.05, 0.5, 0.04, 3600.0),
        Calibration(0.2, 7),
    )  # fmt: skip


def test_without_the_key_nothing_is_blended() -> None:
    loaded = load(GOOD)
    assert loaded.policy is not None
    assert blending(loaded.policy) is None
