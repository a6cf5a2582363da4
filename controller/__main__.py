"""`python -m controller`: the same as `rollout`."""

from controller.cli import main

main()
