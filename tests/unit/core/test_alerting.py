"""Who is told of which alert and when, decided alone: no clock, no channel."""

from datetime import timedelta

from msgspec.structs import replace
from support import handover
from support.plans import T0, plan_of
from support.told import ALERTS, CHANNELS, LOSS, SILENT, Desk, with_alerts

from controller.core.alerting import MOST_STANDING, attend
from controller.core.clocks import next_due
from controller.core.decision import Decision
from controller.core.effect import Alert, Notify, Phase, Severity
from controller.core.event import Acknowledgement, Tick
from controller.core.standing import Alerting, Standing
from controller.core.state import Handover

MINUTE = timedelta(minutes=1)


def in_canary(text: str | None = None) -> Desk:
    desk = Desk(text)
    desk.to("canary")
    return desk


def only(route: str, more: str = "") -> str:
    """A policy whose critical alerts take this route."""
    return with_alerts(f"\nalerts:{CHANNELS.rstrip()}\n  routes:\n    - {{severity: critical, "
                       f"{route}}}\n    - {{to: [desk, phone, sms, boss]}}\n{more}")  # fmt: skip


def test_without_the_key_alerts_go_to_the_log_and_nothing_else_is_remembered() -> None:
    desk = Desk(with_alerts(""))
    desk.to("canary")
    decision = desk.tick(candidate__drawdown=LOSS)
    assert [e.kind for e in decision.effects if isinstance(e, Alert)] == ["trigger", "rollback"]
    assert desk.state.alerts is None and not desk.messages


def test_a_trigger_that_goes_on_firing_is_one_alert_told_once_until_it_is_repeated() -> None:
    desk = in_canary()
    for _ in range(6):
        desk.tick(signals__silent=SILENT)
    assert desk.told("desk", "trigger/silent") == ["firing"]
    assert desk.standing("trigger/silent").times == 1


def test_the_same_alert_raised_again_while_it_stands_is_counted_and_not_told_again() -> None:
    desk = in_canary()
    desk.state = replace(desk.state, unacknowledged=("signal/2/0",))
    for n in range(3):
        alert = Alert(f"signal/{n}/0", Severity.HIGH, "drift", f"look {n}", subject="mesh")
        raised = desk.decisions[-1]
        before = Decision(desk.state, desk.now, raised.explain, (alert,))
        decision = attend(desk.plan, Tick({}), before, desk.now)
        desk.state = decision.state
        told = [effect for effect in decision.effects if isinstance(effect, Notify)]
        assert len(told) == (n == 0)
    assert (desk.standing("drift/mesh").times, desk.standing("drift/mesh").title) == (3, "look 2")


def test_a_phase_of_a_handover_that_is_not_done_is_told_until_its_processes_have_done_it() -> None:
    desk = Desk(with_alerts(policy=handover.POLICY))
    desk.command("start")
    key = "signal/9/9"
    asked = Handover(phase=Phase.COPY, place=("live", "engine-1", "engine-3"), key=key)
    desk.state = replace(desk.state, handover=asked)
    desk.event(Acknowledgement(key, ok=False, detail="engine-3 says nothing"))
    assert desk.standing(f"target/{key}").over is None
    desk.state = replace(desk.state, handover=replace(asked, key=""))
    desk.tick()
    assert desk.told("desk", f"target/{key}") == ["firing", "over"]


def test_alerts_of_one_decision_are_one_message_to_each_channel() -> None:
    desk = in_canary()
    desk.tick(candidate__drawdown=LOSS)
    (message,) = [m for m in desk.messages if m.target == "phone"]
    assert [news.name for news in message.news] == ["trigger/loss", "rollback"]


def test_what_the_route_leaves_to_the_log_is_told_to_nobody_and_not_remembered() -> None:
    desk = in_canary()
    assert not [n for _, n in desk.news() if n.kind == "stage"]
    assert "stage/canary" not in desk.alerts.standing


def test_an_alert_that_is_over_is_told_so_where_it_was_told_and_then_forgotten() -> None:
    desk = in_canary()
    desk.tick(signals__silent=SILENT)
    desk.tick()
    assert desk.told("desk", "trigger/silent") == ["firing", "over"]
    assert "trigger/silent" not in desk.alerts.standing


def test_the_same_thing_happening_again_after_it_was_over_is_a_new_alert() -> None:
    desk = in_canary()
    for _ in range(2):
        desk.tick(signals__silent=SILENT)
        desk.tick()
    assert desk.told("desk", "trigger/silent") == ["firing", "over"] * 2


def test_an_alert_that_lasts_is_repeated_until_a_person_acknowledges_it() -> None:
    desk = in_canary(only("to: desk, repeat: 1m"))
    desk.tick(candidate__drawdown=LOSS)
    desk.pass_time(2 * MINUTE)
    desk.person("ack")
    desk.pass_time(2 * MINUTE)
    assert desk.told("desk", "rollback") == ["firing", "again", "again", "acknowledged"]


def test_escalation_goes_on_though_the_alert_is_over_and_ends_when_a_person_acknowledges() -> None:
    desk = in_canary()
    desk.tick(candidate__drawdown=LOSS)
    desk.pass_time(timedelta(minutes=20))
    assert desk.state.name == "cooldown", "the rollback itself is over"
    assert desk.told("boss", "trigger/loss") == ["escalated", "over", *["escalated"] * 3]
    before = len(desk.messages)
    assert not desk.person("ack", by="ann").refused
    desk.pass_time(timedelta(minutes=20))
    later = [n.status for m in desk.messages[before:] for n in m.news]
    assert "escalated" not in later
    assert desk.alerts == Alerting()


def test_each_rung_of_an_escalation_waits_for_the_one_before_and_the_last_is_repeated() -> None:
    desk = in_canary(only("to: desk, repeat: 8h, escalate: [{after: 1m, to: sms}, "
                          "{after: 3m, to: boss}]"))  # fmt: skip
    desk.tick(candidate__drawdown=LOSS)
    start = desk.now
    desk.pass_time(timedelta(minutes=10))
    rungs = [
        (m.target, (m.at - start) // MINUTE)
        for m, n in desk.news(name="trigger/loss")
        if n.status == "escalated"
    ]
    assert rungs == [("sms", 1), ("boss", 4), ("boss", 7), ("boss", 10)]


def test_an_acknowledgement_with_an_end_is_void_when_the_alert_still_lasts_then() -> None:
    desk = in_canary()
    desk.tick(signals__silent=SILENT)
    desk.person("ack", "trigger/silent", hours=1 / 20)
    desk.ticks(2 * MINUTE, signals__silent=SILENT)
    assert desk.told("desk", "trigger/silent") == ["firing", "acknowledged"]
    desk.ticks(2 * MINUTE, signals__silent=SILENT)
    assert desk.told("desk", "trigger/silent") == ["firing", "acknowledged", "firing"]


def test_a_silence_holds_back_what_it_names_and_what_still_lasts_is_told_when_it_ends() -> None:
    desk = in_canary()
    desk.person("silence", "trigger/silent", hours=1 / 20, reason="feed is moved")
    desk.ticks(2 * MINUTE, signals__silent=SILENT)
    assert "held" in [n.kind for _, n in desk.news("desk")], "only what it names"
    assert not desk.told("desk", "trigger/silent")
    desk.ticks(2 * MINUTE, signals__silent=SILENT)
    assert desk.told("desk", "trigger/silent") == ["firing"]
    assert not desk.alerts.silences


def test_what_began_and_ended_in_a_silence_is_told_once_afterwards() -> None:
    desk = in_canary()
    desk.person("silence", hours=1 / 20)
    desk.tick(signals__silent=SILENT)
    desk.tick()
    assert not desk.told("desk", "trigger/silent")
    desk.pass_time(3 * MINUTE)
    assert desk.told("desk", "trigger/silent") == ["happened"]


def test_a_silence_can_be_ended_and_one_without_an_end_is_refused() -> None:
    desk = in_canary()
    assert "has an end" in desk.person("silence").refused
    assert "at most 30 days" in desk.person("silence", hours=24 * 31).refused
    desk.person("silence", "rollback", hours=1)
    assert desk.person("silence", "rollback", hours=0).refused == ""
    assert desk.alerts.silences == ()
    assert "not silenced" in desk.person("silence", "rollback", hours=0).refused


QUIET = '  quiet: {from: "14:00", to: "16:00", zone: UTC, days: mon}\n'


def test_quiet_hours_hold_back_all_but_critical_alerts_until_they_end() -> None:
    desk = in_canary(with_alerts(ALERTS + QUIET))
    desk.tick(signals__silent=SILENT)
    assert not desk.told("desk", "trigger/silent")
    desk.tick()
    desk.now = T0.replace(hour=15, minute=59)
    desk.tick(signals__silent=SILENT)
    assert not desk.told("desk", "trigger/silent")
    desk.tick()
    assert desk.now.hour == 16
    assert desk.told("desk", "trigger/silent") == ["happened"]


def test_critical_alerts_are_told_in_quiet_hours() -> None:
    desk = in_canary(with_alerts(ALERTS + QUIET))
    desk.tick(candidate__drawdown=LOSS)
    assert desk.told("desk", "trigger/loss") == ["firing"]
    desk.pass_time(5 * MINUTE)
    assert "escalated" in desk.told("boss", "trigger/loss")


def test_more_of_the_same_route_within_its_wait_is_the_same_message() -> None:
    desk = in_canary(with_alerts(ALERTS.replace("to: desk, repeat: 1h", "to: desk, wait: 2m")))
    desk.tick(signals__silent=SILENT)
    desk.command("pause")
    assert not desk.told("desk")
    desk.ticks(2 * MINUTE, signals__silent=SILENT)
    (message,) = [m for m in desk.messages if m.target == "desk"]
    assert {"trigger/silent", "paused"} <= {news.name for news in message.news}


def test_a_channel_that_does_not_answer_moves_on_to_the_next_and_is_told_of_itself() -> None:
    desk = in_canary()
    desk.out = {"phone"}
    desk.tick(candidate__drawdown=LOSS)
    assert desk.told("sms", "trigger/loss") == ["firing"]
    assert desk.told("desk", "channel/phone") == ["firing"]
    desk.pass_time(MINUTE)
    assert desk.told("desk", "channel/phone") == ["firing"]
    desk.back("phone")
    assert desk.told("desk", "channel/phone") == ["firing", "over"]


def test_when_the_next_in_line_does_not_answer_either_those_of_the_escalation_are_told() -> None:
    desk = in_canary()
    desk.out = {"desk", "phone", "sms"}
    desk.tick(candidate__drawdown=LOSS)
    assert "trigger/loss" in [n.name for _, n in desk.news("boss")]


def test_a_channel_that_is_behind_is_not_given_the_same_word_again_and_again() -> None:
    desk = in_canary(only("to: desk, repeat: 1m"))
    desk.out = {"desk"}
    desk.tick(candidate__drawdown=LOSS)
    desk.pass_time(4 * MINUTE)
    assert desk.told("desk", "rollback").count("firing") == 1
    assert "again" not in desk.told("desk", "rollback")


def test_nothing_that_is_told_keeps_the_rollout_from_going_on() -> None:
    desk = in_canary()
    desk.out = {"desk", "phone", "sms", "boss"}
    desk.tick(candidate__drawdown=LOSS)
    desk.pass_time(timedelta(hours=2))
    assert desk.state.name == "rolled_back"


def test_at_rest_a_look_is_due_when_the_next_has_to_be_told_and_reads_no_source() -> None:
    desk = in_canary()
    desk.tick(candidate__drawdown=LOSS)
    desk.pass_time(timedelta(hours=2))
    assert desk.state.name == "rolled_back"
    due = next_due(desk.plan, desk.state, desk.now)
    assert due is not None and due - desk.now <= 5 * MINUTE
    desk.now = due
    told = len(desk.told("boss"))
    assert desk.event(Tick({})).state.name == "rolled_back"
    assert len(desk.told("boss")) > told
    desk.person("ack")
    assert next_due(desk.plan, desk.state, desk.now) is None


def test_a_graver_alert_of_the_same_name_is_news() -> None:
    desk = in_canary()
    desk.command("rollback")
    assert desk.told("desk", "rollback") == ["firing"]
    assert desk.standing("rollback").severity is Severity.HIGH


def test_an_acknowledgement_of_what_is_not_there_says_what_is() -> None:
    desk = in_canary()
    assert "no alert at all waits" in desk.person("ack").refused
    desk.tick(signals__silent=SILENT)
    refused = desk.person("ack", "trigger/los").refused
    assert "trigger/silent" in refused
    assert "over" in desk.person("ack", hours=-1).refused


def test_a_policy_without_alerts_refuses_the_words_and_says_why() -> None:
    desk = Desk(with_alerts(""))
    assert "no `alerts`" in desk.person("ack").refused


def test_what_is_remembered_of_alerts_has_a_limit_and_what_lasts_outlasts_what_is_over() -> None:
    desk = in_canary()
    old = {
        f"target/{n}": Standing(Severity.HIGH, "target", "t", T0, str(n), over=T0, first_told=T0)
        for n in range(MOST_STANDING)
    }
    desk.tick(signals__silent=SILENT)
    lasting = desk.alerts.standing
    desk.state = replace(desk.state, alerts=Alerting({**old, **lasting}))
    desk.tick(signals__silent=SILENT)
    assert len(desk.alerts.standing) <= MOST_STANDING
    assert "trigger/silent" in desk.alerts.standing


def test_a_message_to_a_channel_that_the_policy_no_longer_has_is_given_up() -> None:
    desk = in_canary()
    desk.out = {"phone"}
    desk.tick(candidate__drawdown=LOSS)
    assert "phone" in {sent.channel for sent in desk.alerts.sent.values()}
    text = with_alerts(ALERTS.replace("to: [desk, phone]", "to: desk"))
    phone = next(line for line in text.splitlines(keepends=True) if "phone:" in line)
    desk.plan = plan_of(text.replace(phone, ""))
    desk.tick()
    assert not desk.alerts.sent
    assert "trigger/loss" in desk.alerts.standing, "and what it was about still stands"


def test_a_policy_whose_alerts_are_gone_remembers_none() -> None:
    desk = in_canary()
    desk.tick(candidate__drawdown=LOSS)
    desk.plan = plan_of(with_alerts(""))
    desk.tick()
    assert desk.state.alerts is None


def test_the_same_events_tell_the_same_people_the_same_words() -> None:
    def life() -> Desk:
        desk = in_canary()
        desk.out = {"phone"}
        desk.tick(candidate__drawdown=LOSS)
        desk.pass_time(timedelta(minutes=12))
        desk.person("ack", "rollback")
        desk.pass_time(timedelta(minutes=12))
        return desk

    one, other = life(), life()
    assert one.messages == other.messages and one.state == other.state
