# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A guest's crash as a value: who noticed it, what it was, in whose code, and during which test.

The package `crash` collects the values and writes them as text. Nothing here reads or writes.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.panic.values import KernelReport

# The folder of a run that holds one folder for each crash.
CRASHES = "crashes"
# The dump of a guest's memory in the folder of a crash, and the form in which QEMU writes it.
VMCORE = "vmcore.zst"
RAW_VMCORE = "vmcore.raw"


class Cause(Enum):
    """How a guest's crash was noticed; the error that ended the test or the guest decides.

    PANIC: the kernel died. REPORT: the kernel reported a fault and continues. HANG: the kernel
    runs and does not answer. OVERDUE: a test did not end, and the kernel works. GONE: the guest
    switched itself off or restarted. QEMU: the guest's QEMU ended. UNREACHABLE: anything else,
    such as a guest that cannot be reached.
    """

    PANIC = "panic"
    REPORT = "report"
    HANG = "hang"
    OVERDUE = "overdue"
    GONE = "gone"
    QEMU = "qemu"
    UNREACHABLE = "unreachable"


class Blame(Enum):
    """Who is at fault for a crash according to the evidence.

    It is the module under test, the rest of the kernel, or the harness (with its host, QEMU and
    the connection to the guest); UNDECIDED when the evidence names nobody.
    """

    MODULE = "module"
    KERNEL = "kernel"
    HARNESS = "harness"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What one source of evidence for a crash, such as the console or QEMU, reported.

    `after_s` counts seconds since the first source reported this crash.
    """

    name: str
    after_s: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Crash:
    """One crash of a guest, or one fault that its kernel survived, with all evidence.

    `number` counts from 1 in a run. `test` is the test that was running, "" between tests.
    `title`, `function`, `place` and `module` come from the first kernel report, or from the stack
    that explains a hang. `vmcore` is the name of the memory dump in `folder`, "" when there is
    none; `vmcore_note` is its size, or the reason why there is none. `answered` is the channel
    over which a hanging guest still answered: "ssh", "serial", "nmi", or "" for none. `source`
    holds the source lines around `place`, with the faulting one marked. `memory` holds lines that
    were read from the guest's memory. `blame_why` is the evidence for `blame`. `explained_s` and
    `took_s` are the seconds from the first sign of the crash until the crash was explained, and
    until everything was saved. `signature` is the same for the same crash in every run.
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
        """Whether the guest's kernel stopped because of this crash.

        It did when the crash is a panic or the guest's end (`cause`), or when a report of the
        crash is fatal. When all fatal reports were caused by other tests, this crash is not fatal.
        """
        ends = [one for one in self.reports if one.fatal]
        others = [one for one in ends if self.is_of_later_test(one)]
        if others:
            return len(others) < len(ends)
        return self.cause in {Cause.PANIC, Cause.GONE} or bool(ends)

    def is_of_later_test(self, report: KernelReport) -> bool:
        """Return whether a later test caused a kernel report, which is then no part of this crash.

        What counts is the test of the report from which this report follows in the end.
        """
        return self._first_of(report).test not in {"", self.test}

    def _first_of(self, report: KernelReport) -> KernelReport:
        """Return the report from which a report follows in the end, or the report itself.

        A report `follows` another one when it is a consequence of it.
        """
        by_line = {one.line: one for one in self.reports}
        while report.follows is not None and report.follows in by_line:
            report = by_line[report.follows]
        return report


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The crash that a test announces because the test causes it on purpose.

    It gives the crash's kind, function, place and module, and whether the kernel dies. A field
    that is "" or None is not compared with the crash that happens. `place` is compared with the
    end of the report's FILE:LINE.
    """

    kind: str
    function: str = ""
    place: str = ""
    module: str = ""
    fatal: bool | None = None
