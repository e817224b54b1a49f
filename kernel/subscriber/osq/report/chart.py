# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Completeness over time: what was stored, what is missing, and when nobody recorded, as SVG."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from osq.report.facts import Row
from osq.report.markup import Html, joined, tag
from osq.report.window import Window, clock, span, stamp

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 960, 200, 56, 28, 10
_BUCKETS = 120
_TICKS = 6
# Daemons write a row every ten seconds; a shorter pause between two rows is no gap.
_PAUSE_S = 2
_LOST = ("dropped", "reset", "unknown")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A span of the window in which events are, or may be, missing from the store, and why.

    missing: how many are known to be missing; None when nobody counted them.
    """

    begin_s: int
    end_s: int
    why: str
    missing: int | None = None


@dataclass(kw_only=True)
class Bucket:
    """How many events were stored, and how many are missing, in one bar's part of the window."""

    stored: float = 0.0
    missing: float = 0.0


def _number(row: Row, name: str) -> int:
    return int(row[name] or 0)


def _missing(row: Row) -> int:
    return sum(_number(row, name) for name in _LOST)


def gaps_of(rows: Sequence[Row], window: Window) -> list[Gap]:
    """Return the gaps of the window, in order of time, from its rows of kosquery_stats."""
    gaps = [
        Gap(
            begin_s=begin, end_s=end, why="nobody recorded, or the rows are no longer in the store"
        )
        for begin, end in _unrecorded(rows, window)
    ]
    for row in rows:
        if not row["complete"] and row["session"] is not None:
            parts = [f"{_number(row, name)} {name}" for name in _LOST if row[name]]
            if row["unwatched"]:
                parts.append(f"{row['unwatched']} paths are not watched as they were meant")
            why = ", ".join(parts) or "what was attempted is not known"
            ending = f"; the daemon ended: {row['ending']}" if row["ending"] else ""
            gaps.append(
                Gap(
                    begin_s=_number(row, "begin_time"),
                    end_s=_number(row, "time"),
                    why=f"{why}{ending}",
                    missing=_missing(row),
                )
            )
    return sorted(gaps, key=lambda gap: gap.begin_s)


def _unrecorded(rows: Sequence[Row], window: Window) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each part of the window that no row of a session covers.

    rows: of kosquery_stats. The end of the window is no such part while it is shorter than an
    interval: the row of the present interval is written at its end.
    """
    recorded = sorted(
        (_number(row, "begin_time"), _number(row, "time"))
        for row in rows
        if row["session"] is not None
    )
    interval_s = max((end - begin for begin, end in recorded), default=0)
    at = window.begin_s
    for begin, end in recorded:
        if begin - at > _PAUSE_S:
            yield at, begin
        at = max(at, end)
    if window.end_s - at > _PAUSE_S + interval_s:
        yield at, window.end_s


def chart(rows: Sequence[Row], window: Window) -> Html:
    """Return the SVG chart of events a second over the window, from its rows of kosquery_stats.

    Each bar has the stored events, and the missing ones on top.
    """
    length = max(1, window.end_s - window.begin_s)
    buckets = _buckets(rows, window, length)
    bucket_s = length / len(buckets)
    most = max((one.stored + one.missing for one in buckets), default=0.0) / bucket_s
    summary = (
        f"Events a second from {stamp(window.begin_s)} to {stamp(window.end_s)}, at most"
        f" {most:.0f}. The list of gaps has the same in words."
    )
    return tag(
        "svg",
        tag("title", "Completeness over time", id="chart-title"),
        tag("desc", summary, id="chart-desc"),
        _hatches(),
        _scale(most),
        _away(rows, window, length),
        *_bars(buckets, most * bucket_s),
        *_ticks(window, length),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_labelledby="chart-title chart-desc",
        class_="chart",
    )


def _buckets(rows: Iterable[Row], window: Window, length: int) -> list[Bucket]:
    """Return the window in up to 120 equal parts with their numbers of events.

    The events of a row of kosquery_stats are divided in proportion among the parts that it covers.
    Units: length is that of the window, in seconds.
    """
    count = min(_BUCKETS, length)
    buckets = [Bucket() for _ in range(count)]
    width = length / count
    for row in rows:
        begin, end = _number(row, "begin_time"), max(_number(row, "time"), 1)
        lasts = max(1, end - begin)
        first = max(0, int((begin - window.begin_s) / width))
        last = min(count - 1, int((end - window.begin_s) / width))
        for place in range(first, last + 1):
            left = window.begin_s + place * width
            part = min(begin + lasts, left + width) - max(begin, left)
            share = max(0.0, part) / lasts
            buckets[place].stored += _number(row, "stored") * share
            buckets[place].missing += _missing(row) * share
    return buckets


def _x(part: float) -> float:
    return _LEFT + part * (_WIDTH - _LEFT - 4)


def _rect(left: float, width: float, top: float, height: float, kind: str) -> Html:
    return tag(
        "rect",
        x=f"{left:.1f}",
        y=f"{top:.1f}",
        width=f"{max(width, 0.5):.1f}",
        height=f"{height:.1f}",
        class_=kind,
    )


def _bars(buckets: Sequence[Bucket], most: float) -> Iterator[Html]:
    floor, width = _HEIGHT - _BOTTOM, (_WIDTH - _LEFT - 4) / len(buckets)
    for place, one in enumerate(buckets):
        high = (floor - _TOP) * one.stored / most if most else 0.0
        lost = max(3.0, (floor - _TOP) * one.missing / most) if one.missing and most else 0.0
        left = _x(place / len(buckets))
        if high:
            yield _rect(left, width - 1, floor - high, high, "stored")
        if lost:
            yield _rect(left, width - 1, max(0.0, floor - high - lost), lost, "missing")


def _away(rows: Sequence[Row], window: Window, length: int) -> Html:
    """Return a hatched rectangle of the chart for each part of the window that nobody recorded."""
    fields = []
    for begin, end in _unrecorded(rows, window):
        left = _x((begin - window.begin_s) / length)
        width = _x((end - window.begin_s) / length) - left
        fields.append(_rect(left, width, _TOP, _HEIGHT - _BOTTOM - _TOP, "away"))
    return joined(*fields)


def _hatches() -> Html:
    """Return the SVG definitions of two hatches: for "nobody recorded" and for missing events.

    They tell the chart's fields apart without colours.
    """
    line = tag("line", x1=0, y1=0, x2=0, y2=8)

    def pattern(name: str, angle: int) -> Html:
        return tag(
            "pattern",
            tag("rect", width=8, height=8),
            line,
            id=name,
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
            patternTransform=f"rotate({angle})",
        )

    return tag("defs", pattern("hatch-away", 45), pattern("hatch-missing", -45))


def _scale(most: float) -> Html:
    floor = _HEIGHT - _BOTTOM
    return joined(
        tag("line", x1=_LEFT, x2=_WIDTH - 4, y1=floor, y2=floor, class_="axis"),
        tag("line", x1=_LEFT, x2=_WIDTH - 4, y1=_TOP, y2=_TOP, class_="grid"),
        tag("text", f"{most:,.3g}/s", x=_LEFT - 6, y=_TOP + 4, class_="left"),
        tag("text", "0", x=_LEFT - 6, y=floor + 4, class_="left"),
    )


def _ticks(window: Window, length: int) -> Iterator[Html]:
    for place in range(_TICKS + 1):
        at = window.begin_s + length * place // _TICKS
        side = "start" if place == 0 else "end" if place == _TICKS else "middle"
        yield tag("text", clock(at), x=f"{_x(place / _TICKS):.1f}", y=_HEIGHT - 8, class_=side)


def verdict(rows: Sequence[Row], gaps: Sequence[Gap]) -> str:
    """Return a sentence that says whether all events of the window are stored."""
    stored = sum(_number(row, "stored") for row in rows)
    if not gaps:
        return f"Complete: all {stored:,} events of these intervals are in the store."
    missing = sum(gap.missing or 0 for gap in gaps)
    away_s = sum(gap.end_s - gap.begin_s for gap in gaps if gap.missing is None)
    parts = [f"{missing:,} events are known to be missing"] if missing else []
    parts += [f"nothing is known of {span(away_s)}"] if away_s else []
    gap_count = f"{len(gaps)} {'gap' if len(gaps) == 1 else 'gaps'}"
    return f"Not complete, {gap_count}: {' and '.join(parts) or 'an interval is not known'}."
