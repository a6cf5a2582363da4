"""The page of the commands, from the commands themselves.

`python -m controller.cli.reference > docs/commands.md` writes it anew; a test says when that is
needed.
"""

import re
import sys

import typer
from typer.cli import get_docs_for_click

from controller.cli.app import app, register

HEAD = """# The commands

Written from the program: `rollout COMMAND --help` says the same in the terminal. Every command
answers with `--format json` for programs, and ends with 0 done, 1 the policy, test or rollout
failed, 2 wrong usage, or 3 the controller or its store cannot be reached.

"""


def page() -> str:
    """The page in Markdown."""
    register()
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    text = get_docs_for_click(obj=group, ctx=typer.Context(group), name="rollout")
    for name, command in group.commands.items():
        first = (command.help or "").partition("\n")[0]
        item = f"* [`{name}`](#rollout-{name}): {first}"
        text = re.sub(rf"^\* `{name}`: .*$", item, text, count=1, flags=re.MULTILINE)
    return HEAD + text.replace("# `", "## `").rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
