# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An emulated kernel with one kext: it loads, starts, calls and stops it, and reports leaks."""

import struct
from collections import Counter

from harness.errors import RuleBroken
from harness.kext import macho
from harness.kext.emulator import kpi_bsd, kpi_io, kpi_kernel, kpi_sockets
from harness.kext.emulator.arch import ARCHES
from harness.kext.emulator.core import Core, File
from harness.kext.emulator.cpu import IMAGE_AT
from harness.kext.emulator.registry import MODELS, Kpi
from harness.kext.emulator.state import Listener
from harness.kext.emulator.threads import Process, Status, Thread

# Importing these modules registers the models of kernel functions in them.
MODEL_MODULES = (kpi_kernel, kpi_io, kpi_bsd, kpi_sockets)
_VARIABLES = ("_kernel_task", "_page_size", "___stack_chk_guard")
# The canary of the stack protector; an overrunning string function cannot write its zero byte.
_GUARD = 0x00C0FFEE5AFE0000
# The offsets of these fields in struct kmod_info.
_START, _STOP = 180, 188
_ADDRESS = struct.Struct("<2Q")
_KMOD_ADDRESS = 156


class Kernel(Core):
    """One boot of the emulated kernel with one kext, from its start routine to its unloading.

    `calls` counts the calls of each kernel function. `fail` makes one call fail: it is the name of
    the function and the number of the call.
    """

    def __init__(self, binary: bytes) -> None:
        self._file = macho.parse(binary)
        arch = ARCHES[self._file.header.cpu_type]
        super().__init__(self._on_function, self._on_end, arch)
        self.calls: Counter[str] = Counter()
        self.fail: tuple[str, int] | None = None
        self.failed = False
        self._texts: dict[str, int] = {}
        values = (self.kernel_task, arch.page_bytes, _GUARD)
        variables = dict(zip(_VARIABLES, values, strict=True))
        self.cpu.load(self._file, set(MODELS), variables)
        self._info = self.cpu.symbol("kmod_info")
        image_bytes = max(one.address + one.size_bytes for one in self._file.segments)
        # The linker leaves the image's address and size in kmod_info empty; the loader fills them
        # in.
        place = _ADDRESS.pack(IMAGE_AT, image_bytes)
        self.cpu.write(self._info + _KMOD_ADDRESS, place)

    # --- the loader ------------------------------------------------------------------------------

    def start(self) -> int:
        """Call the kext's start routine and return its result, 0 for success.

        Raises: RuleBroken for a broken rule of XNU, or when start fails and leaves an object.
        """
        result = self.call("start", self.nobody, self._entry(_START), (self._info, 0))
        if result:
            self._expect_nothing("a failed start")
        return result

    def stop(self) -> int:
        """Call the kext's stop routine and return its result, 0 for success.

        The image stays mapped until `unload`.
        Raises: RuleBroken for a broken rule of XNU, or when stop succeeds and leaves an object or
            a thread inside the kext.
        """
        result = self.call("stop", self.nobody, self._entry(_STOP), (self._info, 0))
        if not result:
            self._expect_nothing("stop")
            inside = [one.name for one in self.threads.alive()]
            if inside:
                raise RuleBroken(f"unloaded while still inside: {', '.join(inside)}")
        return result

    def unload(self) -> None:
        """Unmap the kext's image; call this after the kext's stop routine has succeeded."""
        self.cpu.unload()

    def _entry(self, offset: int) -> int:
        return int.from_bytes(self.cpu.read(self._info + offset, 8), "little")

    def _expect_nothing(self, after: str) -> None:
        left = self.state.left()
        if left:
            raise RuleBroken(f"left after {after}: {'; '.join(left)}")

    # --- processes and files ---------------------------------------------------------------------

    def process(self, *, uid: int = 0, parent: Process | None = None) -> Process:
        """Create a process of the emulated kernel and return it."""
        self.next_pid += 1
        ppid = parent.pid if parent else 1
        found = self.new_process(pid=self.next_pid, ppid=ppid, uid=uid, task=self.cpu.opaque())
        self.living[found.pid] = found
        return found

    def executed(self, process: Process) -> Process:
        """Let a process exec, and return its new value.

        The process id stays, task and credential are new ones.
        """
        found = self.new_process(
            pid=process.pid, ppid=process.ppid, uid=process.uid, task=self.cpu.opaque()
        )
        self.living[found.pid] = found
        return found

    def end(self, process: Process) -> None:
        """End a process; afterwards no process has its id."""
        del self.living[process.pid]

    def file(self, *, number: int = 77) -> int:
        """Create an executable file of root, and return the address that stands for its vnode.

        `number` is the inode number.
        """
        vnode = self.cpu.opaque()
        times = ((1000, 1), (2000, 2), (3000, 3))
        self.files[vnode] = File(
            uid=0,
            gid=0,
            mode=0o100755,
            atime=times[0],
            mtime=times[1],
            ctime=times[2],
            fileid=number,
            fsid=0x0100000A,
        )
        return vnode

    def put_text(self, text: str) -> int:
        """Store a NUL-terminated text in the kernel's memory, once, and return its address."""
        if text not in self._texts:
            data = text.encode() + b"\0"
            self._texts[text] = self.cpu.allocate(len(data))
            self.cpu.write(self._texts[text], data)
        return self._texts[text]

    def user_memory(self, process: Process, address: int, size_bytes: int) -> bytes:
        """Return what an emulated process reads from memory that the kext mapped into it.

        Raises: RuleBroken where nothing is mapped; a real process would be killed there.
        """
        for one in self.state.objects.values():
            if one.kind == "map" and one.task == process.task and one.shared:
                offset, size = address - one.address, one.shared.size_bytes
                if 0 <= offset <= one.times * size - size_bytes:
                    twice = bytes(one.shared.memory) * one.times
                    return twice[offset : offset + size_bytes]
        raise RuleBroken(f"process {process.pid} reads {address:#x}, where nothing is mapped")

    # --- calls -----------------------------------------------------------------------------------

    def call(self, name: str, process: Process, entry: int, arguments: tuple[int, ...]) -> int:
        """Run the kext's function at `entry` on a new thread, and return its signed 32-bit result.

        Raises: RuleBroken when the kext breaks a rule of XNU.
        """
        result = self.threads.finish(self.begin(name, process, entry, arguments))
        return signed(result)

    def listeners(self, scope: str) -> list[Listener]:
        """Return the kext's listeners of one kauth scope, such as "com.apple.kauth.fileop"."""
        return [one for one in self.state.listeners.values() if one.scope == scope]

    def begin_callback(
        self, listener: Listener, process: Process, action: int, *arguments: int
    ) -> Thread:
        """Return a thread of a process that will call a kauth listener of the kext.

        The thread does not run yet. `action` and `arguments` are those that XNU passes to a
        listener.
        """
        values = (process.credential, listener.data, action, *arguments)
        return self.begin("callback", process, listener.callback, values)

    def fire(self, scope: str, process: Process, action: int, *arguments: int) -> None:
        """Call every listener that the kext has for a kauth scope, on threads of `process`.

        Raises: RuleBroken for an answer other than KAUTH_RESULT_DEFER, or a broken rule of XNU.
        """
        for listener in self.listeners(scope):
            thread = self.begin_callback(listener, process, action, *arguments)
            answer = signed(self.threads.finish(thread))
            if answer != kpi_bsd.DEFER:
                raise RuleBroken(f"a listener returns {answer}, which decides for others")

    def pass_time(self, duration_ns: int) -> None:
        """Advance the simulated clock, then do what kernel threads do, such as filter cleanup.

        Raises: RuleBroken when the kext breaks a rule of XNU.
        """
        self.threads.sleep(duration_ns)
        while self.background:
            self.background.pop(0)()

    def signal(self, thread: Thread) -> None:
        """Mark a signal as pending for a thread; it interrupts an msleep with PCATCH."""
        self.signalled.add(thread.name)

    # --- what the kext calls ---------------------------------------------------------------------

    def _on_function(self, name: str) -> None:
        """Run the model of the kernel function that the kext called.

        Unicorn calls this at the function's address. An exception of the model ends the
        processor's `run`.
        """
        self._model(MODELS[name])

    def _model(self, one: Kpi) -> None:
        thread = self.threads.running()
        self.calls[one.name] += 1
        if one.sleeps and thread.spins:
            raise RuleBroken(f"{thread.name} calls {one.name}, which may sleep, in a spin lock")
        if self.fail == (one.name, self.calls[one.name]) and one.failure is not None:
            self.failed = True
            result: int | None = one.failure
        else:
            result = one.model(self, *(self._argument(one, n) for n in range(one.arity)))
        if result is not None:
            self.cpu.set_result(result)
        self.threads.called()

    def _argument(self, one: Kpi, number: int) -> int:
        value = self.cpu.argument(number, fixed=one.arity if one.fixed is None else one.fixed)
        return value & 0xFFFFFFFF if one.name in _NARROW.get(number, ()) else value

    def _on_end(self, thread: Thread) -> None:
        held = thread.spins + thread.mutexes
        if held:
            raise RuleBroken(f"{thread.name} returns with {len(held)} locks held")


# For these arguments of 32 bits, by position, the upper half of the register is undefined.
_NARROW = {
    0: {"_cdevsw_add", "_cdevsw_remove", "_IOSleep", "_devfs_make_node", "_proc_find"},
    1: {"_sflt_register"},
    2: {"_msleep", "_sflt_register"},
    3: {"_sflt_register"},
    4: {"_devfs_make_node"},
}


def signed(value: int) -> int:
    """Return the low 32 bits of a value as a signed number."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def is_waiting(thread: Thread) -> bool:
    """Return whether an emulated thread waits for a lock, a wakeup or a time."""
    return thread.status is Status.WAITING
