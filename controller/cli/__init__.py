"""The commands: thin, no decision in them. Nothing heavy is imported before it is needed."""


def main() -> None:
    """Entry point of `rollout`."""
    from controller.cli.app import run

    run()
