# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`kernel-test --debug-on-crash`: the terminal goes to a debugger at a panic, the guest alive.

When the debugger is quit the run goes on as after any crash: explained, the guest replaced, the
other tests run. The time in the debugger counts for nothing.
"""

import sys
import time

from harness.debugger import attach
from harness.debugger.attach import AttachRequest
from harness.errors import GuestCrashed, GuestGone, HarnessError, UsageError
from harness.host import debuggers
from harness.model.request import KernelTestRequest
from harness.runs.loaded_guest import LoadedGuest


def check(request: KernelTestRequest) -> None:
    """Return when a run can hand its terminal to a debugger, or is not to.

    Raises: UsageError without a terminal, or without the debugger.
    """
    if not request.debug_on_crash:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "--debug-on-crash hands the terminal to a debugger, and there is none",
            hint="run it on a terminal; elsewhere --keep, or vmcore-open RUN afterwards",
        )
    debuggers.choose(request.debug_on_crash)


def hand_over(loaded: LoadedGuest, error: HarnessError) -> float:
    """Give the terminal to a debugger on a guest that has died; return after it has left.

    Units: returns the seconds for which the debugger had it, 0 where none was asked for or the
    guest is gone. A debugger that cannot be had costs a note, not the run.
    """
    request, view = loaded.request, loaded.record.view
    alive = isinstance(error, GuestCrashed) and not isinstance(error, GuestGone)
    if not request.debug_on_crash or not alive:
        return 0.0
    loaded.session.health.settle()
    view.note(f"{error.message}: a debugger has the terminal, and the run goes on after it")
    asked = AttachRequest(
        settings=request.settings,
        environment=request.environment,
        debugger=request.debug_on_crash,
        kernel_name=request.kernel_name,
    )
    begun = time.monotonic()
    with view.aside():
        try:
            attach.attach_to(asked, loaded.session.entry, view.note)
        except HarnessError as problem:
            view.note(f"no debugger: {problem.message}")
    return time.monotonic() - begun
