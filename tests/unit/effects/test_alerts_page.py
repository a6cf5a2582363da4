"""The page on alerts says what is so."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from support.marked import load
from support.plans import POLICY

from controller.core.effect import News, Notify, Severity
from controller.effects.alert_webhook import event
from controller.policy.alerting import AlertKind
from controller.policy.checks.alerting import possible

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
SET = {
    "DESK_URL": "json://desk",
    "PAGERDUTY_KEY": "k",
    "HEAD_OF_RISK_URL": "json://r",
    "RECORD_KEY": "k",
}


def block(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", PAGE, re.S)
    assert found is not None
    return found[1]


def test_the_policy_of_the_page_is_clean() -> None:
    policy = POLICY.replace(
        "severity: high, confirm: 3 of 5}",
        "severity: high, confirm: 3 of 5, labels: {team: execution}}",
    )
    assert [str(finding) for finding in load(policy + block("policy"), **SET).findings] == []


def test_the_data_of_the_page_is_what_a_webhook_is_sent() -> None:
    at = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    news = News(
        "trigger/loss", "firing", Severity.CRITICAL, "trigger", "loss: candidate.drawdown > 1%", at,
        ("canary",), {"kind": "trigger", "trigger": "loss"},
    )  # fmt: skip
    sent = json.loads(event("home", Notify("k", "record", "ifd-v3", at, (news,))))
    assert sent["data"] == json.loads(block("data"))


def test_every_kind_is_on_the_page_and_can_be_raised() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE, re.M)
    named = {word for row, _ in rows for word in re.findall(r"`(\w+)`", row)}
    policy = load(POLICY).policy
    assert policy is not None
    raised = {alert.labels["kind"] for alert in possible(policy)}
    assert raised == set(get_args(AlertKind)) and raised <= named
