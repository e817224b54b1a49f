# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values of a night: its cells, which of them were planned, and how each of them ended.

A cell is one combination of target, kernel, flavour and test set, or one build of the module.
`database` writes these values and reads them back. Times are UTC, ISO 8601.
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar

from harness.model.crash import Crash
from harness.model.nights import PLAIN
from harness.model.settings import Accel, TestResult, Verdict
from harness.nightly.judge.nights import LostTry
from harness.panic.values import KernelReport


class CellKind(Enum):
    """What a cell of the nightly matrix does: run tests in a guest, or only build the module."""

    TEST = "test"
    BUILD = "build"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the nightly matrix.

    Cells do not depend on each other, and are the same every night. `kernel` and `target` are
    names of the configuration, `tests` is the name of a test set, and `module` is the module's
    name. A cell of the kind BUILD has no target, image or tests. A `flavour` names further words
    for the kernel's command line; PLAIN stands for none.
    """

    kind: CellKind
    kernel: str
    arch: str
    module: str
    target: str = ""
    flavour: str = PLAIN
    image: str = ""
    tests: str = ""

    @property
    def id(self) -> str:
        """The cell's id, the same in every night: its kind and names, joined by slashes."""
        if self.kind is CellKind.BUILD:
            return f"build/{self.kernel}/{self.arch}/{self.module}"
        parts = (self.target, self.kernel, self.flavour, self.arch, self.tests, self.module)
        return "/".join(("test", *parts))

    @property
    def file_name(self) -> str:
        """The cell's id, changed so that it can be the name of a file."""
        return self.id.replace("/", "+")


@dataclass(frozen=True, kw_only=True)
class Night:
    """One night: when it ran, and of which commit.

    `ended_at` is "" while the night runs, and for a night that was killed. `form` is "full" or
    "short". An `imported` night stands for the runs of one day that were made before there was a
    history. `host` is the name of the machine.
    """

    id: str
    started_at: str
    ended_at: str = ""
    commit: str = ""
    tree_changed: bool = False
    form: str = "full"
    imported: bool = False
    host: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell in the plan of one night.

    `position` counts from 0 in the order of starting. `expected_s` is the number of seconds that
    the cell takes, estimated from earlier nights. `left_out` is the reason why the cell does not
    run in this night, "" for a cell that runs. `command` is the command line that runs the cell
    alone.
    """

    cell: Cell
    position: int
    expected_s: float
    left_out: str = ""
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """The result of one cell in one night.

    `night` and `cell` are ids. `attempt` 0 is the first verdict, which stands; the others are
    repetitions in fresh guests. `starts` counts how often the attempt was started: more than once
    when a process was killed. `folder` is the run's folder and `log` what the command printed;
    both may be gone when an old result is read. `measures` are numbers by names that end in their
    unit: boot_s or restore_s, module_bytes, and stage_NAME_s for each stage. `warnings` are
    reports of the kernel outside of crashes. `worker` is the machine on which the cell ran, and
    `lost_tries` are the workers that were lost before. A result that was read has tests without
    reports.
    """

    night: str
    cell: str
    run_id: str
    verdict: Verdict
    reason: str
    started_at: str
    duration_s: float
    attempt: int = 0
    starts: int = 1
    commit: str = ""
    tree_changed: bool = False
    kernel_release: str = ""
    kernel_version: str = ""
    accel: Accel = Accel.TCG
    folder: Path = Path()
    log: Path = Path()
    command: str = ""
    hint: str = ""
    evidence: tuple[str, ...] = ()
    tests: tuple[TestResult, ...] = ()
    crashes: tuple[Crash, ...] = ()
    warnings: tuple[KernelReport, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    worker: str = ""
    lost_tries: tuple[LostTry, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CellPoint:
    """The result of one cell in one night, without its tests, for the history of the cell.

    `attempt` 0 is the first run, others are repetitions. `warnings` are the titles of the kernel's
    reports, and `signatures` name the crashes.
    """

    night: str
    cell: str
    attempt: int
    verdict: Verdict
    reason: str
    duration_s: float
    commit: str
    tree_changed: bool
    kernel_release: str
    kernel_version: str
    warnings: tuple[str, ...]
    signatures: tuple[str, ...]
    measures: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class TestPoint:
    """The verdict of one test in one result of a cell, for the history of the test."""

    __test__: ClassVar[bool] = False

    night: str
    cell: str
    attempt: int
    suite: str
    name: str
    verdict: Verdict
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class Start:
    """The record that a cell's process was started, so that starts without a result are noticed.

    `run_id` is the name of the run's folder, in which the report appears.
    """

    night: str
    cell: str
    attempt: int
    number: int
    run_id: str
    started_at: str


def missing_run(night_id: str, cell_id: str) -> str:
    """Return the run id of the placeholder for a cell whose result has not arrived."""
    return f"{night_id}+{cell_id}+missing"
