# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the module for a kernel that no guest boots, and leave the report of a run.

The build is the only test of such a run. So a night, CI and history treat it as they treat others.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime

from harness.artefacts import build_matrix, requested
from harness.artefacts.build_matrix import Row
from harness.guest import registry
from harness.model.request import KernelTestRequest
from harness.model.settings import Accel, RunReport, StageResult, TestResult, Verdict
from harness.report import kcidb, run_folders, run_report
from harness.report.live_view import LiveView
from harness.runs import provenance

_NAME = "build"


def run(request: KernelTestRequest, kernel: str, view: LiveView) -> RunReport:
    """Build the module for a kernel of [tool.harness.builds] and write a run's files.

    Return the run's report, whose only test is the build.
    Raises: UsageError for a run id that exists; Lost when the disk is full.
    """
    run_id = request.run_id or registry.new_run_id()
    folder = run_folders.create(request.runs, run_id)
    started_at = datetime.now(UTC).isoformat("T", "seconds")
    known = provenance.of_project(request.settings.root, request.selection)
    begun = time.monotonic()
    view.stage(_NAME)
    row = build_matrix.build_one(request.settings, kernel, request.environment, view.note)
    took_s = round(time.monotonic() - begun, 2)
    if row.module is not None:
        requested.keep_modules((row.module,), folder / requested.MODULES)
    result = _result(row, took_s)
    report = RunReport(
        run_id=run_id,
        target=kernel,
        verdict=result.verdict,
        reason=result.reason or "the module was built",
        # No guest runs, so nothing is emulated.
        accel=Accel.OWN,
        deadline_factor=1.0,
        started_at=started_at,
        duration_s=took_s,
        folder=folder,
        stages=(StageResult(name=_NAME, duration_s=took_s),),
        results=(result,),
        provenance=replace(
            known, kernel=kernel, kernel_release=row.release, kernel_version=row.version
        ),
        hint=row.error.hint if row.error else "",
        evidence=row.error.evidence if row.error else (),
    )
    run_report.write(report)
    kcidb.write(report)
    return report


def _result(row: Row, took_s: float) -> TestResult:
    """Return the build of the module as the result of a test.

    It has failed when the module does not compile. It is lost when the build could not be tried,
    for example because the kernel's headers could not be fetched.
    """
    error = row.error
    verdict = Verdict.PASSED
    if error is not None:
        failed = error.exit_code == Verdict.FAILED.exit_code
        verdict = Verdict.FAILED if failed else Verdict.LOST
    return TestResult(
        name=_NAME,
        suite=_NAME,
        verdict=verdict,
        duration_s=took_s,
        reason=error.message if error else "",
        diagnostics=error.evidence if error else (),
    )
