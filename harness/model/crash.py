# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is kept of one bad end: who saw it, what it was, in whose code, during which test.

Only data, as `model` is. `crash` collects it, `crash_report` writes it.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.panic.values import KernelReport

# The folder of a run that holds one folder for each crash.
CRASHES = "crashes"


class Cause(Enum):
    """How the end came to be known; the first witness decides."""

    PANIC = "panic"
    REPORT = "report"
    HANG = "hang"
    OVERDUE = "overdue"
    GONE = "gone"
    QEMU = "qemu"
    UNREACHABLE = "unreachable"


class Blame(Enum):
    """Whose fault the evidence makes it; UNDECIDED where it names nobody."""

    MODULE = "module"
    KERNEL = "kernel"
    HARNESS = "harness"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What one witness said, and when: seconds after the first of them, in that order."""

    name: str
    after_s: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Crash:
    """One bad end of a guest, or one fault that its kernel survived, with all evidence.

    `number` counts from 1 in a run; `test` is "" between tests. `title`, `function`, `place`
    and `module` are those of the first report, or of the stack that explains a hang. `vmcore` is
    a file name in `folder`, "" where there is none, and `vmcore_note` says why or how large.
    `answered` is the way by which a hanging guest spoke ("ssh", "serial", "nmi", "" for none).
    `source` are the lines around `place`, the guilty one marked.
    `memory` are lines read from the guest's memory, `blame_why` the evidence for the blame.
    `explained_s` and `took_s` count from the first witness: until it was explained, until all was
    kept. `signature` is the same for the same crash in every run.
    """

    number: int
    cause: Cause
    kind: str
    title: str
    signature: str
    folder: Path
    test: str = ""
    function: str = ""
    place: str = ""
    module: str = ""
    blame: Blame = Blame.UNDECIDED
    blame_why: str = ""
    witnesses: tuple[Witness, ...] = ()
    reports: tuple[KernelReport, ...] = ()
    last_lines: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    answered: str = ""
    vmcore: str = ""
    vmcore_note: str = ""
    reproduce: str = ""
    explained_s: float = 0.0
    took_s: float = 0.0

    @property
    def fatal(self) -> bool:
        """Whether the kernel stopped by this, as libvirt says or itself.

        Where another test has stopped it before it was taken away, that one's end is not counted.
        """
        ends = [one for one in self.reports if one.fatal]
        others = [one for one in ends if self._first_of(one).test not in {"", self.test}]
        if others:
            return len(others) < len(ends)
        return self.cause in {Cause.PANIC, Cause.GONE} or bool(ends)

    def _first_of(self, report: KernelReport) -> KernelReport:
        """Return the report that this one follows from, over however many; itself for none."""
        by_line = {one.line: one for one in self.reports}
        while report.follows is not None and report.follows in by_line:
            report = by_line[report.follows]
        return report


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a test that crashes the kernel on purpose has announced; "" is not compared.

    `place` is the end of file:line, as it stands in the report.
    """

    kind: str
    function: str = ""
    place: str = ""
    module: str = ""
    fatal: bool | None = None
