# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A QEMU of our own, started directly: libvirt knows nothing of record and replay.

Here is said whether this host's QEMU can record, before anything is started; here the process is
started and ended. It dies with the thread that started it, however that ends.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HypervisorError, UsageError
from harness.host import programs, tool
from harness.model.settings import Accel
from harness.protocols import qmp_socket

_PROGRAM = "qemu-system-x86_64"
_ARCH = "x86_64"
# Going backwards under a debugger came with this release (docs/system/replay.rst).
_OLDEST = (5, 2)
_ASK_S = 30.0
_END_S = 20.0
# Who started us may be dead before setpriv has asked for a signal at that: then this ends, too.
_OURS = '[ "$PPID" = "$1" ] && shift && exec "$@"'
_VERSION = re.compile(r"version ((\d+)\.(\d+)\S*(?: \(.*\))?)")


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """A QEMU that can record and replay, and its exact version."""

    program: Path
    version: str


@dataclass(frozen=True, kw_only=True)
class RunningQemu:
    """A running QEMU; `log` is what it says on standard error."""

    process: subprocess.Popen[bytes]
    log: Path
    qmp: Path

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def query_count(self) -> int:
        """Return how many instructions the guest has executed since its start.

        Raises: HypervisorError when QEMU does not answer.
        """
        return int(self._execute("query-replay")["icount"])

    def save_state(self, name: str) -> None:
        """Save the state of the whole machine under a name; it goes on afterwards.

        Raises: HypervisorError with QEMU's words when it does not.
        """
        line = {"command-line": f"savevm {name}"}
        words = self._execute("human-monitor-command", line)
        if words:
            raise HypervisorError(f"QEMU does not save a state: {words.strip()}")

    def end(self) -> None:
        """End the process, so that it completes its files where it still can."""
        if self.alive:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()

    def words(self) -> tuple[str, ...]:
        """Return the last lines that QEMU has said, without what it always says."""
        lines = self.log.read_text(errors="backslashreplace").splitlines()
        return tuple(line for line in lines if "no active timers" not in line)[-10:]

    def _execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        try:
            return qmp_socket.ask(self.qmp, command, arguments)
        except HypervisorError as error:
            raise HypervisorError(error.message, evidence=self.words()) from error


def recorder(*, arch: str, accel: Accel | None, program: str = _PROGRAM) -> Recorder:
    """Return this host's QEMU, which can record a guest of this kind.

    Raises: UsageError with the reason when it cannot.
    """
    if accel is Accel.KVM:
        raise UsageError(
            "with KVM nothing can be recorded: the guest must be emulated",
            hint="leave --accel out, or give --accel tcg",
        )
    if arch != _ARCH:
        raise UsageError(f"guests of {arch} are not recorded, only those of {_ARCH}")
    found = programs.find(program, error=UsageError)
    spoken = _VERSION.search(_output(found, "--version"))
    if spoken is None:
        raise UsageError(f"{found} does not say its version")
    if (int(spoken[2]), int(spoken[3])) < _OLDEST:
        raise UsageError(
            f"QEMU {spoken[1]} is too old: going backwards came with {_OLDEST[0]}.{_OLDEST[1]}"
        )
    if "tcg" not in _output(found, "-accel", "help").split():
        raise UsageError(f"{found} is built without TCG, which alone can record")
    if "rr=record|replay" not in _output(found, "-help"):
        raise UsageError(f"{found} is built without -icount rr=record|replay")
    return Recorder(program=Path(found), version=spoken[1])


@contextmanager
def start_qemu(
    recorder: Recorder, arguments: Sequence[str], *, log: Path, qmp: Path
) -> Iterator[RunningQemu]:
    """Give a running QEMU, ended when the block ends.

    It is in a session of its own: Ctrl-C on the terminal is for the harness and the debugger.
    Raises: UsageError without setpriv, which binds its life to ours.
    """
    setpriv = programs.find("setpriv", error=UsageError)
    command = [setpriv, "--pdeathsig", "KILL", "--", "sh", "-c", _OURS, "sh", str(os.getpid())]
    command += [str(recorder.program), *arguments]
    with log.open("wb") as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
    running = RunningQemu(process=process, log=log, qmp=qmp)
    try:
        yield running
    finally:
        running.kill()


def _output(*command: str) -> str:
    try:
        asked = tool.run(command, deadline_s=_ASK_S, error=UsageError, check=False)
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be asked what it can do: {error}") from error
    if asked.status is None:
        raise UsageError(f"{command[0]} did not say in {_ASK_S:.0f} s what it can do")
    return asked.text
