# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`kernel-test --debug-on-crash`: give the terminal to a debugger when the guest panics or hangs.

After the debugger quits, the run continues as after any crash: the crash is explained, the guest
replaced, and the other tests run. Time in the debugger does not count against any deadline.
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
    """Check that a run with --debug-on-crash has a terminal and an installed debugger.

    Raises: UsageError without a terminal, or without the debugger.
    """
    if not request.debug_on_crash:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "--debug-on-crash needs a terminal to give to a debugger, and there is none",
            hint="run it on a terminal; elsewhere use --keep, or vmcore-open RUN afterwards",
        )
    debuggers.choose(request.debug_on_crash)


def hand_over(loaded: LoadedGuest, error: HarnessError) -> float:
    """Give the terminal to a debugger on a guest that has died; return when the debugger quits.

    Units: returns the seconds in the debugger; 0 if none was requested, if the error is no crash
        or hang, and if the guest is gone. If the debugger cannot start, a note says so, and the
        run continues.
    """
    request, view = loaded.request, loaded.record.view
    alive = isinstance(error, GuestCrashed) and not isinstance(error, GuestGone)
    if not request.debug_on_crash or not alive:
        return 0.0
    # The debugger stops the guest, so the panic's last lines must arrive before.
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
