# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a program of this host that ends by itself, within a deadline.

Other programs have modules of their own: `foreground` runs debuggers and shells on the terminal,
`process` runs commands of a check, which print their stacks when they hang, and programs that run
as long as a guest are in `guest`.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, cast

from harness.errors import HarnessError
from harness.host import cache, process, programs

_MOST_LINES = 30
_NO_SPACE = b"No space left on device"
# The time that a tool has to clean up after SIGTERM.
_CLEANING_S = 20.0
# The environment of tools whose output is parsed (so LC_ALL=C), or that are only on root's PATH.
PLAIN_ENVIRONMENT = {"PATH": programs.SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": "/"}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The environment, input and output of a tool.

    Without `environment`, the tool gets the environment of this process; with a `umask` of -1, it
    also gets the umask. `data` is its standard input. `log` is a file that receives all its
    output, instead of two pipes. `disk` is the folder to which the tool writes; the error for a
    full disk names this folder. `inherits` are open file descriptors that the tool keeps.
    `own_group` is for a tool whose child processes survive when the tool is killed: the tool and
    its child processes get SIGTERM when the harness's process ends in any way.
    """

    environment: Mapping[str, str] | None = None
    data: bytes = b""
    log: Path | None = None
    disk: Path | None = None
    umask: int = -1
    own_group: bool = False
    inherits: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Output:
    """How a tool ended: its exit status, None when it was killed at its deadline, and its output.

    With a log, all output is in `stdout`.
    """

    status: int | None
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """The standard output as text."""
        return self.stdout.decode(errors="backslashreplace")

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of standard output and standard error."""
        text = (self.stdout + self.stderr).decode(errors="backslashreplace")
        return tuple(text.splitlines())


def run(
    command: Sequence[str | Path],
    *,
    deadline_s: float,
    error: type[HarnessError],
    check: bool = True,
    cwd: Path | None = None,
    within: Surroundings | None = None,
) -> Output:
    """Run a tool and return its output; with `check`, raise when the tool fails.

    Units: deadline_s is seconds for the whole run; then the tool and its child processes are
        killed.
    Raises: `error` when the tool is not installed, with the package that brings it. With `check`,
        also when it fails or does not end in time, with its last lines; Lost when it fails because
        the disk of `within.disk` is full. FileNotFoundError when `cwd` is missing.
    """
    around = within or Surroundings()
    words = [str(word) for word in command]
    name = Path(words[0]).name
    if around.own_group:
        words = _grouped([programs.find(words[0], error=error), *words[1:]], error)
    try:
        output = _ended(words, deadline_s, cwd, around)
    except FileNotFoundError as missing:
        # A missing working folder raises the same error as a missing program.
        if cwd is not None and not cwd.is_dir():
            raise
        raise programs.not_installed(name, error) from missing
    if output.status == 0 or not check:
        return output
    if around.disk is not None and _NO_SPACE in output.stdout + output.stderr:
        raise cache.no_space(around.disk)
    ending = "failed" if output.status is not None else f"did not end in {deadline_s:.0f} s"
    raise error(f"{name} {ending}", evidence=output.lines[-_MOST_LINES:])


@contextmanager
def reading(
    command: Sequence[str | Path], *, deadline_s: float, error: type[HarnessError]
) -> Iterator[IO[bytes]]:
    """Run a tool, and give its output as a stream; the reader may stop before the end.

    Units: deadline_s is seconds for the whole block; then the tool is killed.
    Raises: `error` when the tool is not installed, or when it fails and its stream was read whole.
    """
    words = [str(word) for word in command]
    program = programs.find(words[0], error=error)
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [program, *words[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        ) as running,
    ):
        watch = Timer(deadline_s, running.kill)
        watch.start()
        try:
            stream = cast("IO[bytes]", running.stdout)
            yield stream
            # The exit status counts only at the end of the stream: a reader that stops early
            # breaks the tool's pipe.
            if not stream.read(1) and running.wait() != 0:
                log.seek(0)
                lines = log.read().decode(errors="backslashreplace").splitlines()
                raise error(f"{words[0]} failed", evidence=lines[-_MOST_LINES:])
        finally:
            watch.cancel()
            running.kill()


def run_shown(command: Sequence[str], *, deadline_s: float, cwd: Path) -> int | None:
    """Run a command that writes to this process's own output; return its exit status.

    Units: deadline_s is seconds for the whole run; then the command is killed, and the result is
        None.
    """
    try:
        done = subprocess.run(
            command, check=False, cwd=cwd, stdin=subprocess.DEVNULL, timeout=deadline_s
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


def _ended(words: list[str], deadline_s: float, cwd: Path | None, around: Surroundings) -> Output:
    if around.log is None:
        return _captured(words, deadline_s, cwd, around, None)
    with around.log.open("wb") as log:
        output = _captured(words, deadline_s, cwd, around, log)
    return Output(status=output.status, stdout=around.log.read_bytes(), stderr=b"")


def _captured(
    words: list[str],
    deadline_s: float,
    cwd: Path | None,
    around: Surroundings,
    log: IO[bytes] | None,
) -> Output:
    with subprocess.Popen(
        words,
        cwd=cwd,
        env=around.environment,
        stdin=subprocess.PIPE,
        stdout=log or subprocess.PIPE,
        stderr=subprocess.STDOUT if log else subprocess.PIPE,
        umask=around.umask,
        pass_fds=around.inherits,
    ) as running:
        try:
            stdout, stderr = running.communicate(around.data, timeout=deadline_s)
        except subprocess.TimeoutExpired as late:
            _kill(running)
            return Output(status=None, stdout=late.stdout or b"", stderr=late.stderr or b"")
        except BaseException:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(_CLEANING_S)
            _kill(running)
            raise
    return Output(status=running.returncode, stdout=stdout or b"", stderr=stderr or b"")


def _kill(running: "subprocess.Popen[bytes]") -> None:
    """Kill a tool and every process that it has started."""
    # List the children before the kill; afterwards init is their parent.
    below = process.descendants(running.pid)
    running.kill()
    process.kill(below)


def _grouped(words: list[str], error: type[HarnessError]) -> list[str]:
    """Return a command line that runs a tool in a process group which ends with this process.

    Raises: `error` when setpriv is not installed.
    """
    setpriv = programs.find("setpriv", error=error)
    line = [setpriv, "--pdeathsig", "TERM", "--", "sh", "-c", _GROUP, "sh", str(os.getpid())]
    return [*line, *words]


# $1 is the process that must live: it may have died before setpriv asked for the signal. A signal
# ends the first `wait` early.
_GROUP = """
[ "$PPID" = "$1" ] || exit 1
shift
setsid "$@" < /dev/null &
tool=$!
trap 'kill -s TERM -- "-$tool"' TERM INT HUP
wait "$tool"
status=$?
while kill -0 "$tool" 2> /dev/null; do
	wait "$tool"
	status=$?
done
exit "$status"
"""
