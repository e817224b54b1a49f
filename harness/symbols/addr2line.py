# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Look up the file and line of an address in one section of an ELF file, by a running addr2line.

One process answers all questions, because loading the debug information takes most of the time.
"""

import selectors
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.host import programs

# Long enough to read a whole kernel's debug information from a cold disk.
_DEADLINE_S = 30.0
_CHUNK_BYTES = 1 << 16
# This question is sent after each address. Its known answer marks the end of the address's answer,
# which has no terminator of its own.
_NOWHERE = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, kw_only=True)
class SourcePoint:
    """A function and a source line in it that belong to an address, by the debug information."""

    function: str
    file: str
    line: int


class LineFinder:
    """A running addr2line that answers one question after another; `close` ends it.

    `section` is the section to which addresses are relative in a relocatable file, "" for a linked
    file. `program` names another tool with addr2line's interface (LLVM's, for Mach-O).
    Raises: UsageError when the program is not installed.
    """

    def __init__(self, path: Path, section: str = "", *, program: str = "addr2line") -> None:
        command = [program, "--addresses", "--functions", "--inlines", f"--exe={path}"]
        if section:
            command.append(f"--section={section}")
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # A buffer would hold bytes of which the selector does not know.
                bufsize=0,
            )
        except FileNotFoundError as error:
            raise programs.not_installed(program, UsageError) from error
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._rest = b""

    @property
    def _pipe(self) -> int:
        if self._process.stdout is None:
            raise UsageError("addr2line has no output")
        return self._process.stdout.fileno()

    def close(self) -> None:
        """End the addr2line process."""
        self._selector.close()
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def find(self, address: int) -> tuple[SourcePoint, ...]:
        """Return functions and lines at an address, the innermost inlined first; () if unknown.

        Raises: UsageError when addr2line ends or does not answer within 30 s.
        """
        if self._process.stdin is None:
            raise UsageError("addr2line has no input")
        end = time.monotonic() + _DEADLINE_S
        try:
            self._process.stdin.write(b"%#x\n%#x\n" % (address, _NOWHERE))
        except BrokenPipeError as error:
            raise UsageError("addr2line has ended") from error
        lines = self._lines(end)
        next(lines)
        found = []
        for function in lines:
            if function.startswith("0x"):
                break
            point = _point(function, next(lines))
            if point is not None:
                found.append(point)
        # The answer to the second question: a function and a place, both unknown.
        next(lines)
        next(lines)
        return tuple(found)

    def _lines(self, end: float) -> Iterator[str]:
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                yield line.decode(errors="backslashreplace")
                continue
            if not self._selector.select(max(end - time.monotonic(), 0.0)):
                raise UsageError(f"addr2line did not answer within {_DEADLINE_S:.0f} s")
            chunk = self._process.stdout.read(_CHUNK_BYTES) if self._process.stdout else b""
            if not chunk:
                raise UsageError("addr2line has ended")
            self._rest += chunk


def _point(function: str, place: str) -> SourcePoint | None:
    file, _, line = place.partition(" (")[0].rpartition(":")
    if file in {"", "??"} or not line.isdigit() or int(line) == 0:
        return None
    return SourcePoint(function=function, file=file, line=int(line))
