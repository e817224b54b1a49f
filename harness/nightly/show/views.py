# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Arrange a night's report for the HTML page: the findings, the matrix, the trends and the tests.

Pure. The template only loops over these values.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from harness.model.settings import Verdict
from harness.nightly.judge.failures import subject_of
from harness.nightly.judge.findings import Finding, Kind
from harness.nightly.judge.nights import BAD, CellOnce, Command, Evidence, Night, TestOnce
from harness.nightly.show import plots, words
from harness.nightly.show.morning import Morning

# Of several cells in one night, the kind that comes first here is drawn.
_WORST = ("failed", "flaky", "lost", "skipped", "passed", "")
_CLASSES = {
    Kind.NEW: "bad",
    Kind.STILL: "bad",
    Kind.LOST: "lost",
    Kind.SLOWER: "warn",
    Kind.DRIFT: "warn",
    Kind.WARNING: "warn",
    Kind.FLAKY: "warn",
    Kind.FIXED: "ok",
}
_MARKS = {
    Verdict.PASSED: ("ok", "✓"),
    Verdict.SKIPPED: ("ok", "-"),
    Verdict.FAILED: ("bad", "✗"),
    Verdict.CRASHED: ("bad", "✗"),
    Verdict.LOST: ("lost", "?"),
}
_EXPLAINED = {Kind.NEW, Kind.STILL, Kind.FLAKY, Kind.LOST}


@dataclass(frozen=True, kw_only=True)
class Card:
    """A finding as the page shows it; `evidence` is that of its first cell that has any.

    `is_explained` says that there are commands, or evidence besides its title.
    """

    anchor: str
    css: str
    kind: str
    title: str
    where: str
    lines: tuple[str, ...]
    commands: tuple[Command, ...]
    cells: tuple[CellOnce, ...]
    evidence: Evidence | None
    is_explained: bool


@dataclass(frozen=True, kw_only=True)
class Square:
    """A cell in the page's matrix. `anchor` links to the finding that explains it, "" for none.

    `is_changed` says that the cell had another verdict the night before.
    """

    css: str
    mark: str
    text: str
    label: str
    anchor: str
    is_changed: bool


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The page's table of a night's cells.

    Rows are kernels, and columns are targets with their architecture and test set.
    """

    columns: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, tuple[tuple[Square, ...], ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Trend:
    """One number over the nights, as the page shows it: chart, last value, ends of the axis."""

    title: str
    now: str
    low: str
    high: str
    plot: Markup


@dataclass(frozen=True, kw_only=True)
class TestHistory:
    """The history of one test: a strip of verdicts for each kernel, and its duration's trend."""

    name: str
    summary: str
    css: str
    strips: tuple[tuple[str, Markup], ...]
    duration: Trend | None


# --- findings ------------------------------------------------------------------------------------


def card(finding: Finding, morning: Morning) -> Card:
    """Return a finding with its sentences, commands and evidence, as the page shows it."""
    cells = morning.cells_of(finding)
    evidence = next(
        (one for cell in cells for one in cell.evidence if one.test == finding.test), None
    )
    bisect = words.bisect_command(finding) if finding.key not in morning.bisected else ""
    commands = (
        *(evidence.commands if evidence else ()),
        *((Command(purpose="bisect it", line=bisect),) if bisect else ()),
    )
    shown = (evidence.why, evidence.place, evidence.source, evidence.console) if evidence else ()
    return Card(
        anchor=f"f-{finding.key}",
        css=_CLASSES[finding.kind],
        kind=finding.kind.value,
        title=words.sentence(words.headline(finding)),
        where=words.where(finding, morning),
        lines=words.details(finding, morning),
        commands=commands,
        cells=cells,
        evidence=evidence,
        is_explained=bool(commands) or any(shown),
    )


# --- the matrix ----------------------------------------------------------------------------------


def matrix(morning: Morning) -> Matrix:
    """Return the table of the cells of the night that is reported."""
    cells = morning.night.cells
    columns = sorted({_column(cell) for cell in cells})
    kernels = list(dict.fromkeys(cell.kernel for cell in cells))
    before = (
        {cell.cell: cell.verdict for cell in morning.nights[-2].cells} if _has_two(morning) else {}
    )
    anchors = {
        cell: f"f-{one.key}"
        # The findings are sorted by weight, and the last one that is put in stays: the gravest.
        for one in reversed(morning.judgements[-1].findings)
        for cell in one.cells
        if one.kind in _EXPLAINED
    }
    rows = []
    for kernel in kernels:
        own = [cell for cell in cells if cell.kernel == kernel]
        squares = tuple(
            tuple(_square(cell, before, anchors) for cell in own if _column(cell) == column)
            for column in columns
        )
        rows.append((kernel, squares))
    return Matrix(columns=tuple(columns), rows=tuple(rows))


def _has_two(morning: Morning) -> bool:
    return len(morning.nights) > 1


def _column(cell: CellOnce) -> tuple[str, ...]:
    return tuple(part for part in (cell.target, cell.architecture, cell.test_set) if part)


def _square(cell: CellOnce, before: dict[str, Verdict], anchors: dict[str, str]) -> Square:
    css, mark = _MARKS[cell.verdict]
    bad = sum(test.verdict in BAD for test in cell.tests)
    total = words.plural(len(cell.tests), "test")
    if cell.tests:
        text = f"{bad}/{len(cell.tests)}" if bad else str(len(cell.tests))
        label = f"{cell.cell}: {cell.verdict.value}, {bad} of {total} bad"
    else:
        text = cell.ended_in or cell.verdict.value
        label = f"{cell.cell}: {cell.verdict.value}, {cell.reason}"
    return Square(
        css=css,
        mark=mark,
        text=text,
        label=label,
        anchor=anchors.get(cell.cell, "") if cell.verdict is not Verdict.PASSED else "",
        is_changed=before.get(cell.cell, cell.verdict) is not cell.verdict,
    )


# --- trends --------------------------------------------------------------------------------------


def trends(morning: Morning) -> tuple[Trend, ...]:
    """Return the charts of pass rate, duration, boot time and coverage that have values."""
    nights = morning.nights
    found = (
        _trend("Tests that pass", [_pass_rate(night) for night in nights], _percent, top=100.0),
        _trend("Duration of the night", [night.duration_s for night in nights], _time, bottom=0.0),
        _trend(
            "Boot of a guest, median",
            [_median_boot(night) for night in nights],
            _seconds,
            bottom=0.0,
        ),
        _trend("Lines covered, median", [_coverage(night) for night in nights], _percent),
    )
    return tuple(one for one in found if one is not None)


def _trend(
    title: str,
    values: Sequence[float | None],
    text: Callable[[float], str],
    *,
    bottom: float | None = None,
    top: float | None = None,
) -> Trend | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    low = min(known) if bottom is None else bottom
    high = max(known) if top is None else top
    label = (
        f"{title}: {text(known[-1])} in the last night, {text(min(known))} to {text(max(known))}"
    )
    return Trend(
        title=title,
        now=text(known[-1]),
        low=text(low),
        high=text(high),
        plot=plots.line(values, label, low=low, high=high),
    )


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _time(value: float) -> str:
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _pass_rate(night: Night) -> float | None:
    verdicts = [test.verdict for cell in night.cells for test in cell.tests]
    good, bad = verdicts.count(Verdict.PASSED), sum(one in BAD for one in verdicts)
    return 100.0 * good / (good + bad) if good + bad else None


def _median_boot(night: Night) -> float | None:
    return _median(cell.boot_s for cell in night.cells)


def _coverage(night: Night) -> float | None:
    return _median(cell.coverage_percent for cell in night.cells)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


# --- the history of each test --------------------------------------------------------------------


def tests(morning: Morning) -> tuple[TestHistory, ...]:
    """Return the history of every test in these nights.

    The tests that failed in the last night come first, then those that failed before or are in a
    finding, then all others. A failure of which a rerun passed does not count as one of the last
    night.
    """
    runs: dict[str, list[list[tuple[CellOnce, TestOnce]]]] = {}
    for number, night in enumerate(morning.nights):
        for cell in night.cells:
            for test in cell.tests:
                of_test = runs.setdefault(subject_of(test).name, [[] for _ in morning.nights])
                of_test[number].append((cell, test))
    kernels = list(dict.fromkeys(c.kernel for night in morning.nights for c in night.cells))
    marked = {one.subject.name: one.kind.value for one in (*morning.known, *morning.news)}
    found = [_test_history(name, runs[name], kernels, marked.get(name, "")) for name in runs]
    order = ["bad", "warn", "ok"]
    return tuple(sorted(found, key=lambda one: (order.index(one.css), one.name)))


def _test_history(
    name: str,
    nights: list[list[tuple[CellOnce, TestOnce]]],
    kernels: list[str],
    mark: str,
) -> TestHistory:
    strips = []
    for kernel in kernels:
        kinds = [
            _worst(_kind(test) for cell, test in night if cell.kernel == kernel)
            for night in nights
        ]
        if any(kinds):
            strips.append((kernel, plots.strip(kinds, _strip_label(name, kernel, kinds))))
    verdicts = [test.verdict for night in nights for _, test in night]
    bad = sum(one in BAD for one in verdicts)
    durations = [
        _median(test.duration_s for _, test in night if test.verdict is Verdict.PASSED)
        for night in nights
    ]
    is_bad = any(
        test.verdict in BAD and Verdict.PASSED not in test.reruns for _, test in nights[-1]
    )
    count = f"{bad} of {words.plural(len(verdicts), 'run')} bad"
    return TestHistory(
        name=name,
        summary=f"{mark}, {count}" if mark else count,
        css="bad" if is_bad else "warn" if bad or mark else "ok",
        strips=tuple(strips),
        duration=_trend("Duration, median of all cells", durations, _seconds, bottom=0.0),
    )


def _strip_label(name: str, kernel: str, kinds: list[str]) -> str:
    parts = [f"{kinds.count(kind)} {kind}" for kind in _WORST if kind and kinds.count(kind)]
    return f"{name} on {kernel}, nights: {', '.join(parts)}"


def _kind(test: TestOnce) -> str:
    if test.verdict in BAD:
        return "flaky" if Verdict.PASSED in test.reruns else "failed"
    return test.verdict.value


def _worst(kinds: Iterable[str]) -> str:
    return min(kinds, key=_WORST.index, default="")
