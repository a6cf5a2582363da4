"""Pictures of the compiled machine: Mermaid text and SVG, from its own states and edges."""

from collections.abc import Iterable
from html import escape

from controller.core.machine import Edge, RolloutMachine
from controller.core.plan import Step
from controller.core.share import percent_text
from controller.core.state import COMPLETED, PENDING, ROLLED_BACK, stage_step

BOX_WIDTH, BOX_HEIGHT, GAP = 140, 54, 40
CHIP_HEIGHT, CHIP_GAP, MARGIN = 20, 5, 24
LIVE_TOP, LANE_GAP = 46, 78


def mermaid(machine: RolloutMachine, active: str = "") -> str:
    """A `stateDiagram-v2` of every state and edge; `active` is highlighted."""
    lines = ["stateDiagram-v2", "    direction LR"]
    for state in machine.states:
        lines.append(f'    state "{_label(machine, state)}" as {_identifier(state)}')
    lines.append(f"    [*] --> {_identifier(PENDING)}")
    for (source, destination), edges in _grouped(machine.edges).items():
        label = " / ".join(dict.fromkeys(_edge_label(edge) for edge in edges))
        lines.append(f"    {_identifier(source)} --> {_identifier(destination)} : {label}")
    lines.append(f"    {_identifier(COMPLETED)} --> [*]")
    if active in machine.known:
        lines.append("    classDef active fill:#2563eb,color:#ffffff,stroke:#1e3a8a")
        lines.append(f"    class {_identifier(active)} active")
    return "\n".join(lines) + "\n"


def _grouped(edges: Iterable[Edge]) -> dict[tuple[str, str], list[Edge]]:
    pairs: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        pairs.setdefault((edge.source, edge.destination), []).append(edge)
    return pairs


def _edge_label(edge: Edge) -> str:
    words = " and ".join(guard.replace("_", " ") for guard in edge.guards)
    return f"{edge.trigger} [{words}]" if words else edge.trigger


def _identifier(state: str) -> str:
    return state.replace(".", "__").replace("-", "_m_")


def _label(machine: RolloutMachine, state: str) -> str:
    step = next((step for step in machine.steps if step.name == state), None)
    return f"{state} {_share_text(step)}" if step else state


def _share_text(step: Step) -> str:
    return percent_text(step.share) + (" mirror" if step.mirror else "")


def svg(machine: RolloutMachine, active: str = "") -> str:
    """One self-contained SVG: the way forward on top, each step with its side states, the way
    back below. `active` is highlighted. Follows the viewer's light or dark scheme."""
    sheet = _Sheet(machine, active)
    sheet.forward()
    sheet.back()
    return sheet.done()


class _Sheet:
    """Places boxes on two lanes and draws the machine's edges between them."""

    def __init__(self, machine: RolloutMachine, active: str) -> None:
        self._machine, self._active = machine, active
        self._parts: list[str] = []
        self._forward = [PENDING, *(step.name for step in machine.steps), COMPLETED]
        live = {step.name for step in machine.steps}
        self._sides = {
            name: [s for s in machine.states if s != name and stage_step(s) == name]
            for name in live
        }
        self._return = [
            s for s in machine.states if s not in self._forward and stage_step(s) not in live
        ]
        most = max((len(sides) for sides in self._sides.values()), default=0)
        self._back_top = LIVE_TOP + BOX_HEIGHT + most * (CHIP_HEIGHT + CHIP_GAP) + LANE_GAP
        columns = max(len(self._forward), len(self._return))
        self._width = 2 * MARGIN + columns * BOX_WIDTH + (columns - 1) * GAP
        self._height = self._back_top + BOX_HEIGHT + LANE_GAP

    def _x(self, column: int) -> int:
        return MARGIN + column * (BOX_WIDTH + GAP)

    def forward(self) -> None:
        """The lane of the live states, with the bus that leads every one of them back."""
        bus = self._back_top - LANE_GAP // 2
        self._title(MARGIN, LIVE_TOP - 16, "forward")
        last_live = 0
        for column, name in enumerate(self._forward):
            step = next((s for s in self._machine.steps if s.name == name), None)
            self._box(column, LIVE_TOP, name, _share_text(step) if step else "")
            top = LIVE_TOP + BOX_HEIGHT + CHIP_GAP
            for side in self._sides.get(name, []):
                self._chip(column, top, side)
                top += CHIP_HEIGHT + CHIP_GAP
            if column:
                middle = LIVE_TOP + BOX_HEIGHT // 2
                self._arrow(self._x(column) - GAP, middle, self._x(column) - 2, middle)
            if self._goes_back(name):
                centre, last_live = self._x(column) + BOX_WIDTH // 2, column
                self._line(centre, top, centre, bus, "way")
        first = self._x(0) + BOX_WIDTH // 2
        self._line(first, bus, self._x(last_live) + BOX_WIDTH // 2, bus, "way")
        self._arrow(first, bus, first, self._back_top - 2, "way")

    def _goes_back(self, name: str) -> bool:
        first = self._return[0]
        return any(e.source == name and e.destination == first for e in self._machine.edges)

    def back(self) -> None:
        """The lane of the way back, and where a new start leads."""
        self._title(MARGIN + BOX_WIDTH, self._back_top - 10, "way back")
        pairs = {(edge.source, edge.destination) for edge in self._machine.edges}
        middle = self._back_top + BOX_HEIGHT // 2
        for column, name in enumerate(self._return):
            self._box(column, self._back_top, name.removeprefix("rolling_back."), "", name)
            if column and (self._return[column - 1], name) in pairs:
                self._arrow(self._x(column) - GAP, middle, self._x(column) - 2, middle)
        for source, destination in sorted(pairs):
            if source not in self._return or destination not in self._return:
                continue
            start, end = self._return.index(source), self._return.index(destination)
            if end != start + 1:
                self._arc(start, end)
        restart = next((e.destination for e in self._machine.edges if e.source == ROLLED_BACK), "")
        x = self._x(self._return.index(ROLLED_BACK))
        self._title(x, self._back_top - 10, f"start: again from {restart}")

    def _arc(self, start: int, end: int) -> None:
        """A jump over neighbours, below the lane."""
        bottom = self._back_top + BOX_HEIGHT
        a, b = self._x(start) + BOX_WIDTH // 2, self._x(end) + BOX_WIDTH // 2
        depth = bottom + 16 + 9 * abs(end - start)
        self._parts.append(
            f'<path class="edge" marker-end="url(#tip)" d="M{a} {bottom} C{a} {depth} {b} {depth}'
            f' {b} {bottom + 3}"/>'
        )

    def _box(self, column: int, top: int, text: str, below: str, state: str = "") -> None:
        x, centre = self._x(column), self._x(column) + BOX_WIDTH // 2
        active = " active" if (state or text) == self._active else ""
        self._parts.append(
            f'<rect class="box{active}" x="{x}" y="{top}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="8"/>'
        )
        line = top + (24 if below else 32)
        self._parts.append(
            f'<text class="name{active}" x="{centre}" y="{line}">{escape(text)}</text>'
        )
        if below:
            self._parts.append(
                f'<text class="share{active}" x="{centre}" y="{top + 42}">{escape(below)}</text>'
            )

    def _chip(self, column: int, top: int, state: str) -> None:
        x, word = self._x(column) + 16, escape(state.partition(".")[2])
        active = " active" if state == self._active else ""
        self._parts.append(
            f'<rect class="chip{active}" x="{x}" y="{top}" width="{BOX_WIDTH - 32}" '
            f'height="{CHIP_HEIGHT}" rx="10"/><text class="small{active}" '
            f'x="{x + (BOX_WIDTH - 32) // 2}" y="{top + 14}">{word}</text>'
        )

    def _arrow(self, x1: int, y1: int, x2: int, y2: int, kind: str = "edge") -> None:
        tip = "tip" if kind == "edge" else "waytip"
        self._parts.append(
            f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" '
            f'marker-end="url(#{tip})"/>'
        )

    def _line(self, x1: int, y1: int, x2: int, y2: int, kind: str) -> None:
        self._parts.append(f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')

    def _title(self, x: int, y: int, text: str) -> None:
        self._parts.append(f'<text class="title" x="{x}" y="{y}">{escape(text)}</text>')

    def done(self) -> str:
        """The whole document."""
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {self._height}" '
            f'width="{self._width}" height="{self._height}" role="img" '
            f'aria-label="state machine of the rollout">\n{STYLE}\n{body}\n</svg>\n'
        )


STYLE = """<style>
svg { background: #ffffff; font-family: system-ui, sans-serif; }
.box { fill: #f8fafc; stroke: #475569; stroke-width: 1.5; }
.chip { fill: #eef2f7; stroke: #94a3b8; }
.box.active, .chip.active { fill: #2563eb; stroke: #1e3a8a; }
.name { font-size: 14px; font-weight: 600; text-anchor: middle; fill: #0f172a; }
.share, .small { font-size: 12px; text-anchor: middle; fill: #334155; }
.name.active, .share.active, .small.active { fill: #ffffff; }
.title { font-size: 12px; fill: #64748b; }
.edge { stroke: #475569; stroke-width: 1.5; fill: none; }
.way { stroke: #b91c1c; stroke-width: 1.5; fill: none; }
.grid { stroke: #e2e8f0; } .margin { stroke: #b91c1c; stroke-width: 1.5; stroke-dasharray: 6 4; }
.label { font-size: 12px; fill: #0f172a; } .dot { fill: #2563eb; }
.tick { font-size: 12px; text-anchor: end; fill: #334155; }
@media (prefers-color-scheme: dark) {
  svg { background: #0f172a; }
  .box { fill: #1e293b; stroke: #94a3b8; } .chip { fill: #172033; stroke: #64748b; }
  .name { fill: #f1f5f9; } .share, .small { fill: #cbd5e1; } .title { fill: #94a3b8; }
  .edge { stroke: #94a3b8; } .way, .margin { stroke: #f87171; }
  .grid { stroke: #1e293b; } .label { fill: #f1f5f9; } .tick { fill: #cbd5e1; }
}
</style>
<defs>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#64748b"/></marker>
<marker id="waytip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#b91c1c"/></marker>
</defs>"""
"""Of every picture: follows the viewer's light or dark scheme."""
