# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A driver on a system that is reached over SSH; its processes are osqpeer programs there."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.errors import GuestLost
from harness.model.settings import System
from harness.systems.ssh import Guest, RemoteProcess
from tests.shared.errors import error_name

_POLL_S = 0.05


class SshPeer:
    """One osqpeer that gets its commands line by line; see tests/shared/client.py."""

    def __init__(self, process: RemoteProcess, answer_s: float) -> None:
        self._process = process
        self._lines = process.lines(poll_s=_POLL_S)
        self._answer_s = answer_s

    def open(self, *, wait: bool = True) -> int:
        """Open the device in osqpeer."""
        return self._error("open" if wait else "open nonblock")

    def close(self) -> None:
        """Close the device."""
        self._without_error("close")

    def ioctl(self, name: str, data: bytes) -> tuple[int, bytes]:
        """Run an ioctl."""
        return self._ask(f"ioctl {name} {data.hex()}")

    def begin(self, name: str, data: bytes) -> None:
        """Begin an ioctl that may wait."""
        self._say(f"ioctl {name} {data.hex()}")

    def end(self) -> tuple[int, bytes]:
        """Wait for the answer of the ioctl that `begin` started."""
        return self._answer()

    def ioctl_of_child(self, name: str, data: bytes) -> int:
        """Let a child of osqpeer run an ioctl."""
        return self._error(f"child {name} {data.hex()}")

    def map(self, size_bytes: int) -> int:
        """Map the ring."""
        return self._error(f"map {size_bytes}")

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes of the ring."""
        error, data = self._ask(f"read {offset} {size_bytes}")
        assert (error, len(data)) == (0, size_bytes)
        return data

    def run(self, path: str) -> None:
        """Run a program as a child of osqpeer."""
        self._without_error(f"run {path}")

    def become_heir(self) -> None:
        """Let osqpeer exec itself, with the device left open."""
        self._without_error("heir")

    def die(self) -> None:
        """Let osqpeer kill itself; its output ends when the kernel has closed its descriptors."""
        self._say("die")
        assert list(filter(None, self._until_end())) == []

    def stop(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(GuestLost):
            # Without a terminal, sshd ends no program when the channel is closed; osqpeer ends
            # with its input.
            self._process.close_stdin()
        self._process.close()

    def _without_error(self, line: str) -> None:
        error = self._error(line)
        assert error == 0, f"osqpeer: {line}: error {error}"

    def _error(self, line: str) -> int:
        return self._ask(line)[0]

    def _ask(self, line: str) -> tuple[int, bytes]:
        self._say(line)
        return self._answer()

    def _say(self, line: str) -> None:
        self._process.write(f"{line}\n".encode())

    def _answer(self) -> tuple[int, bytes]:
        line = next(filter(None, self._until_end()), "")
        if not line:
            raise GuestLost("osqpeer has ended", evidence=self._process.stderr.splitlines())
        error, _, data = line.partition(" ")
        return int(error), bytes.fromhex(data)

    def _until_end(self) -> Iterator[str | None]:
        """Yield output lines, and None during pauses, until osqpeer ends.

        Raises: GuestLost when an answer takes too long.
        """
        end = time.monotonic() + self._answer_s
        for line in self._lines:
            yield line
            if time.monotonic() > end:
                raise GuestLost("osqpeer does not answer")


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of osqpeer on a system: its file `program`, and the `command` to start it as root.

    `folder` is for copies of osqpeer; exec records must have exactly their paths.
    """

    system: System
    program: str
    command: str
    folder: str


class SshLoaded:
    """A guest's kernel with the driver loaded."""

    def __init__(self, guest: Guest, place: Place, *, limit_s: float) -> None:
        self._guest = guest
        self._place = place
        self._limit_s = limit_s
        self._made: set[str] = set()
        self._peers: list[SshPeer] = []

    def peer(self) -> SshPeer:
        """Start one more osqpeer."""
        found = SshPeer(
            self._guest.popen(self._place.command, start_s=self._limit_s), self._limit_s
        )
        self._peers.append(found)
        return found

    def program(self, name: str) -> str:
        """Return the path of a copy of osqpeer with this name; copy it if needed."""
        path = f"{self._place.folder}/{name}"
        if path not in self._made:
            self._guest.run(["cp", self._place.program, path], deadline_s=self._limit_s)
            self._made.add(path)
        return path

    def error_name(self, number: int) -> str:
        """Return the system's name of an error number."""
        return error_name(self._place.system, number)

    def stop(self) -> None:
        """End every peer, so that the next test finds the device free."""
        for one in self._peers:
            one.stop()


@contextmanager
def loaded_over_ssh(guest: Guest, place: Place, *, limit_s: float) -> Iterator[SshLoaded]:
    """Give the driver of a guest; end all its osqpeer processes after the block."""
    found = SshLoaded(guest, place, limit_s=limit_s)
    try:
        yield found
    finally:
        found.stop()
