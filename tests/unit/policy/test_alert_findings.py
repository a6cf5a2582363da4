"""Every error of the alerts of a policy: code, place (the mark ») and hint."""

import pytest
from support.marked import load, only_finding
from support.plans import plan_of

from controller.core.effect import Severity
from controller.policy.change import classify

BASE = """\
rollout: signal
baseline: v1
candidate: v3
sources: {signals: {type: push}}
metrics:
  errors: {source: signals, value: ratio(bad), window: 5m, min_samples: 100}
stages:
  - {name: canary, weight: 5%, hold: 30m, advance: [candidate.errors <= 1%]}
  - {name: watch, weight: 100%, hold: 2h}
triggers:
  - {name: harm, when: candidate.errors > 10%, severity: high, labels: {team: risk}}
"""
GOOD = (
    BASE
    + """\
alerts:
  channels:
    desk: {type: webhook, url: "https://desk/in", secret: {file: k}}
    boss: {type: pagerduty, key: {env: PAGER}}
    team: {type: apprise, url: {env: TEAM}}
    grid: {type: alertmanager, url: "http://127.0.0.1:9093"}
  routes:
    - severity: critical
      to: [desk, boss]
      else: team
      repeat: 5m
      escalate: {after: 10m, to: boss}
    - {severity: high, labels: {team: risk}, to: team}
    - {severity: [high, medium], to: grid, wait: 30s}
    - {to: log}
  quiet: {from: "22:00", to: "07:00", zone: Europe/Berlin, days: [sat, sun]}
  labels: {service: signals}
"""
)

CASES: dict[str, tuple[dict[str, str], str, str]] = {
    "a channel that is not there": ({"to: team}": "to: »tean}"}, "P421", "did you mean 'team'"),
    "a channel of several": ({"[desk, boss]": "[desk, »bos]"}, "P421", "'boss'"),
    "an else that is not there": ({"else: team": "else: »teem"}, "P421", "'team'"),
    "an escalation that is not there": ({"10m, to: boss": "10m, to: »bosses"}, "P421", "'boss'"),
    "a channel called log": (
        {"    grid: {": "    »log: {", "to: grid": "to: desk"}, "P303", "another name",
    ),
    "a channel that nobody uses": (
        {"    grid: {": "    »grid: {", "to: grid": "to: desk"}, "P425", "to: grid",
    ),
    "a secret that is not set": ({"{env: PAGER}": "{env: »PAGE}"}, "P011", "'PAGER'"),
    "a secret of a service": ({"{env: TEAM}": "{env: »TEEM}"}, "P011", "'TEAM'"),
    "a secret of nowhere": ({"secret: {file: k}": "»secret: {}"}, "P373", "secret: {env"),
    "a url that is none": ({"http://127.0.0.1:9093": "grid"}, "P371", "http://127"),
    "a password in a url": ({"https://desk/in": "https://a:b@desk/in"}, "P373", "auth:"),
    "critical alerts that nobody is told of": (
        {"[desk, boss]\n      else: team\n      repeat: 5m\n      escalate: {after: 10m, to: boss}":
         "log", "    - severity: critical": "    »- severity: critical",
         "to: grid, wait": "to: [grid, desk, boss], wait"}, "P422", "severity: critical, to",
    ),
    "a label that no alert has": ({"{team: risk}, to": "{»teem: risk}, to"}, "P423", "'team'"),
    "a label's value that no alert has": (
        {"{team: risk}, to": "{team: »rusk}, to"}, "P423", "'risk'",
    ),
    "a kind that is none": ({"{team: risk}, to": "{kind: »rolback}, to"}, "P423", "'rollback'"),
    "a route behind one that takes all": (
        {"    - {to: log}": "    - {to: log}\n    - »{severity: low, to: desk}"},
        "P423", "move it up",
    ),
    "a route that no alert fits": (
        {"high, labels: {team: risk}, to: team": "medium, labels: {team: risk}, to: team",
         "    - {severity: medium": "    - »{severity: medium"}, "P423", "leave out",
    ),
    "an escalation to the log": ({"10m, to: boss": "10m, to: »log"}, "P424", "a person"),
    "an else to the log": ({"else: team": "else: »log"}, "P424", "a person"),
    "an else to those who are told": ({"else: team": "else: »desk"}, "P424", "others"),
    "an escalation at once": ({"after: 10m": "after: »0s"}, "P345", "5m"),
    "a repeat without end": ({"repeat: 5m": "repeat: »0s"}, "P345", "5m"),
    "a repeat before it was told": (
        {"to: grid, wait: 30s": "to: grid, wait: 30m, repeat: »10m"}, "P426", "wait",
    ),
    "an escalation before it was told": (
        {"repeat: 5m": "wait: 20m\n      repeat: 1h", "after: 10m": "after: »10m"}, "P426", "wait",
    ),
    "a repeat in the log": ({"{to: log}": "{to: log, »repeat: 1h}"}, "P344", "leave it out"),
    "an escalation in the log": (
        {"{to: log}": "{to: log, »escalate: {after: 1h, to: boss}}"}, "P344", "name a channel",
    ),
    "a zone that is not there": ({"Europe/Berlin": "»Europe/Berlinn"}, "P427", "Europe/Berlin"),
    "quiet hours without an end": ({'to: "07:00"': 'to: »"22:00"'}, "P427", "07:00"),
    "a time of day that is none": ({'"07:00"': '»"7"'}, "P103", '"22:00"'),
    "a bare time of day": ({'to: "07:00"': "to: »07:00"}, "P009", "quotes"),
    "a label of their own": ({"{service: signals}": "{»severity: x}"}, "P303", "another name"),
    "a trigger's label of their own": (
        {"labels: {team: risk}}": "labels: {team: risk, »kind: x}}"}, "P303", "another name",
    ),
    "a severity that is none": ({"severity: critical": "severity: »grave"}, "P104", "critical"),
    "an unknown key": ({"wait: 30s": "»delay: 30s"}, "P101", "keys are"),
    "alerts without a route": (
        {GOOD[GOOD.index("  channels"):]: "  routes: »[]\n"}, "P103", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_error_has_its_code_its_place_and_a_hint(name: str) -> None:
    changes, code, hint = CASES[name]
    text = GOOD
    for old, new in changes.items():
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    if "»" not in text:
        old, new = next(iter(changes.items()))
        text = text.replace(f'"{new}"', f'»"{new}"')
    finding, place = only_finding(text, PAGER="x", TEAM="json://x")
    assert (finding.code, finding.line, finding.column) == (code, place.line, place.column)
    assert hint in finding.hint


def test_the_policy_that_the_cases_change_is_clean() -> None:
    loaded = load(GOOD, PAGER="x", TEAM="json://x")
    assert [str(finding) for finding in loaded.findings] == []


def test_high_alerts_that_nobody_is_told_of_are_a_warning_and_stop_nothing() -> None:
    text = BASE + (
        'alerts: {channels: {desk: {type: alertmanager, url: "http://d"}}, '
        "routes: [{severity: critical, to: desk}]}\n"
    )
    loaded = load(text)
    (finding,) = loaded.findings
    assert (finding.code, finding.severity) == ("P422", "warning") and loaded.ok
    assert "trigger harm" in finding.message


def test_the_levels_of_a_budget_are_triggers_that_routes_take_and_people_must_be_told_of() -> None:
    budget = (
        "budgets:\n  data: {cost: {source: signals, value: sum(cost)}, day: 8 USD, stop: 90%}\n"
        'alerts:\n  channels: {desk: {type: alertmanager, url: "http://d"}}\n'
        "  routes:\n    - {severity: critical, to: desk}\n"
    )
    levels = "    - {severity: high, labels: {trigger: data_day_stop}, to: desk}\n"
    rest = "    - {severity: high, to: desk}\n"
    assert [str(finding) for finding in load(BASE + budget + levels + rest).findings] == []
    (finding,) = load(BASE + budget).findings
    assert finding.code == "P422" and "trigger data_day_stop" in finding.message


def test_the_first_route_that_fits_takes_an_alert() -> None:
    loaded = load(GOOD, PAGER="x", TEAM="json://x")
    plan = plan_of(GOOD.replace("env: PAGER", "file: p").replace("env: TEAM", "file: t"))
    assert loaded.ok and plan.alerts is not None
    of_risk = {"kind": "trigger", "trigger": "harm", "team": "risk"}
    takes = [route.takes(Severity.HIGH, of_risk) for route in plan.alerts.routes]
    assert takes == [False, True, True, True]
    assert [route.to for route in plan.alerts.routes][-1] == (), "the log is told anyway"
    assert plan.alerts.routes[0].fallback == ("team",), "and whom the escalation adds"


def edit(old: str, new: str) -> dict[str, bool]:
    """What an edit changes, and whether it may take over by itself."""
    texts = [text.replace("env: ", "file: ") for text in (GOOD, GOOD.replace(old, new))]
    policies = [load(text).policy for text in texts]
    assert policies[0] is not None and policies[1] is not None
    return {c.path: c.safe for c in classify(policies[0], policies[1]).changes}


def test_what_tells_more_is_a_safe_edit_and_what_tells_others_is_not() -> None:
    quiet = GOOD[GOOD.index("  quiet") : GOOD.index("  labels: {service")]
    assert edit(quiet, "") == {"alerts.quiet": True}
    assert edit("    - {to: log}\n", "    - {to: log}\n    - {to: desk}\n") == {
        "alerts.routes": True
    }
    assert edit("to: [desk, boss]", "to: [desk]") == {"alerts.routes": False}
    assert edit("https://desk/in", "https://other/in") == {"alerts.channels.desk": False}
    assert edit("zone: Europe/Berlin", "zone: UTC") == {"alerts.quiet": False}
    assert edit("labels: {team: risk}}", "labels: {team: risk, desk: nq}}") == {
        "triggers.harm.labels": False
    }
