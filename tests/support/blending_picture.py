"""The picture of `docs/blending.md`, drawn from what `blend` says:

PYTHONPATH=tests python -m support.blending_picture > docs/blending.svg
"""

import sys

from controller.blend.settings import Conflict, Settings
from controller.core.share import WHOLE
from support.blending import once

BASELINE, CANDIDATE = 0.8, -0.4
LEFT, TOP, WIDTH, HEIGHT = 70, 50, 520, 240
SHOWN = {
    Conflict.NET: ("net", "#2563eb", ""),
    Conflict.PREFER_OLD: ("prefer_old", "#b91c1c", "2 5"),
    Conflict.PREFER_NEW: ("prefer_new", "#15803d", "10 4"),
    Conflict.FLAT: ("flat, min_abs", "#9333ea", "6 3 1 3"),
}
STYLE = """<style>
svg { background: #ffffff; font-family: system-ui, sans-serif; }
text { font-size: 12px; fill: #334155; } .title { font-size: 14px; font-weight: 600; }
.axis { stroke: #94a3b8; fill: none; } polyline { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  svg { background: #0f172a; } text { fill: #cbd5e1; }
}
</style>"""


def points(conflict: Conflict) -> list[tuple[float, float]]:
    """Where the line goes: the ends are steps, so the neighbours of both ends are drawn too."""
    shares = [0, 1, *range(10_000, WHOLE, 10_000), WHOLE - 1, WHOLE]
    return [
        (x(share), y(once(Settings(conflict=conflict), share, BASELINE, CANDIDATE).target))
        for share in shares
    ]


def x(share: int) -> float:
    """Of a share."""
    return round(LEFT + WIDTH * share / WHOLE, 1)


def y(exposure: float) -> float:
    """Of an exposure, from 1 on top to -0.6."""
    return round(TOP + HEIGHT * (1 - exposure) / 1.6, 1)


def svg() -> str:
    """The whole document."""
    words = f"baseline {BASELINE:+g}, candidate {CANDIDATE:+g}: what is held at each share"
    lines = [
        f'<text class="title" x="{LEFT}" y="26">{words}</text>',
        f'<line class="axis" x1="{LEFT}" y1="{y(0)}" x2="{LEFT + WIDTH}" y2="{y(0)}"/>',
    ]
    for exposure in (BASELINE, 0.0, CANDIDATE):
        lines.append(f'<text x="{LEFT - 40}" y="{y(exposure) + 4}">{exposure:+g}</text>')
    for share in range(0, WHOLE + 1, 25_000):
        lines.append(f'<text x="{x(share) - 10}" y="{TOP + HEIGHT + 18}">{share // 1000}%</text>')
    for number, (conflict, (name, colour, dashes)) in enumerate(SHOWN.items()):
        path = " ".join(f"{a:g},{b:g}" for a, b in points(conflict))
        lines.append(f'<polyline points="{path}" stroke="{colour}" stroke-dasharray="{dashes}"/>')
        row = TOP + 14 + 20 * number
        right = LEFT + WIDTH + 24
        key = f"{right},{row - 4} {right + 34},{row - 4}"
        lines.append(f'<polyline points="{key}" stroke="{colour}" stroke-dasharray="{dashes}"/>')
        lines.append(f'<text x="{right + 42}" y="{row}">{name}</text>')
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 330" width="760" height="330" '
        f'role="img" aria-label="{words}">\n{STYLE}\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    sys.stdout.write(svg())
