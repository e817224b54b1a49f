# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Steps that scenarios share: start and stop the kext, own its device, run programs."""

from collections.abc import Callable

from harness.kext.emulator.kernel import Kernel
from harness.kext.emulator.threads import Process, Thread
from tests.kext.osq import Client
from tests.shared import protocol
from tests.shared.client import Refused
from tests.shared.protocol import PATH_AT, Record

Boot = Callable[[], Kernel]
FILEOP = "com.apple.kauth.fileop"
# KAUTH_FILEOP_EXEC, the action that kauth reports for an exec.
EXEC_ACTION = 6
# The grace period of kernel/os/macos/gate.c, for which the kext refuses to stop.
GRACE_NS = 3_000_000_000
KERN_SUCCESS, KERN_FAILURE = 0, 5
# Flags for fields that kauth does not report: PARTIAL_ARGV (arguments), NO_CWD and NO_MNT_NS.
EXEC_FLAGS = 0x0004 | 0x0080 | 0x0100


def start_kext(boot: Boot) -> Kernel:
    """Boot a kernel, start the kext, and return the kernel."""
    kernel = boot()
    assert kernel.start() == KERN_SUCCESS
    return kernel


def stop_kext(kernel: Kernel) -> None:
    """Wait for the grace period, stop the kext and unmap its image."""
    kernel.pass_time(GRACE_NS)
    assert kernel.stop() == KERN_SUCCESS
    kernel.unload()


def refused(call: Callable[[], object]) -> int:
    """Return the error number of a call, which must be refused."""
    try:
        call()
    except Refused as error:
        return error.error
    raise AssertionError("the call was not refused")


def run_program(kernel: Kernel, path: str = "/bin/ls", process: Process | None = None) -> Process:
    """Report to every kauth listener that a process runs a program; return the process."""
    who = process or kernel.process(uid=0)
    kernel.fire(FILEOP, who, EXEC_ACTION, kernel.file(), kernel.put_text(path), 0, 0)
    return who


def begin_exec(kernel: Kernel, path: str = "/bin/ls") -> Thread:
    """Return a thread that will report an exec to the listener."""
    (listener,) = kernel.listeners(FILEOP)
    path_at = kernel.put_text(path)
    who = kernel.process()
    return kernel.begin_callback(listener, who, EXEC_ACTION, kernel.file(), path_at, 0, 0)


def owner(kernel: Kernel, ring_bytes: int | None = None) -> Client:
    """Return a client with a ring and a subscription to execs."""
    client = Client.open(kernel)
    client.allocate(ring_bytes)
    client.subscribe()
    return client


def paths(records: list[Record]) -> list[str]:
    """Return the path of every exec record."""
    return [one.span(PATH_AT).decode() for one in records if one.kind == protocol.EXEC]
