"""Share of the work: an integer number of 1/100,000, so that 0.001% is exact."""

from typing import NewType

Share = NewType("Share", int)
"""0 (all baseline) to 100,000 (all candidate)."""

NONE = Share(0)
WHOLE = Share(100_000)


def from_percent(percent: float) -> Share:
    """The share of `percent` (0 to 100). Raises ValueError off the 0.001% grid or range."""
    units = round(percent * 1000)
    if not 0 <= units <= WHOLE or abs(units - percent * 1000) > 1e-6:
        raise ValueError(f"{percent}% is not a share: 0% to 100%, in steps of 0.001%")
    return Share(units)


def percent_text(share: Share) -> str:
    """`5%`, `0.5%`, `33.333%`: the shortest exact text."""
    return f"{share / 1000:.3f}".rstrip("0").rstrip(".") + "%"
