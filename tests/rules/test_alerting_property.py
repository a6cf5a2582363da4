"""Alerts hold whatever happens: one for each crossing, never silent while they last, escalation
ended by people alone, and no critical one held back by quiet hours."""

from datetime import time, timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.plans import POLICY
from support.told import CHANNELS, Desk

from controller.core.effect import Severity
from controller.core.measurement import Measurement
from controller.core.telling import NEWS
from controller.store.codec import decode_state, encode_state

REPEAT = timedelta(minutes=3)
AFTER = timedelta(minutes=2)
CAREFUL = POLICY.replace("severity: critical}", "severity: critical, then: alert}")
TEXT = f"""{CAREFUL.replace("high, confirm: 3 of 5}", "high, then: alert}")}
alerts:{CHANNELS.rstrip()}
  routes:
    - {{severity: critical, to: phone, else: sms, repeat: 3m, escalate: {{after: 2m, to: boss}}}}
    - {{to: desk, repeat: 3m}}
  quiet: {{from: "14:36", to: "14:50"}}
"""
QUIET = (time(14, 36), time(14, 50))
BAD = Measurement(value=0.5, samples=120)
LOSS = Measurement(value=0.02, samples=120)
LOOK = st.tuples(st.booleans(), st.booleans())
ACTS = st.one_of(
    st.tuples(st.just("look"), LOOK),
    st.tuples(st.just("look"), LOOK),
    st.tuples(st.just("ack"), st.sampled_from(["", "trigger/loss", "trigger/errors"])),
    st.tuples(st.just("out"), st.sampled_from(["phone", "sms", "desk"])),
    st.tuples(st.just("back"), st.sampled_from(["phone", "sms", "desk"])),
)


def play(
    acts: list[tuple[str, object]], *, stored: bool = False
) -> tuple[Desk, list[tuple[bool, bool]]]:
    """What was told, and what was seen at each look. `stored`: from act to act only what the store
    keeps is remembered."""
    desk = Desk(TEXT)
    desk.to("canary")
    seen = []
    for what, detail in acts:
        if stored:
            desk.state = decode_state(encode_state(desk.state))
        match what, detail:
            case "look", (bool() as loss, bool() as errors):
                desk.tick(
                    **({"candidate__drawdown": LOSS} if loss else {}),
                    **({"candidate__errors": BAD} if errors else {}),
                )
                seen.append((loss, errors))
                holds(desk)
            case "ack", str() as name:
                desk.person("ack", name)
            case "out", str() as channel:
                desk.out.add(channel)
            case "back", str() as channel:
                desk.back(channel)
    return desk, seen


def holds(desk: Desk) -> None:
    """After every look."""
    now = desk.now
    for name, one in desk.alerts.standing.items():
        loud = one.severity is Severity.CRITICAL or not QUIET[0] <= now.time() < QUIET[1]
        if one.over is None and one.acknowledged is None and loud:
            assert one.last_told is not None and now - one.last_told < REPEAT, name
        critical = one.severity is Severity.CRITICAL and one.kind not in NEWS
        if critical and one.acknowledged is None:
            climbed = one.climbed_at or one.first_told
            assert climbed is not None and now - climbed < AFTER, name


def crossings(flags: list[bool]) -> int:
    return sum(now and not before for before, now in zip([False, *flags], flags, strict=False))


@given(st.lists(ACTS, max_size=60))
def test_an_alert_is_never_silent_while_it_lasts_and_escalates_until_a_person_acknowledges(
    acts: list[tuple[str, object]],
) -> None:
    desk, _ = play(acts)
    acknowledged = [a for what, a in acts if what == "ack" and a in ("", "trigger/loss")]
    if desk.told("phone", "trigger/loss") and not acknowledged:
        assert "trigger/loss" in desk.alerts.standing, "only a person ends it"


@given(st.lists(ACTS, max_size=60))
def test_each_crossing_is_one_critical_alert_and_is_told_whatever_the_hour(
    acts: list[tuple[str, object]],
) -> None:
    desk, seen = play(acts)
    told = desk.told("phone", "trigger/loss").count("firing")
    assert told == crossings([loss for loss, _ in seen])


@given(st.lists(ACTS, max_size=60))
def test_whatever_a_channel_did_not_take_is_still_to_be_sent(
    acts: list[tuple[str, object]],
) -> None:
    desk, _ = play(acts)
    for channel in ("phone", "sms", "desk", "boss"):
        desk.back(channel)
    assert desk.alerts.sent == {}
    assert not [name for name in desk.alerts.standing if name.startswith("channel/")
                and desk.standing(name).over is None]  # fmt: skip


@given(st.lists(ACTS, max_size=60))
def test_what_is_told_is_the_same_whether_the_state_was_stored_in_between_or_not(
    acts: list[tuple[str, object]],
) -> None:
    (one, _), (other, _) = play(acts), play(acts, stored=True)
    assert one.messages == other.messages
    assert encode_state(one.state) == encode_state(other.state)
