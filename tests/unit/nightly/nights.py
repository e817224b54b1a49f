# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Values of nights for tests: a cell, a night, and a result with every part."""

from dataclasses import replace
from pathlib import Path

from harness.model.crash import Cause, Crash
from harness.model.settings import Accel, TestResult, Verdict
from harness.nightly.values import Cell, CellKind, CellResult, Night, PlannedCell
from harness.panic.values import Frame, KernelReport, Stack

CELL = Cell(
    kind=CellKind.TEST,
    target="debian-12",
    kernel="6.1",
    arch="x86_64",
    image="debian-12",
    tests="guest",
    module="greeter",
)
NIGHT = Night(
    id="20260101-220000-aaaa",
    started_at="2026-01-01T22:00:00+00:00",
    commit="f" * 40,
    host="tiger",
)
PLANNED = PlannedCell(cell=CELL, position=0, expected_s=60.0, command="modlab kernel-test")
REPORT = KernelReport(
    kind="warning",
    title="WARNING in greeter_write",
    line=7,
    text=("WARNING: CPU: 0", "Call Trace:"),
    stacks=(Stack(name="", frames=(Frame(function="greeter_write", offset=4, size=32),)),),
)
CRASH = Crash(
    number=1,
    cause=Cause.PANIC,
    kind="null-deref",
    title="NULL pointer dereference in greeter_read",
    signature="abcdef012345",
    folder=Path("/runs/one/crashes/1"),
    test="guest::test_read",
    reports=(replace(REPORT, fatal=True),),
)
RESULT = CellResult(
    night=NIGHT.id,
    cell=CELL.id,
    run_id="20260101-220001-bbbb",
    verdict=Verdict.CRASHED,
    reason="NULL pointer dereference in greeter_read",
    started_at="2026-01-01T22:00:01+00:00",
    duration_s=61.5,
    starts=2,
    commit="f" * 40,
    tree_changed=True,
    kernel_release="6.1.0-49-cloud-amd64",
    kernel_version="6.1.174-1",
    accel=Accel.KVM,
    folder=Path("/runs/one"),
    log=Path("/nightly/one.log"),
    command="modlab kernel-test",
    hint="look",
    evidence=("the last line",),
    tests=(
        TestResult(name="test_open", suite="guest", verdict=Verdict.PASSED, duration_s=0.5),
        TestResult(
            name="test_read",
            suite="guest",
            verdict=Verdict.CRASHED,
            reason="it crashed",
            diagnostics=("a line",),
        ),
    ),
    crashes=(CRASH,),
    warnings=(REPORT,),
    measures={"boot_s": 2.5, "module_bytes": 4096.0},
)
