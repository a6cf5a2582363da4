"""The language page says what the program does."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.plugins import distribution

from controller.policy.condition import parse_condition
from controller.policy.findings import CODES
from controller.policy.functions import FUNCTIONS
from controller.policy.load import load_text
from controller.policy.names import MetricName, Names
from controller.policy.reference import EXAMPLE, page
from controller.policy.schema import json_schema
from controller.policy.units import parse_quantity, parse_unit
from controller.policy.values import parse_duration, parse_percent, parse_rate, parse_time

PAGE = Path(__file__).parents[3] / "docs" / "language.md"


def test_the_page_is_current() -> None:
    said = "write it: python -m controller.policy.reference > docs/language.md"
    assert PAGE.read_text(encoding="utf-8") == page(), said


def test_every_key_and_every_code_is_on_it() -> None:
    for model in json_schema()["$defs"].values():
        for form in model.get("anyOf", [model]):
            for key in form.get("properties", {}):
                assert f"| `{key}` |" in page()
    assert all(f"| {code} |" in page() for code in CODES)


def test_the_example_is_a_policy_without_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, monkeypatch, "desk_venue", "", {"desk-venue": "desk_venue:open_source"})
    loaded = load_text(EXAMPLE, PAGE, {"PROMETHEUS_TOKEN": "x"})
    assert [str(finding) for finding in loaded.findings] == []


def test_the_example_has_every_key_of_the_language() -> None:
    written = set(re.findall(r"(?:^|[ {])([a-z_]+):", EXAMPLE, re.M))
    for name, model in json_schema()["$defs"].items():
        for form in model.get("anyOf", [model]):
            keys = set(form.get("properties", {}))
            assert keys <= written, f"{name}: {keys - written}"


def test_the_whole_example_is_on_the_page_once() -> None:
    shown = re.findall(r"^```yaml\n(.*?)\n```$", page(), re.M | re.S)
    assert "\n\n".join(shown) + "\n" == EXAMPLE


@pytest.mark.parametrize(
    ("what", "reader"),
    [
        ("a duration", parse_duration),
        ("a share", parse_percent),
        ("a rate", parse_rate),
        ("a time", parse_time),
        ("a unit", parse_unit),
    ],
)
def test_the_values_it_shows_are_read(what: str, reader: Callable[[str], object]) -> None:
    row = next(line for line in page().splitlines() if line.startswith(f"| {what} | "))
    shown = re.findall(r"`([^`]+)`", row)
    assert shown
    for value in shown:
        reader(value)


def test_every_link_inside_leads_to_a_heading() -> None:
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.+)$", page(), re.M)}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", page())) <= headings


def test_the_numbers_and_functions_it_shows_are_read_as_it_says() -> None:
    metric = MetricName(parse_quantity("1")[1], better="higher")
    names = Names({"METRIC": metric}, observed=frozenset({"SOURCE"}))
    shown = re.findall(
        r"`((?:not_worse|better|worse|mann_whitney|split_as_asked)\([^`]+\))`", page()
    )
    assert {text.partition("(")[0] for text in shown} == set(FUNCTIONS)
    for function in shown:
        parse_condition(function, names)
    row = next(line for line in page().splitlines() if "a number with its unit" in line)
    numbers = re.findall(r"`([^`]+)`", row)
    assert len(numbers) == 7
    for number in numbers:
        parse_quantity(number)


def test_default_durations_are_durations() -> None:
    shown = re.findall(r"\| `(\d+[smhd])` \|", page())
    assert shown
    for text in shown:
        parse_duration(text)
