# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The history of nightly runs as values: nights, their cells, and the tests of each cell.

A cell is one combination of target, kernel, flavour and test set, or one build of the module.
Nothing here reads or writes. The judge and the page take these values.
"""

from dataclasses import dataclass
from typing import ClassVar

from harness.model.settings import Verdict

BAD = frozenset({Verdict.FAILED, Verdict.CRASHED})


@dataclass(frozen=True, kw_only=True)
class TestOnce:
    """The result of one test in one cell of one night.

    `verdict` is that of the first run. `reruns` are the verdicts of the same test in fresh guests,
    which were started because the first run was bad. They never replace the first verdict.
    """

    __test__: ClassVar[bool] = False

    suite: str
    name: str
    verdict: Verdict
    duration_s: float
    reason: str = ""
    reruns: tuple[Verdict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CrashOnce:
    """One crash of the guest in one cell of one night; `test` is "" for a crash between tests."""

    signature: str
    title: str
    test: str = ""


@dataclass(frozen=True, kw_only=True)
class LostTry:
    """A start of a cell that ended without a result, because its worker or its process was lost.

    `worker` is the name of the machine, "" for the machine that then ran the cell.
    """

    worker: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line that a night's report offers, and its purpose, such as "repeat it"."""

    purpose: str
    line: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a run found out about a failed test, or about the end of a cell, for a night's report.

    `test` is "" for a crash between tests, and for a cell that failed before its tests. `source`
    are the source lines around `place`. `console` has up to 40 lines: of a crash the kernel's
    report or the last console lines, of a test its diagnostics, of a cell the output of what
    failed. `why` is the sentence that says who is to blame for a crash, or a hint on the failure
    of a cell.
    """

    test: str
    title: str
    place: str = ""
    why: str = ""
    source: tuple[str, ...] = ()
    console: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CellOnce:
    """One cell of the matrix in one night: what was tested, and what came out.

    `cell` is an id that stays the same from night to night. `kernel` is the kernel's name in the
    configuration, and `kernel_version` the version of its package in that night. `ended_in` is the
    stage in which a cell without test results ended, such as "build". `lost_tries` are the tries
    on workers that were lost, before the cell was run again elsewhere. `evidence` is only there in
    the nights that a page explains. "" and None stand for unknown values.
    """

    cell: str
    target: str
    kernel: str
    kernel_version: str
    commit: str
    verdict: Verdict
    reason: str = ""
    ended_in: str = ""
    architecture: str = ""
    flavour: str = ""
    test_set: str = ""
    worker: str = ""
    run: str = ""
    duration_s: float = 0.0
    boot_s: float | None = None
    coverage_percent: float | None = None
    tests: tuple[TestOnce, ...] = ()
    crashes: tuple[CrashOnce, ...] = ()
    warnings: tuple[str, ...] = ()
    lost_tries: tuple[LostTry, ...] = ()
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Night:
    """One night: its cells, and the cells that did not fit into its time.

    `name` is the night's date or another text that sorts by time; `started_at` is UTC, ISO 8601.
    `left_over` has one line for each cell that was left to the next night, with the reason.
    """

    name: str
    started_at: str
    duration_s: float
    cells: tuple[CellOnce, ...]
    left_over: tuple[str, ...] = ()
