"""The smallest effect that each comparison shows, against time: a chart for each rule, a line for
each step, from its first bounds to its deadline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from controller.cli.render.outlook import effect_name
from controller.core.assess import span
from controller.core.draw import STYLE
from controller.policy.checks.context import percent_text
from controller.policy.feasibility import Effect, difference_text
from controller.policy.models import Policy
from controller.policy.outlook import Outlook

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 260, 96, 130, 44, 40
POINTS = 60
"""Of a line."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One step: times in seconds and effects in the base unit, and where its hold ends."""

    label: str
    points: tuple[tuple[float, float], ...]
    hold: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class _Chart:
    policy: Policy
    title: str
    effect: Effect
    lines: tuple[_Line, ...]


def effects_svg(outlooks: Sequence[Outlook]) -> str:
    """One self-contained SVG, charts below each other; both axes are logarithmic. The dashed line
    is the margin: a comparison of versions that are alike passes where a line falls below it."""
    charts = list(_charts(outlooks))
    height = HEIGHT * max(1, len(charts))
    parts = [part for number, chart in enumerate(charts) for part in _drawn(chart, number * HEIGHT)]
    if not charts:
        said = "nothing to draw: no traffic is known, or nothing is compared"
        parts = [f'<text class="title" x="{LEFT}" y="{TOP}">{said}</text>']
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="smallest effect that can be seen, against time">'
        f"\n{STYLE}\n{body}\n</svg>\n"
    )


def _charts(outlooks: Sequence[Outlook]) -> Iterator[_Chart]:
    by_rule: dict[str, list[tuple[Outlook, Effect]]] = {}
    for outlook in outlooks:
        for rule in outlook.rules:
            for effect in rule.effects:
                by_rule.setdefault(effect_name(rule, effect), []).append((outlook, effect))
    for title, found in by_rule.items():
        lines = [line for outlook, effect in found if (line := _line(outlook, effect)) is not None]
        if lines:
            yield _Chart(found[0][0].step.policy, title, found[0][1], tuple(lines))


def _line(outlook: Outlook, effect: Effect) -> _Line | None:
    step = outlook.step
    if not step.deadline:
        return None
    first = min(60.0, step.deadline / 2)
    times = [first * (step.deadline / first) ** (n / (POINTS - 1)) for n in range(POINTS)]
    points = [(at, size) for at in times if (size := effect.shown(at)) is not None and size > 0]
    if not points:
        return None
    hold = None if not effect.by_hold else (step.hold, effect.by_hold)
    return _Line(f"{step.stage.name} {percent_text(step.weight)}", tuple(points), hold)


def _drawn(chart: _Chart, top: int) -> Iterator[str]:
    points = [point for line in chart.lines for point in line.points]
    sizes = [size for _, size in points] + ([chart.effect.margin] if chart.effect.margin else [])
    across = _Scale(min(at for at, _ in points), max(at for at, _ in points), LEFT, WIDTH - RIGHT)
    up = _Scale(min(sizes), max(sizes), top + HEIGHT - BOTTOM, top + TOP)
    yield f'<text class="title" x="{LEFT}" y="{top + 22}">{escape(chart.title)}</text>'
    for at in _times(across):
        x, base = across.place(at), top + HEIGHT - BOTTOM
        yield f'<line class="grid" x1="{x}" y1="{top + TOP}" x2="{x}" y2="{base}"/>'
        yield f'<text class="small" x="{x}" y="{base + 18}">{span(round(at * 1000))}</text>'
    for size in _ticks(up):
        y = up.place(size)
        words = escape(difference_text(chart.policy, chart.effect.condition, size))
        yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4}">{words}</text>'
    if chart.effect.margin:
        y = up.place(chart.effect.margin)
        yield f'<line class="margin" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
    yield from _lines(chart, across, up)


def _lines(chart: _Chart, across: "_Scale", up: "_Scale") -> Iterator[str]:
    """Each with its name at its end, and a dot where its hold ends."""
    taken: list[float] = []
    for line in chart.lines:
        path = " L".join(f"{across.place(at)} {up.place(size)}" for at, size in line.points)
        yield f'<path class="edge" d="M{path}"/>'
        if line.hold is not None:
            yield f'<circle class="dot" cx="{across.place(line.hold[0])}" ' \
                  f'cy="{up.place(line.hold[1])}" r="3.5"/>'  # fmt: skip
        y = up.place(line.points[-1][1])
        while any(abs(y - other) < 13 for other in taken):
            y += 13
        taken.append(y)
        x = across.place(line.points[-1][0]) + 6
        yield f'<text class="label" x="{x}" y="{y + 4}">{escape(line.label)}</text>'


@dataclass(frozen=True, slots=True)
class _Scale:
    """A logarithmic axis: `low` is drawn at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value is drawn."""
        width = log10(self.high / self.low) or 1.0
        return round(self.start + (self.end - self.start) * log10(value / self.low) / width, 1)


def _times(scale: _Scale) -> Iterator[float]:
    """Times that people count in."""
    for at in (60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400):
        if scale.low <= at <= scale.high:
            yield float(at)


def _ticks(scale: _Scale) -> Iterator[float]:
    """1, 2 and 5 of each power of ten."""
    for power in range(floor(log10(scale.low)), ceil(log10(scale.high)) + 1):
        for digit in (1, 2, 5):
            size = digit * 10.0**power
            if scale.low <= size <= scale.high:
                yield size
