# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The emulated kext with the interface that the shared test bodies require of a driver."""

from harness.kext.emulator.device import Device
from harness.kext.emulator.kernel import Kernel
from harness.model.settings import System
from tests.kext.osq import EmulatedPeer
from tests.shared.errors import error_name


class EmulatedLoaded:
    """An emulated kernel whose kext has been started."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._device = Device(kernel)

    def peer(self) -> EmulatedPeer:
        """Return a new process of root."""
        return EmulatedPeer(self._device, self.kernel.process())

    def program(self, name: str) -> str:
        """Return the path of a program that does not exist; kauth reports only paths."""
        return f"/usr/local/bin/{name}"

    def error_name(self, number: int) -> str:
        """Return the BSD name of an error number."""
        return error_name(System.MACOS, number)
