# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A debugger on a pseudo-terminal, started and used by the real command."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import AnyStr

import pexpect

PROJECT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90
_PROMPTS = {
    "gdb": re.compile(r"\(gdb\) $"),
    "lldb": re.compile(r"\(lldb\) +(?:\x1b\[\d+G)?$"),
}
_QUIET_S = 1.0
_STOP = r"stop reason = |hit (Temporary )?[Bb]reakpoint|received signal"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@contextmanager
def ended(process: "subprocess.Popen[AnyStr]") -> "Iterator[subprocess.Popen[AnyStr]]":
    """Wait for the end of a command, and kill it if the test has failed."""
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


class Terminal:
    """One debugger that was started by `invoke debug-attach`."""

    def __init__(self, debugger: str, child: "pexpect.spawn[str]") -> None:
        self.debugger = debugger
        self.child = child
        self._prompt = _PROMPTS[debugger]

    def stopped(self) -> str:
        """Return the output up to the prompt after the kernel's next stop.

        Only lldb gives a prompt while the kernel runs, too.
        """
        return self.ready(after=_STOP)

    def ready(self, deadline_s: float = DEADLINE_S, *, after: str = "") -> str:
        """Return the output up to a prompt that nothing follows.

        Echoes of typed commands and of command files hold prompts, too.
        """
        said, end = "", time.monotonic() + deadline_s
        while True:
            try:
                said += self.child.read_nonblocking(size=65536, timeout=_QUIET_S)
            except pexpect.EOF:
                raise AssertionError(f"the command has ended: {said[-2000:]}") from None
            except pexpect.TIMEOUT:
                if self._prompt.search(said) and re.search(after, said):
                    return _ANSI.sub("", said)
                assert time.monotonic() < end, f"no prompt after {deadline_s} s: {said[-2000:]}"

    def ask(self, gdb: str, lldb: str | None = None, deadline_s: float = DEADLINE_S) -> str:
        """Return the answer to a command, which may have another name in lldb."""
        self.child.sendline(lldb if lldb is not None and self.debugger == "lldb" else gdb)
        return self.ready(deadline_s)

    def tell(self, command: str) -> None:
        """Type a command after which the debugger shows no prompt by itself."""
        self.child.sendline(command)

    def interrupt(self) -> str:
        """Press Ctrl-C and return the output after it."""
        self.child.sendintr()
        return self.stopped()

    def leave(self) -> None:
        """Type quit; the command that started the debugger continues."""
        self.child.sendline("quit")

    def end(self, deadline_s: float = DEADLINE_S) -> tuple[str, int | None]:
        """Wait for the command to end; return its output and exit status."""
        self.child.expect(pexpect.EOF, timeout=deadline_s)
        said = self.child.before
        self.child.close()
        return _ANSI.sub("", str(said)), self.child.exitstatus

    def quit(self) -> None:
        """Type quit, and assert that the command ends without a question and without an error."""
        self.leave()
        self.child.expect(pexpect.EOF, timeout=DEADLINE_S)
        self.child.close()
        assert self.child.exitstatus == 0


@contextmanager
def attached(debugger: str, *options: str) -> Iterator[Terminal]:
    """Give a debugger at its first prompt; it is ended with the block."""
    with started(debugger, "debug-attach", "--debugger", debugger, *options) as terminal:
        terminal.ready()
        if debugger == "gdb":
            # gdb would otherwise wait for a key after each screen of output.
            terminal.ask("set pagination off")
        yield terminal


@contextmanager
def started(debugger: str, *words: str) -> Iterator[Terminal]:
    """Give a command that will hand over the terminal; it is ended with the block."""
    environment = {**os.environ, "TERM": "dumb", "PYTHONUNBUFFERED": "1"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "invoke", *words],
        cwd=str(PROJECT),
        env=environment,
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(200, 250),
        timeout=DEADLINE_S,
    )
    try:
        yield Terminal(debugger, child)
    finally:
        child.close(force=True)
