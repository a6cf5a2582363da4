"""The page of the commands says what the program does, and each command teaches."""

from pathlib import Path
from typing import Any

import pytest
import typer

from controller.cli.app import app, register
from controller.cli.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"


def commands() -> dict[str, Any]:
    register()
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = command.commands if isinstance(command, typer.core.TyperGroup) else {"": command}
        found |= {f"{name} {last}".strip(): leaf for last, leaf in inner.items()}
    return found


def test_the_page_is_current() -> None:
    said = "write it: python -m controller.cli.reference > docs/commands.md"
    assert PAGE.read_text(encoding="utf-8") == page(), said


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_shows_an_example_and_answers_programs(name: str) -> None:
    command = commands()[name]
    assert f"rollout {name.split()[0]}" in (command.help or "")
    assert any("--format" in option.opts for option in command.params)
