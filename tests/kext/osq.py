# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver's protocol, between processes of the emulated kernel and the emulated device.

The ioctl numbers are computed from kernel/uapi/osq.h in BSD's encoding.
"""

import re
import struct

from harness.kext.emulator.device import IOC_IN, IOC_OUT, Call, Descriptor, Device, command
from harness.kext.emulator.kernel import Kernel, is_waiting
from harness.kext.emulator.threads import Process
from tests.shared import client
from tests.shared.client import Refused
from tests.shared.protocol import HEADER, SIZES, SYNC_WAIT

_DIRECTIONS = {"_IOR": IOC_OUT, "_IOW": IOC_IN, "_IOWR": IOC_IN | IOC_OUT}
_IOCTL = re.compile(r"#define OSQ_IOC_(\w+) (_IO\w+)\('q', (\d+), struct (\w+)\)")
EPERM, EINTR, ENXIO, EBUSY, EEXIST, EINVAL, ENOTTY = 1, 4, 6, 16, 17, 22, 25
ENOENT, ENOSPC = 2, 28
EAGAIN, ENOTCONN, ESTALE, EPROTO = 35, 57, 70, 100
NONBLOCK = 4
_EXEC_ACTION = 6
_FILEOP = "com.apple.kauth.fileop"


def _commands() -> dict[str, int]:
    """Return each ioctl of the driver with its BSD number, and one ioctl that it does not know."""
    found = {
        name: command(_DIRECTIONS[kind], "q", int(number), SIZES[struct_name])
        for name, kind, number, struct_name in _IOCTL.findall(HEADER.read_text())
    }
    return {**found, "UNKNOWN": command(IOC_IN, "q", 99, 8)}


COMMANDS = _commands()


class EmulatedPeer:
    """A process of the emulated kernel, with the interface of tests/shared/client.py."""

    def __init__(self, device: Device, process: Process) -> None:
        self.device = device
        self.process = process
        self.descriptor: Descriptor | None = None
        self.address = 0
        self._flags = 0
        self.call: Call | None = None

    def open(self, *, wait: bool = True) -> int:
        """Open the device and return the error number."""
        error, self.descriptor = self.device.open(self.process)
        self._flags = 0 if wait else NONBLOCK
        return error

    def close(self) -> None:
        """Close the device."""
        assert self.descriptor is not None
        self.device.close(self.process, self.descriptor)
        self.descriptor = None

    def ioctl(self, name: str, data: bytes) -> tuple[int, bytes]:
        """Run an ioctl; return the error number and the argument afterwards."""
        return self.device.ioctl(self.process, COMMANDS[name], data, flags=self._flags)

    def begin(self, name: str, data: bytes) -> None:
        """Begin an ioctl and run it until it waits or ends."""
        self.call = self.device.begin_ioctl(self.process, COMMANDS[name], data, flags=self._flags)
        self.device.kernel.threads.run_to_wait(self.call.thread)

    def is_waiting(self) -> bool:
        """Return whether the ioctl of `begin` still waits."""
        assert self.call is not None
        thread = self.call.thread
        return is_waiting(thread) and not (thread.wait and thread.wait.is_over())

    def end(self) -> tuple[int, bytes]:
        """Finish the ioctl of `begin`; return the error number and the argument."""
        assert self.call is not None
        self.device.kernel.threads.finish(self.call.thread)
        return self.device.end_ioctl(self.call)

    def ioctl_of_child(self, name: str, data: bytes) -> int:
        """Run an ioctl in a child process and return its error number."""
        child = self.device.kernel.process(parent=self.process)
        return self.device.ioctl(child, COMMANDS[name], data)[0]

    def map(self, size_bytes: int) -> int:
        """Map the ring with the ioctl MAP, since an XNU driver has no mmap of its own."""
        error, answer = self.ioctl("MAP", b"")
        if not error:
            self.address, mapped_bytes = struct.unpack("<2Q", answer)
            assert mapped_bytes == size_bytes
        return error

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes of the ring as the process sees them."""
        return self.device.kernel.user_memory(self.process, self.address + offset, size_bytes)

    def run(self, path: str) -> None:
        """Run a program in a child process, which the kernel reports to every kauth listener."""
        kernel = self.device.kernel
        who = kernel.process(parent=self.process)
        kernel.fire(_FILEOP, who, _EXEC_ACTION, kernel.file(), kernel.put_text(path), 0, 0)

    def become_heir(self) -> None:
        """Let the process exec another program: its id stays, but XNU gives it a new task."""
        self.process = self.device.kernel.executed(self.process)

    def die(self) -> None:
        """End the process; the kernel closes its descriptors."""
        self.device.kernel.end(self.process)
        if self.descriptor is not None:
            self.close()


class Client(client.Client):
    """A process with the device open."""

    def __init__(self, peer: EmulatedPeer) -> None:
        super().__init__(peer)
        self.of: EmulatedPeer = peer

    @classmethod
    def open(cls, kernel: Kernel, process: Process | None = None) -> "Client":
        """Open the device and return a client.

        Raises: Refused when the device refuses.
        """
        peer = EmulatedPeer(Device(kernel), process or kernel.process())
        error = peer.open()
        if error:
            raise Refused(error)
        return cls(peer)

    @property
    def device(self) -> Device:
        """The emulated device."""
        return self.of.device

    @property
    def process(self) -> Process:
        """The process that has the device open."""
        return self.of.process

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the open device."""
        assert self.of.descriptor is not None
        return self.of.descriptor

    @property
    def address(self) -> int:
        """The ring's address in the process."""
        return self.of.address

    def ask(self, name: str, data: bytes = b"", *, who: Process | None = None) -> bytes:
        """Run an ioctl, in process `who` if it is given, and return the argument afterwards.

        Raises: Refused when the ioctl fails.
        """
        error, answer = self.device.ioctl(who or self.process, COMMANDS[name], data)
        if error:
            raise Refused(error)
        return answer

    def begin_wait(self, *, flags: int = 0) -> Call:
        """Begin a SYNC that waits for records."""
        argument = self.sync_argument(flags=SYNC_WAIT)
        return self.device.begin_ioctl(self.process, COMMANDS["SYNC"], argument, flags=flags)
