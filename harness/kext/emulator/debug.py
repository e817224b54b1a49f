# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Show one thread of an emulated kext to lldb over KDP, as if it were a stopped kernel.

The thread is stopped before its first instruction. When the debugger continues the thread, it runs
to a breakpoint or to its end.
"""

from harness.errors import RuleBroken
from harness.kext.emulator.core import Core
from harness.kext.emulator.cpu import IMAGE_AT, RETURN_AT
from harness.kext.emulator.stopped import EXC_BAD_ACCESS, StoppedMachine
from harness.kext.emulator.threads import Thread
from harness.protocols.kdp.packets import ExceptionInfo

_KERNEL_CS = 8


class DebuggedThread(StoppedMachine):
    """One emulated thread that `harness.protocols.kdp.stub.StubServer` lets a debugger control."""

    banner = f"Darwin Kernel Version 24.4.0: emulated; stext={IMAGE_AT:#x}"

    def __init__(self, kernel: Core, thread: Thread) -> None:
        super().__init__(kernel.cpu.engine)
        self.kernel = kernel
        self.ended = False
        kernel.threads.current = thread
        kernel.cpu.begin(thread.entry, thread.arguments, thread.stack)
        kernel.cpu.set("cs", _KERNEL_CS)

    def emulate(self, *, step: bool) -> ExceptionInfo | None:
        """Run the thread to its next stop; return the Mach exception of a fault, None without one.

        With `step`, run one instruction only.
        """
        cpu = self.kernel.cpu
        cpu.trapped = False
        try:
            cpu.run(1 if step else 0)
        except RuleBroken:
            return ExceptionInfo(cpu=0, exception=EXC_BAD_ACCESS, code=1, subcode=0)
        self.ended = cpu.pc == RETURN_AT
        return None

    def has_trapped(self) -> bool:
        """Return whether the thread's last run ended at an int3 or another interrupt."""
        return self.kernel.cpu.trapped
