# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Draw the costs of a run of bench-ring as one self-contained SVG. Pure.

One panel for each ring and number of producers; both axes are logarithmic. Engines differ in
colour and in the dashes of their line.
"""

import math
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from harness.project.bench import figures

_PANEL_W, _PANEL_H = 300, 220
_MARGIN_LEFT, _MARGIN_TOP, _MARGIN_BOTTOM = 46, 56, 40
_COLOURS = {
    "floor": ("#6e7681", "2 3"),
    "ours": ("#0b62d6", ""),
    "original": ("#b3400f", "8 3"),
    "lttng-ust": ("#7a3fb5", "10 3 2 3"),
    "rte_ring": ("#1a7f37", "4 4"),
}
_OTHER = ("#000000", "1 2")
_STYLE = (
    "text{font:11px sans-serif;fill:#24292f} .axis{stroke:#8c959f;fill:none} "
    ".grid{stroke:#d8dee4;fill:none} .back{fill:#ffffff}"
)
_LEAST_NS, _MOST_NS = 10.0, 2000.0


def svg(measured: figures.Measured) -> str:
    """Return the plot of the engines' costs as SVG text."""
    panels: dict[tuple[int, int], list[figures.Cost]] = {}
    for one in measured.costs:
        panels.setdefault((one.ring_bytes, one.producers), []).append(one)
    columns = len({producers for _, producers in panels}) or 1
    rows = math.ceil(len(panels) / columns)
    width = columns * (_PANEL_W + _MARGIN_LEFT) + 20
    height = _MARGIN_TOP + rows * (_PANEL_H + _MARGIN_BOTTOM + 24)
    root = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
    )
    SubElement(root, "title").text = "Nanoseconds for one record, by its size"
    SubElement(root, "style").text = _STYLE
    SubElement(root, "rect", {"class": "back", "width": str(width), "height": str(height)})
    _legend(root, _ordered({one.engine for one in measured.costs}))
    for place, ((ring, producers), costs) in enumerate(panels.items()):
        left = _MARGIN_LEFT + (place % columns) * (_PANEL_W + _MARGIN_LEFT)
        top = _MARGIN_TOP + (place // columns) * (_PANEL_H + _MARGIN_BOTTOM + 24)
        group = SubElement(root, "g", transform=f"translate({left} {top})")
        _text(group, 0, -6, figures.place(ring, producers))
        _panel(group, costs)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _ordered(engines: set[str]) -> list[str]:
    """Return the engines in the order of their colours; those without one come last."""
    known = [name for name in _COLOURS if name in engines]
    return known + sorted(engines.difference(_COLOURS))


def _legend(root: Element, engines: list[str]) -> None:
    for place, name in enumerate(engines):
        colour, dashes = _COLOURS.get(name, _OTHER)
        left = _MARGIN_LEFT + place * 110
        path = {"d": f"M{left} 16h28", "stroke": colour, "stroke-width": "2"}
        SubElement(root, "path", path | ({"stroke-dasharray": dashes} if dashes else {}))
        _text(root, left + 34, 20, name)


def _panel(group: Element, costs: list[figures.Cost]) -> None:
    sizes = sorted({one.record_bytes for one in costs})
    for ns in (10, 100, 1000):
        y = _y(ns)
        SubElement(group, "path", {"class": "grid", "d": f"M0 {y:.1f}H{_PANEL_W}"})
        _text(group, -6, y + 4, str(ns), anchor="end")
    _text(group, -6, -6, "ns", anchor="end")
    for size in sizes:
        _text(group, _x(size, sizes), _PANEL_H + 16, str(size), anchor="middle")
    _text(group, _PANEL_W / 2, _PANEL_H + 32, "bytes of a record", anchor="middle")
    SubElement(group, "path", {"class": "axis", "d": f"M0 0V{_PANEL_H}H{_PANEL_W}"})
    for engine in sorted({one.engine for one in costs}):
        _line(
            group, sorted((c for c in costs if c.engine == engine), key=lambda c: c.record_bytes)
        )


def _line(group: Element, costs: list[figures.Cost]) -> None:
    """Draw one engine: its medians as a line, and their intervals as bars."""
    colour, dashes = _COLOURS.get(costs[0].engine, _OTHER)
    sizes = [one.record_bytes for one in costs]
    points = []
    for one in costs:
        ns = figures.interval(one.batch_ns)
        x = _x(one.record_bytes, sizes)
        points.append(f"{x:.1f} {_y(ns.median):.1f}")
        bar = f"M{x:.1f} {_y(ns.low):.1f}V{_y(ns.high):.1f}"
        SubElement(group, "path", {"d": bar, "stroke": colour, "stroke-width": "4"})
    line = {"d": "M" + "L".join(points), "stroke": colour, "stroke-width": "2", "fill": "none"}
    SubElement(group, "path", line | ({"stroke-dasharray": dashes} if dashes else {}))


def _x(size: int, sizes: list[int]) -> float:
    span = math.log(max(sizes) / min(sizes)) or 1.0
    return 12 + math.log(size / min(sizes)) / span * (_PANEL_W - 24)


def _y(ns: float) -> float:
    kept = min(max(ns, _LEAST_NS), _MOST_NS)
    return _PANEL_H * (1 - math.log(kept / _LEAST_NS) / math.log(_MOST_NS / _LEAST_NS))


def _text(parent: Element, x: float, y: float, text: str, *, anchor: str = "start") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    SubElement(parent, "text", place).text = text
