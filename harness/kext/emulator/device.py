# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Open, ioctl and close of the kext's device by emulated processes, as XNU's specfs does them.

The kext's open function is called for each open, its close function only for the last descriptor
of the device node.
Source: xnu-11417.101.15, bsd/miscfs/specfs/spec_vnops.c, bsd/kern/sys_generic.c.
"""

from dataclasses import dataclass, field

from harness.errors import RuleBroken
from harness.kext.emulator.kernel import Kernel, signed
from harness.kext.emulator.state import Node
from harness.kext.emulator.threads import Process, Thread

IOC_OUT, IOC_IN = 0x40000000, 0x80000000
_PARAMETER_MAX_BYTES = 0x1FFF
# The offsets of the functions in struct cdevsw.
_OPEN, _CLOSE, _IOCTL = 0, 8, 32
_READ_WRITE, _CHARACTER = 3, 0o020000


def command(direction: int, group: str, number: int, size_bytes: int) -> int:
    """Return the number of an ioctl, computed as _IOR and _IOW of <sys/ioccom.h> do."""
    return direction | size_bytes << 16 | ord(group) << 8 | number


@dataclass
class Descriptor:
    """An open file of the kext's device, and the ids of the processes that have it open."""

    holders: set[int] = field(default_factory=set)


@dataclass
class Call:
    """An ioctl that has begun: its emulated thread, and the kernel address of its argument."""

    thread: Thread
    command: int
    buffer: int
    size_bytes: int


class Device:
    """The kext's device in /dev, used by emulated processes: its node and its open descriptors."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._open: list[Descriptor] = []

    @property
    def node(self) -> Node:
        """The kext's device node in /dev.

        Raises: RuleBroken unless the kext has exactly one.
        """
        nodes = list(self.kernel.state.nodes.values())
        if len(nodes) != 1:
            raise RuleBroken(f"there are {len(nodes)} nodes below /dev instead of one")
        return nodes[0]

    def open(self, process: Process) -> tuple[int, Descriptor | None]:
        """Open the device; return the kext's errno, and a descriptor when it is 0."""
        node = self.node
        arguments = (node.device, _READ_WRITE, _CHARACTER, process.credential)
        error = self._call("open", process, _OPEN, arguments)
        if error:
            return error, None
        descriptor = Descriptor(holders={process.pid})
        self._open.append(descriptor)
        return 0, descriptor

    def close(self, process: Process, descriptor: Descriptor) -> None:
        """Close a process's descriptor; after the last one, call the kext's close function.

        Raises: RuleBroken when that function fails.
        """
        descriptor.holders.remove(process.pid)
        self._open = [one for one in self._open if one.holders]
        if not self._open:
            arguments = (self.node.device, _READ_WRITE, _CHARACTER, process.credential)
            error = self._call("close", process, _CLOSE, arguments)
            if error:
                raise RuleBroken(f"close failed with error {error}")

    def ioctl(
        self, process: Process, number: int, data: bytes = b"", *, flags: int = 0
    ) -> tuple[int, bytes]:
        """Run an ioctl on the kext; return its errno, and its argument's content afterwards."""
        call = self.begin_ioctl(process, number, data, flags=flags)
        self.kernel.threads.finish(call.thread)
        return self.end_ioctl(call)

    def begin_ioctl(
        self, process: Process, number: int, data: bytes = b"", *, flags: int = 0
    ) -> Call:
        """Begin an ioctl without running it; the caller runs its thread with the scheduler.

        The ioctl's argument in the kernel is a copy of `data` if `number` has IOC_IN, else zeros.
        Raises: ValueError when `data` has another size than `number` says.
        """
        size = number >> 16 & _PARAMETER_MAX_BYTES
        buffer = self.kernel.cpu.allocate(max(size, 8))
        content = data if number & IOC_IN else bytes(size)
        if len(content) != size:
            raise ValueError(
                f"the ioctl's argument has {size} bytes, but {len(content)} were given"
            )
        self.kernel.cpu.write(buffer, content)
        arguments = (self.node.device, number, buffer, flags | _READ_WRITE, process.credential)
        thread = self.kernel.begin("ioctl", process, self._entry(_IOCTL), arguments)
        return Call(thread=thread, command=number, buffer=buffer, size_bytes=size)

    def end_ioctl(self, call: Call) -> tuple[int, bytes]:
        """Return errno and argument of an ioctl whose thread has ended, and free the argument."""
        data = self.kernel.cpu.read(call.buffer, call.size_bytes)
        self.kernel.cpu.free(call.buffer, max(call.size_bytes, 8))
        return self._checked("ioctl", signed(call.thread.result)), data

    def _entry(self, offset: int) -> int:
        table = self.kernel.state.devices[self.node.device >> 24]
        return int.from_bytes(self.kernel.cpu.read(table + offset, 8), "little")

    def _call(self, name: str, process: Process, offset: int, arguments: tuple[int, ...]) -> int:
        result = self.kernel.call(name, process, self._entry(offset), arguments)
        return self._checked(name, result)

    @staticmethod
    def _checked(name: str, error: int) -> int:
        """Return the errno that a function of the kext returned, if it is not negative.

        XNU reserves negative numbers: -1, for example, restarts the call.
        Raises: RuleBroken for a negative number.
        """
        if error < 0:
            raise RuleBroken(f"{name} returns {error}, which is not an error number")
        return error
