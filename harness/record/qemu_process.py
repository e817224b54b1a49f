# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Start QEMU without libvirt, which does not support record and replay.

`recorder` checks whether this host's QEMU can record, and `start_qemu` runs it. The kernel kills
the QEMU process when the thread that started it ends for any reason.
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
# The first release of QEMU that can step backwards under a debugger (docs/system/replay.rst).
_OLDEST = (5, 2)
_QUERY_DEADLINE_S = 30.0
# QEMU completes the recording's files at SIGTERM; a kill before that makes it useless.
_END_S = 20.0
# The harness may have died before setpriv asked for a signal at its death. Then the shell's parent
# is another process, and the shell exits instead of starting QEMU.
_EXEC_IF_PARENT_LIVES = '[ "$PPID" = "$1" ] && shift && exec "$@"'
_VERSION = re.compile(r"version ((\d+)\.(\d+)\S*(?: \(.*\))?)")


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """A QEMU that can record and replay, and its exact version."""

    program: Path
    version: str


@dataclass(frozen=True, kw_only=True)
class RunningQemu:
    """A QEMU process that runs a recorded or replayed guest.

    Its standard error is written to the file `log`.
    """

    process: subprocess.Popen[bytes]
    log: Path
    qmp: Path

    @property
    def alive(self) -> bool:
        """Whether the QEMU process runs."""
        return self.process.poll() is None

    def query_count(self) -> int:
        """Return the number of instructions that the guest has executed since its start.

        Raises: HypervisorError when QEMU does not answer.
        """
        return int(self._execute("query-replay")["icount"])

    def save_state(self, name: str) -> None:
        """Save the state of the whole machine under a name in its disk file; the guest continues.

        Raises: HypervisorError with QEMU's message when it cannot save.
        """
        line = {"command-line": f"savevm {name}"}
        words = self._execute("human-monitor-command", line)
        if words:
            raise HypervisorError(f"QEMU cannot save its state: {words.strip()}")

    def end(self) -> None:
        """End QEMU with SIGTERM, so that it can complete its files; kill it after 20 s."""
        if self.alive:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
        self.kill()

    def kill(self) -> None:
        """Kill the QEMU process."""
        self.process.kill()
        self.process.wait()

    def words(self) -> tuple[str, ...]:
        """Return the last ten lines of QEMU's log, without a warning that it always prints."""
        lines = self.log.read_text(errors="backslashreplace").splitlines()
        return tuple(line for line in lines if "no active timers" not in line)[-10:]

    def _execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        try:
            return qmp_socket.ask(self.qmp, command, arguments)
        except HypervisorError as error:
            raise HypervisorError(error.message, evidence=self.words()) from error


def recorder(*, arch: str, accel: Accel | None, program: str = _PROGRAM) -> Recorder:
    """Return this host's QEMU if it can record a guest of this architecture.

    Raises: UsageError with the reason why it cannot; HypervisorError when QEMU does not answer.
    """
    if accel is Accel.KVM:
        raise UsageError(
            "KVM cannot record a guest: the guest must be emulated",
            hint="leave --accel out, or give --accel tcg",
        )
    if arch != _ARCH:
        raise UsageError(f"a guest of {arch} cannot be recorded: only {_ARCH} is supported")
    found = programs.find(program, error=UsageError)
    version = _VERSION.search(_output(found, "--version"))
    if version is None:
        raise UsageError(f"{found} does not print its version")
    if (int(version[2]), int(version[3])) < _OLDEST:
        raise UsageError(
            f"QEMU {version[1]} is too old: reverse debugging needs {_OLDEST[0]}.{_OLDEST[1]}"
        )
    if "tcg" not in _output(found, "-accel", "help").split():
        raise UsageError(f"{found} is built without TCG, which recording needs")
    if "rr=record|replay" not in _output(found, "-help"):
        raise UsageError(f"{found} is built without -icount rr=record|replay")
    return Recorder(program=Path(found), version=version[1])


@contextmanager
def start_qemu(
    recorder: Recorder, arguments: Sequence[str], *, log: Path, qmp: Path
) -> Iterator[RunningQemu]:
    """Run QEMU while the block runs, and kill it when the block ends.

    QEMU runs in its own session, so that Ctrl-C on the terminal reaches only the harness and the
    debugger.
    Raises: UsageError when setpriv is missing, which makes QEMU die with the harness.
    """
    setpriv = programs.find("setpriv", error=UsageError)
    command = [
        setpriv,
        "--pdeathsig",
        # When the harness dies, nobody writes record.json, so there is no recording that QEMU
        # would have to complete.
        "KILL",
        "--",
        "sh",
        "-c",
        _EXEC_IF_PARENT_LIVES,
        "sh",
        str(os.getpid()),
    ]
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
        # A caller that wants a recording has called end() already; on the way out of an error the
        # files are of no use.
        running.kill()


def _output(*command: str) -> str:
    """Run QEMU with an option that makes it print something about itself, and return that text.

    Raises: HypervisorError when it cannot be started or does not answer.
    """
    name = command[0]
    try:
        done = tool.run(command, deadline_s=_QUERY_DEADLINE_S, error=HypervisorError, check=False)
    except OSError as error:
        raise HypervisorError(f"{name} cannot be started: {error}") from error
    if done.status is None:
        raise HypervisorError(
            f"{name} did not answer {command[1]} within {_QUERY_DEADLINE_S:.0f} s",
            hint="the host may be too busy; try again, or run the command by hand",
            evidence=done.lines[-10:],
        )
    return done.text
