# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.tool: programs that succeed, fail, hang or are not installed."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import BuildError, Lost
from harness.host import tool


def shell(line: str) -> list[str]:
    """Return a command that runs a line of shell script."""
    return ["sh", "-c", line]


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended."""
    end = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_output_of_a_tool_is_returned(tmp_path: Path) -> None:
    """Stdout and stderr of a program come back; folder, input and environment reach it."""
    within = tool.Surroundings(data=b"given", environment={"PATH": "/usr/bin:/bin", "WORD": "w"})

    done = tool.run(
        shell("cat; pwd; echo $WORD; echo bad >&2"),
        deadline_s=30,
        error=BuildError,
        cwd=tmp_path,
        within=within,
    )

    assert done.text == f"given{tmp_path}\nw\n"
    assert done.lines == (f"given{tmp_path}", "w", "bad")


def test_a_failing_tool_raises_the_callers_error_class_with_its_last_output_lines() -> None:
    """A failing tool raises the caller's error class with the last lines."""
    with pytest.raises(BuildError, match=r"^sh failed$") as caught:
        tool.run(shell("echo one; echo two >&2; exit 3"), deadline_s=30, error=BuildError)

    assert caught.value.evidence == ("one", "two")


def test_without_check_a_failing_status_is_returned() -> None:
    """With check=False a program's exit status other than 0 is returned, not raised."""
    assert tool.run(shell("exit 3"), deadline_s=30, error=Lost, check=False).status == 3


@pytest.mark.parametrize("log", ["log", None])
def test_a_hanging_tool_raises_at_its_deadline_an_error_with_its_output_so_far_as_evidence(
    tmp_path: Path, log: str | None
) -> None:
    """At its deadline a tool is killed; its output so far, from log or pipes, is evidence."""
    within = tool.Surroundings(log=tmp_path / log) if log else None
    begun = time.monotonic()

    with pytest.raises(BuildError, match=r"^sh did not end in 1 s$") as caught:
        tool.run(shell("echo begun; exec sleep 60"), deadline_s=1, error=BuildError, within=within)

    assert caught.value.evidence == ("begun",)
    assert time.monotonic() - begun < 30


def test_the_children_of_a_hanging_tool_are_killed(tmp_path: Path) -> None:
    """At a tool's deadline its children are killed, for example a compiler that make started."""
    file = tmp_path / "pid"

    with pytest.raises(BuildError, match="did not end"):
        tool.run(shell(f"sleep 60 & echo $! >{file}; wait"), deadline_s=1, error=BuildError)

    wait_for_end(int(file.read_text()))


USER = """
import sys
from harness.errors import BuildError
from harness.host import tool

tool.run(
    ["sh", "-c", sys.argv[1]],
    deadline_s=60,
    error=BuildError,
    within=tool.Surroundings(own_group=True),
)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_child_of_a_tool_in_its_own_process_group_is_ended_when_a_signal_ends_the_harness(
    tmp_path: Path, number: int
) -> None:
    """A tool outside of the terminal's process group gets no Ctrl-C, so the harness ends it."""
    file = tmp_path / "pid"
    line = f"sleep 60 & echo $! >{file}.new; mv {file}.new {file}; wait"
    with subprocess.Popen(
        [sys.executable, "-c", USER, line], stderr=subprocess.DEVNULL
    ) as command:
        end = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(command.pid, number)

    wait_for_end(int(file.read_text()))


def test_a_tool_in_its_own_process_group_returns_its_status_and_output(tmp_path: Path) -> None:
    """A program run in its own group also has its own name in the error if it is missing."""
    within = tool.Surroundings(own_group=True)

    done = tool.run(
        shell("echo x; exit 3"), deadline_s=30, error=BuildError, check=False, within=within
    )

    assert (done.status, done.text) == (3, "x\n")
    with pytest.raises(BuildError, match=r"^sh failed$"):
        tool.run(shell("exit 1"), deadline_s=30, error=BuildError, within=within, cwd=tmp_path)
    with pytest.raises(BuildError, match=r"^no-such-tool is not installed$"):
        tool.run(["no-such-tool"], deadline_s=30, error=BuildError, within=within)


def test_a_missing_tool_raises_the_callers_error_with_apt_get_install_of_its_package() -> None:
    """A working folder that is missing is told apart and raises FileNotFoundError."""
    with pytest.raises(BuildError, match=r"^no-such-tool is not installed$") as caught:
        tool.run(["no-such-tool"], deadline_s=30, error=BuildError)

    assert "apt-get install no-such-tool" in caught.value.hint
    with pytest.raises(FileNotFoundError):
        tool.run(["true"], deadline_s=30, error=BuildError, cwd=Path("/no/such/folder"))


def test_a_tools_disk_full_message_raises_lost_if_disk_is_given_and_else_the_callers_error(
    tmp_path: Path,
) -> None:
    """With the argument `disk`, a program's message 'No space left' becomes the error Lost."""
    command = shell("echo write error: No space left on device >&2; exit 1")

    with pytest.raises(Lost, match="the disk is full"):
        tool.run(command, deadline_s=30, error=BuildError, within=tool.Surroundings(disk=tmp_path))
    with pytest.raises(BuildError, match=r"^sh failed$"):
        tool.run(command, deadline_s=30, error=BuildError)


def test_a_tools_log_has_stdout_and_stderr_in_order_and_the_tool_runs_with_the_given_umask(
    tmp_path: Path,
) -> None:
    """A log file gets both streams in their order, and the tool runs with the given umask."""
    log = tmp_path / "log"

    done = tool.run(
        shell("echo one; echo two >&2; umask"),
        deadline_s=30,
        error=BuildError,
        within=tool.Surroundings(log=log, umask=0o027),
    )

    assert log.read_text() == done.text == "one\ntwo\n0027\n"


def test_a_stream_larger_than_a_pipe_is_read_completely() -> None:
    """A program whose output is read as a stream may print more than a pipe holds."""
    command = shell("head -c 1000000 /dev/zero")

    with tool.reading(command, deadline_s=30, error=BuildError) as stream:
        assert len(stream.read()) == 1000000


def test_leaving_a_tools_stream_before_its_end_raises_no_error() -> None:
    """After one line of `yes` is read, the with block ends without an error."""
    with tool.reading(shell("exec yes"), deadline_s=30, error=BuildError) as stream:
        assert stream.readline() == b"y\n"


def test_a_tool_that_fails_after_its_stream_is_an_error() -> None:
    """A program whose lines were read and that then fails raises: its output is incomplete."""
    command = shell("echo part; echo broken archive >&2; exit 2")

    with (
        pytest.raises(BuildError, match=r"^sh failed$") as caught,
        tool.reading(command, deadline_s=30, error=BuildError) as stream,
    ):
        stream.read()

    assert caught.value.evidence == ("broken archive",)


def test_a_tools_stream_without_output_ends_at_its_deadline_with_an_error() -> None:
    """At its deadline a silent tool is killed, its stream ends, and an error is raised."""
    with (
        pytest.raises(BuildError, match=r"^sh failed$"),
        tool.reading(shell("exec sleep 60"), deadline_s=1, error=BuildError) as stream,
    ):
        assert stream.read() == b""


def test_an_error_raised_while_reading_a_tools_stream_is_passed_on_to_the_caller() -> None:
    """An OSError that the reader of a tool's stream raises reaches the caller unchanged."""
    with (
        pytest.raises(OSError, match="full") as caught,
        tool.reading(shell("exec yes"), deadline_s=30, error=BuildError),
    ):
        raise OSError(errno.ENOSPC, "full")

    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(("line", "status"), [("exit 3", 3), ("exec sleep 60", None)])
def test_run_shown_returns_the_exit_status_or_none_if_the_deadline_came_first(
    tmp_path: Path, line: str, status: int | None
) -> None:
    """run_shown returns None for a command that was killed at its deadline."""
    assert tool.run_shown(shell(line), deadline_s=2, cwd=tmp_path) == status
