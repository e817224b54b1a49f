# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A scripted Mac whose kernel is the emulated one, running the kext that was copied to the Mac.

This file answers in place of osqpeer (tests/guest/tools/osqpeer.c), line by line; the scripted
`cc` compiles nothing. So these tests do not show that the C program builds and works on a Mac.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from harness.errors import RuleBroken
from harness.kext.emulator.kernel import Kernel
from tests.kext.loaded import EmulatedLoaded
from tests.kext.osq import COMMANDS, EmulatedPeer
from tests.kext.steps import GRACE_NS
from tests.macos.fake_mac import FakeMac
from tests.macos.fake_system import NOTHING, Answer, File
from tests.shared.protocol import SYNC_WAIT

PEER = "/private/var/tmp/harness-osqpeer/osqpeer"
_BINARY = "/Library/Extensions/osq.kext/Contents/MacOS/osq"
_POLL_S = 0.01
# macOS's EDOM, which osqpeer returns for a command that it does not know.
_EDOM = 33


@dataclass
class EmulatedMac(FakeMac):
    """A scripted Mac that starts the kext's machine code when a peer first needs the device."""

    driver: EmulatedLoaded | None = None

    def booted(self) -> EmulatedLoaded:
        """Return the kernel that runs the copied kext; boot it if needed."""
        if self.driver is None:
            kernel = Kernel(self.files[_BINARY].data or b"")
            assert kernel.start() == 0
            self.driver = EmulatedLoaded(kernel)
        return self.driver

    def tool_kextunload(self, words: list[str], data: bytes) -> Answer:
        """Unload a kext; a started kext is stopped after its grace period and may refuse."""
        if self.driver is not None:
            self.driver.kernel.pass_time(GRACE_NS)
            if self.driver.kernel.stop() != 0:
                self.profile.busy = max(self.profile.busy, 1)
            else:
                self.driver = None
        return super().tool_kextunload(words, data)

    def interactive(self, line: str, lock: Lock) -> "PeerLines | None":
        """Return the process for a line that starts osqpeer, None for any other line."""
        if line != f"sudo -n {PEER}" or PEER not in self.files:
            return None
        self.commands.append(line)
        return PeerLines(self, lock)

    def tool_mkdir(self, words: list[str], _data: bytes) -> Answer:
        """Create a folder on the scripted Mac, as mkdir does."""
        self.files[words[-1]] = File(None, 0o755)
        return NOTHING

    def tool_cc(self, words: list[str], _data: bytes) -> Answer:
        """Create the output file of cc if the sources exist."""
        missing = [name for name in words if name.endswith(".c") and name not in self.files]
        if missing:
            return "", f"clang: error: no such file or directory: '{missing[0]}'\n", 1
        self.files[words[words.index("-o") + 1]] = File(b"osqpeer", 0o755)
        return NOTHING

    def tool_cp(self, words: list[str], _data: bytes) -> Answer:
        """Copy a file on the scripted Mac, as cp does."""
        found = self.files[words[0]]
        self.files[words[1]] = File(found.data, found.mode)
        return NOTHING


class PeerLines:
    """The process of osqpeer on the emulated kernel, which answers each line with a line."""

    def __init__(self, mac: EmulatedMac, lock: Lock) -> None:
        self._mac = mac
        self._lock = lock
        with lock:
            self._peer: EmulatedPeer = mac.booted().peer()

    def answers(self, line: str) -> Iterator[str]:
        """Yield the answer to a line; the line 'die' ends the process without an answer.

        Raises: EOFError when the process has ended.
        """
        word, *rest = line.split(" ")
        if word == "ioctl" and self._waits(rest):
            yield self._waited(rest)
            return
        with self._lock:
            yield self._answer(word, rest)

    def end(self) -> None:
        """End the process and close the device."""
        with self._lock, contextlib.suppress(RuleBroken):
            if self._peer.descriptor is not None:
                self._peer.die()

    def _answer(self, word: str, rest: list[str]) -> str:
        if word == "die":
            self._peer.die()
            raise EOFError
        if word == "open":
            return str(self._peer.open(wait=not rest))
        if word == "map":
            return str(self._peer.map(int(rest[0])))
        if word == "read":
            return f"0 {self._peer.read(int(rest[0]), int(rest[1])).hex()}"
        if word in {"ioctl", "child"} and rest[0] in COMMANDS:
            return self._call(word, rest)
        done = {"close": self._peer.close, "heir": self._peer.become_heir}
        if word == "run":
            assert rest[0] in self._mac.files, f"no such program: {rest[0]}"
            self._peer.run(rest[0])
        elif word in done:
            done[word]()
        else:
            return str(_EDOM)
        return "0"

    def _call(self, word: str, rest: list[str]) -> str:
        if word == "child":
            return str(self._peer.ioctl_of_child(rest[0], _data(rest)))
        error, answer = self._peer.ioctl(rest[0], _data(rest))
        return str(error) if error else f"0 {answer.hex()}"

    def _waits(self, rest: list[str]) -> bool:
        return rest[0] == "SYNC" and bool(_data(rest)[4] & SYNC_WAIT)

    def _waited(self, rest: list[str]) -> str:
        """Return the answer of a waiting call, without blocking other processes."""
        with self._lock:
            self._peer.begin(rest[0], _data(rest))
        while True:
            with self._lock:
                if not self._peer.is_waiting():
                    error, answer = self._peer.end()
                    return str(error) if error else f"0 {answer.hex()}"
            time.sleep(_POLL_S)


def _data(rest: list[str]) -> bytes:
    """Return the ioctl's argument in hex digits as bytes, empty when the line has none."""
    return bytes.fromhex(rest[1]) if len(rest) > 1 else b""
