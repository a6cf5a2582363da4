"""What a short command loads: nothing that takes long and that it has no use for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "alembic", "anyio", "apscheduler", "duckdb", "exchange_calendars", "fastapi", "numpy", "pandas",
    "psycopg", "pydantic", "pydantic_settings", "rich", "sqlalchemy", "starlette", "transitions",
    "urllib3", "uvicorn", "watchfiles",
}  # fmt: skip
PROGRAM = """
import sys
from controller.cli import main
try:
    main()
finally:
    print("loaded", *{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.real
@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["validate", "policies/web-service.yaml"],
        ["validate", "--format", "json", "policies/web-service.yaml"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_help_and_validate_load_nothing_heavy(command: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    *_, last = process.stdout.splitlines()
    loaded = set(last.split())
    assert {"loaded", "controller", "typer"} <= loaded
    assert not loaded & HEAVY
