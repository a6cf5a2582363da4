"""Which plugins are installed, by the entry points of distributions; nothing is imported."""

GROUP = "rollout.sources"
"""The group of entry points that offer sources."""


def installed() -> tuple[str, ...]:
    """Names of the plugins that are there, sorted."""
    from importlib.metadata import entry_points  # not needed until a policy names a plugin

    return tuple(sorted({found.name for found in entry_points(group=GROUP)}))


def how_to_get(name: str) -> str:
    """What to do where a plugin is not there."""
    names = installed()
    there = f"installed are: {', '.join(names)}" if names else "none is installed"
    return (
        f"{there}; install the package that has the entry point {name!r} in the group {GROUP!r} "
        "where the controller runs"
    )
