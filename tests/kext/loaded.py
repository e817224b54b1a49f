# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The emulated kext, as the shared bodies want a driver."""

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
        """Return a new process of root's."""
        return EmulatedPeer(self._device, self.kernel.process())

    def program(self, name: str) -> str:
        """Return a path: there are no files behind those that kauth tells."""
        return f"/usr/local/bin/{name}"

    def error_name(self, number: int) -> str:
        """Return BSD's name of an error."""
        return error_name(System.MACOS, number)
