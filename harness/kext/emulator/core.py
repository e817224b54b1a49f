# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The state that the models of XNU's functions share: processor, threads, and given objects."""

from collections.abc import Callable

from harness.kext.emulator.arch import Arch
from harness.kext.emulator.cpu import Cpu
from harness.kext.emulator.state import Socket, State
from harness.kext.emulator.threads import Process, Scheduler, Thread

_FIRST_PID = 100


# The attributes of a file under the names that stat uses; times are seconds and nanoseconds.
File = dict[str, int | tuple[int, int]]


class Core:
    """The state of an emulated kernel: processor, threads, processes, files, sockets, log.

    `on_function` is called with the name of each kernel function that the kext calls, `on_end`
    with each thread that has returned from the kext.
    """

    def __init__(
        self, on_function: Callable[[str], None], on_end: Callable[[Thread], None], arch: Arch
    ) -> None:
        self.cpu = Cpu(on_function, arch)
        self.threads = Scheduler(self.cpu, on_end)
        self.state = State()
        self.log: list[str] = []
        self.sleeping: dict[str, int] = {}
        self.signalled: set[str] = set()
        self.living: dict[int, Process] = {}
        self.files: dict[int, File] = {}
        self.sockets: dict[int, Socket] = {}
        self.background: list[Callable[[], None]] = []
        self.kernel_task = self.cpu.opaque()
        self.next_pid = _FIRST_PID
        self.nobody = self.new_process(pid=0, ppid=0, uid=0, task=self.kernel_task)

    def new_process(self, *, pid: int, ppid: int, uid: int, task: int) -> Process:
        """Return an emulated process with a new credential; the caller adds it to `living`."""
        credential = self.cpu.opaque()
        return Process(pid=pid, ppid=ppid, uid=uid, task=task, credential=credential)

    def begin(self, name: str, process: Process, entry: int, arguments: tuple[int, ...]) -> Thread:
        """Return a new thread of a process that will call the kext's function at `entry`."""
        number = self.threads.begun
        return self.threads.new(f"{name} (thread {number})", process, entry, arguments)
