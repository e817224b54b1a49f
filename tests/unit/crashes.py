# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Kernel reports and crashes that several tests use as their input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.model.crash import Cause, Crash
from harness.model.provenance import Provenance
from harness.model.settings import Accel, RunReport, TestResult, Verdict
from harness.panic.values import Frame, KernelReport, Stack

OURS = Frame(function="osq_break", offset=5, size=32, module="osq", place="break.c:7")
THEIRS = Frame(function="vfs_write", offset=16, size=64, place="fs/read_write.c:584")


def report(**fields: Any) -> KernelReport:
    """Return a NULL dereference in our module, changed by `fields`."""
    base = KernelReport(
        kind="null-deref",
        title="BUG: unable to handle kernel NULL pointer dereference in osq_break",
        line=40,
        text=("BUG: kernel NULL pointer dereference", " osq_break+0x5/0x20 [osq]"),
        fatal=True,
        test="t::one",
        function="osq_break",
        module="osq",
        place="break.c:7",
        task="sh",
        pid=7,
        cpu=1,
        stacks=(Stack(name="", frames=(OURS, THEIRS)),),
    )
    return replace(base, **fields)


def crash(folder: Path = Path("build/runs/run-1/crashes/1"), **fields: Any) -> Crash:
    """Return the crash of the NULL dereference in our module, changed by `fields`."""
    base = Crash(
        number=1,
        cause=Cause.PANIC,
        kind="null-deref",
        title=report().title,
        signature="0123456789ab",
        folder=folder,
        test="t::one",
        function="osq_break",
        place="break.c:7",
        module="osq",
        reports=(report(),),
        reproduce="modlab kernel-test -k one",
    )
    return replace(base, **fields)


def report_of(folder: Path, **fields: Any) -> RunReport:
    """Return the report of a run in which that crash happened, changed by `fields`."""
    base = RunReport(
        run_id=folder.name,
        target="debian-12",
        verdict=Verdict.CRASHED,
        reason="t::one crashed",
        accel=Accel.TCG,
        deadline_factor=4.0,
        started_at="2026-11-25T10:00:00+00:00",
        duration_s=12.0,
        folder=folder,
        results=(TestResult(name="t::one", suite="guest", verdict=Verdict.CRASHED),),
        crashes=(crash(folder / "crashes" / "1"),),
        provenance=Provenance(expression="one", kernel="6.1", kernel_release="6.1.0-50"),
    )
    return replace(base, **fields)
