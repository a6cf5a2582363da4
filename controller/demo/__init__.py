"""The main job on real market data, end to end: what `rollout demo` shows."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

FOLDER = Path(".rollout") / "demo"


def run_demo(
    console: "Console",
    folder: Path = FOLDER,
    answer: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Both acts and what came of them. With `answer`, nothing is printed: it is given a
    record of each move as it happens, and of each rollout in the end. Returns 0 when the first
    rollout completed, the second was rolled back to 0%, and both journals are whole; else 1."""
    from controller.demo.programme import perform

    return perform(console, folder, answer)
