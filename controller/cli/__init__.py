"""The commands: thin, no decision in them. Nothing heavy is imported before it is needed."""

import gc


def main() -> None:
    """Entry point of `rollout`."""
    # Imports make many objects and hardly a cycle: looking for them takes a fifth of a start.
    gc.set_threshold(100_000)
    from controller.cli.app import run

    run()
