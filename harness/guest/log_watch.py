# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Follow a guest's kernel log: record its faults, the running test, and its signs of life.

The console's thread feeds the lines, and any thread may read the results. `health` decides what a
missing heartbeat means, and `verdict` how a report changes a result. Only this module drops the
reports that the configuration allows (`allow_kernel_lines`).
"""

import re
import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.model.guest_history import TestMark
from harness.panic.markers import MarkerKind, parse_marker
from harness.panic.scan import Scanner
from harness.panic.values import KernelReport

CANARY_KIND = "canary"
# Source: kmemleak_scan() in mm/kmemleak.c.
_LEAK_COUNT = re.compile(r"\bkmemleak: \d+ new suspected memory leaks")


class LogWatch:
    """The faults, marks of tests and heartbeats in the lines of one guest's console.

    The results may be read while another thread feeds lines. `allowed` are patterns of report
    titles that do not count as faults. `explained` are reports that were shown to the user before;
    they do not count again. A fatal report always counts. Only heartbeats with `run_id` count.
    Only with `token` count the canary, a line that the harness plants as a fault, and the last
    word, the result of the final log check.
    Units: times are seconds on the monotonic clock, at which the console received the lines.
    """

    def __init__(
        self,
        *,
        run_id: str,
        token: str,
        started_at: float,
        allowed: Sequence[str] = (),
        explained: Iterable[KernelReport] = (),
    ) -> None:
        self._lock = threading.Lock()
        self._scanner = Scanner()
        self._run_id = run_id
        self._token = token
        self._allowed = tuple(re.compile(pattern) for pattern in allowed)
        self._explained = frozenset((one.line, one.text) for one in explained)
        self._reports: list[tuple[KernelReport, float]] = []
        self._times: list[float] = []
        self._marks: list[TestMark] = []
        self._lines = 0
        self._beats = 0
        self._beat_at = started_at
        self._canary_seen = False
        self._canary_reported = False
        self._last_word = False
        self._finished: set[str] = set()

    def feed(self, text: str, at: float) -> None:
        """Process the next console line, received at `at`."""
        with self._lock:
            self._times.append(at)
            marker = parse_marker(text)
            if marker is not None:
                self._mark(marker.kind, marker.name, at)
            for report in self._scanner.feed(text):
                self._add(report)
            self._lines += 1

    def finish(self) -> None:
        """Record the report that the console has begun, though its end did not arrive."""
        with self._lock:
            for report in self._scanner.finish():
                self._add(report)

    def _mark(self, kind: MarkerKind, name: str, at: float) -> None:
        if kind is MarkerKind.TEST_BEGIN:
            self._marks.append(TestMark(line=self._lines, test=name, begins=True))
        elif kind is MarkerKind.TEST_END:
            self._finished.add(name)
            self._marks.append(TestMark(line=self._lines, test=name, begins=False))
        elif kind is MarkerKind.HEARTBEAT and name == self._run_id:
            self._beats += 1
            self._beat_at = at
        elif kind is MarkerKind.CANARY and name == self._token:
            self._canary_seen = True
        elif kind is MarkerKind.LAST_WORD and name == self._token:
            self._last_word = True

    def _add(self, report: KernelReport) -> None:
        if report.kind == CANARY_KIND:
            self._canary_reported = True
            return
        if self._is_excused(report):
            return
        index = bisect_right(self._marks, report.line, key=lambda mark: mark.line)
        named = replace(report, test=_running_after(self._marks[:index]))
        self._reports.append((named, self._times[report.line]))

    def _is_excused(self, report: KernelReport) -> bool:
        """Return whether a report does not count: it is allowed or was explained before.

        kmemleak's count of leaked objects is no report of its own. A fatal report always counts.
        """
        if report.fatal:
            return False
        # The count includes objects of the kernel itself. The harness's leak scan writes a report
        # for each leak of a module.
        if any(_LEAK_COUNT.search(line) for line in report.text[:1]):
            return True
        allowed = any(fits.search(report.title) for fits in self._allowed)
        return allowed or (report.line, report.text) in self._explained

    @property
    def reports(self) -> tuple[KernelReport, ...]:
        """Every fault that the kernel has reported so far, with the test that ran then.

        Reports that are allowed or were explained before are left out.
        """
        with self._lock:
            return tuple(report for report, _ in self._reports)

    @property
    def timed_reports(self) -> tuple[tuple[KernelReport, float], ...]:
        """The same faults as in `reports`, each with the time when its first line arrived."""
        with self._lock:
            return tuple(self._reports)

    @property
    def fatal(self) -> KernelReport | None:
        """The first report of a fault that stopped the kernel, or None."""
        with self._lock:
            return next((report for report, _ in self._reports if report.fatal), None)

    @property
    def current_test(self) -> str:
        """The test that runs: its begin mark arrived and its end mark did not. "" without one."""
        with self._lock:
            return _running_after(self._marks)

    @property
    def marks(self) -> tuple[TestMark, ...]:
        """The begin and end marks of all tests so far, in the order of their lines."""
        with self._lock:
            return tuple(self._marks)

    def has_finished(self, test: str) -> bool:
        """Return whether the end mark of a test arrived."""
        with self._lock:
            return test in self._finished

    @property
    def sees_faults(self) -> bool:
        """Whether the line that the harness planted as a fault was recognized as a fault."""
        with self._lock:
            return self._canary_seen and self._canary_reported

    @property
    def last_word_said(self) -> bool:
        """Whether the guest has printed that its final log check found no fault."""
        with self._lock:
            return self._last_word

    @property
    def beats(self) -> int:
        """The number of the kernel's heartbeats that have arrived."""
        with self._lock:
            return self._beats

    @property
    def beat_at(self) -> float:
        """The monotonic time of the last heartbeat; before the first, when watching began."""
        with self._lock:
            return self._beat_at

    @property
    def line_count(self) -> int:
        """The number of console lines that were read."""
        with self._lock:
            return self._lines


def _running_after(marks: Sequence[TestMark]) -> str:
    """Return the test whose begin is the last mark, or "" if the last mark is an end."""
    return marks[-1].test if marks and marks[-1].begins else ""
