# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Draw inline SVG without text: lines of a value over the nights, and strips of verdicts. Pure.

Labels stand in HTML beside a drawing, so they keep their size when a phone shrinks the drawing.
What differs in colour also differs in shape. Colours are classes; the style sheet of the page
defines them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

WIDTH = 600
_HEIGHT = 120
_ROW = 12
# Kinds of one night in a strip: the height of its bar and where it begins, of _ROW.
_BARS = {"passed": (3, 7), "failed": (12, 0), "flaky": (8, 2), "lost": (3, 7), "skipped": (3, 7)}


def line(values: Sequence[float | None], label: str, *, low: float, high: float) -> Markup:
    """Return an SVG line chart of one value for each night; None leaves a gap.

    `low` and `high` are the values at the ends of the axis. `label` is for screen readers.
    """
    spread = (high - low) or 1.0
    step = WIDTH / max(len(values) - 1, 1)

    def point(place: int, value: float) -> str:
        return f"{place * step:.0f} {_HEIGHT - (value - low) / spread * _HEIGHT:.1f}"

    paths = ["M" + "L".join(point(*one) for one in run) for run in _runs(values)]
    dots = []
    last = next(((p, v) for p, v in reversed(list(enumerate(values))) if v is not None), None)
    if last is not None:
        # A line of no length with round caps is a dot that keeps its shape when it is stretched.
        dots.append(f"M{point(*last)}h.01")
    return Markup(
        '<svg class="line" viewBox="-8 -6 {w} {h}" preserveAspectRatio="none" role="img" '
        'aria-label="{label}"><path class="axis" d="M0 {b}H{end}M0 0H{end}"/><path class="value" '
        'd="{paths}"/><path class="dot" d="{dots}"/></svg>'
    ).format(
        end=WIDTH,
        w=WIDTH + 16,
        h=_HEIGHT + 12,
        b=_HEIGHT,
        label=label,
        paths="".join(paths),
        dots="".join(dots),
    )


def _runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Yield each series of values without a gap, as pairs of index and value."""
    run: list[tuple[int, float]] = []
    for place, value in enumerate(values):
        if value is not None:
            run.append((place, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def strip(kinds: Sequence[str], label: str) -> Markup:
    """Return an SVG row with a bar for the verdict of each night; "" leaves a gap.

    Equal neighbours are one bar, so that a long history of passes costs a few bytes. `label` is
    for screen readers.
    """
    width = 10
    bars = "".join(_bars(kinds, width))
    return Markup(
        '<svg class="strip" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" '
        'aria-label="{label}">{bars}</svg>'
    ).format(w=len(kinds) * width, h=_ROW, label=label, bars=Markup(bars))  # noqa: S704 - numbers


def _bars(kinds: Iterable[str], width: int) -> Iterator[str]:
    place = 0
    for kind, group in groupby(kinds):
        count = len(list(group))
        if kind:
            height, top = _BARS[kind]
            yield (
                f'<path class="{kind}" d="M{place * width} {top}h{count * width}v{height}'
                f'h-{count * width}z"/>'
            )
        place += count
