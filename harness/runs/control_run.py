# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the tests, then repeat the test of each crash with undecided blame, without the module.

If the guest ends in the same way without the module, the kernel is at fault. If it does not crash,
the module is more likely to blame, which is no proof.
"""

from dataclasses import replace

from harness.crash import blame, crash_text
from harness.model.crash import Blame, Crash
from harness.model.listed import name_of
from harness.model.request import KernelTestRequest
from harness.model.settings import RunReport
from harness.report import run_report
from harness.report.live_view import LiveView
from harness.runs import kernel_test


def run(request: KernelTestRequest, view: LiveView) -> RunReport:
    """Run the tests and return the report, with the blame of crashes decided by control runs.

    When it is undecided whether the module or the kernel is to blame for a crash, its test is
    repeated without the module. A crash between tests stays undecided.
    Raises: the errors of `kernel_test.run`.
    """
    report = kernel_test.run(request, view)
    crashes = tuple(
        _decided(request, one, report, view) if one.blame is Blame.UNDECIDED and one.test else one
        for one in report.crashes
    )
    if crashes != report.crashes:
        report = replace(report, crashes=crashes)
        run_report.write(report)
    return report


def control_id(run_id: str, number: int) -> str:
    """Return the id of the control run for the `number`-th crash of the run `run_id`.

    A control run repeats the test of that crash, but without the module.
    """
    return f"{run_id}-control-{number}"


def _decided(request: KernelTestRequest, one: Crash, report: RunReport, view: LiveView) -> Crash:
    view.note(f"control run without the module: {one.test}")
    of_result = {result.name: result.suite for result in report.results}
    spec = next((s for s in request.suites if s.name == of_result.get(one.test)), None)
    name = one.test if spec is None else name_of(one.test, spec)
    # An expression of the run might leave this test out in the form in which it is named here.
    selection = replace(request.selection, expression="", tests=(name,), control=True)
    run_id = control_id(report.run_id, one.number)
    control = kernel_test.run(replace(request, selection=selection, run_id=run_id), view)
    decided = blame.controlled(one, control.crashes[0] if control.crashes else None)
    crash_text.write(decided, report.described)
    return decided
