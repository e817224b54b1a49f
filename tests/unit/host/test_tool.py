# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""tool: a program that ends well, badly, late, or is not there."""

import errno
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import BuildError, Lost
from harness.host import tool


def shell(line: str) -> list[str]:
    """Return a command that runs a line of shell."""
    return ["sh", "-c", line]


def test_what_a_tool_says_is_returned(tmp_path: Path) -> None:
    """Its two streams, in its folder, with its input and environment."""
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


def test_a_failure_has_the_last_lines_as_evidence() -> None:
    """The error is of the caller's kind."""
    with pytest.raises(BuildError, match=r"^sh failed$") as caught:
        tool.run(shell("echo one; echo two >&2; exit 3"), deadline_s=30, error=BuildError)

    assert caught.value.evidence == ("one", "two")


def test_without_a_check_the_status_is_the_callers_to_judge() -> None:
    """A status that is not 0 is an answer of some tools."""
    assert tool.run(shell("exit 3"), deadline_s=30, error=Lost, check=False).status == 3


@pytest.mark.parametrize("log", ["log", None])
def test_a_tool_that_hangs_is_ended_at_its_deadline(tmp_path: Path, log: str | None) -> None:
    """What it said until then is the evidence, from a log and from pipes."""
    within = tool.Surroundings(log=tmp_path / log) if log else None
    begun = time.monotonic()

    with pytest.raises(BuildError, match=r"^sh did not end in 1 s$") as caught:
        tool.run(shell("echo begun; exec sleep 60"), deadline_s=1, error=BuildError, within=within)

    assert caught.value.evidence == ("begun",)
    assert time.monotonic() - begun < 30


def test_what_a_tool_started_is_ended_with_it(tmp_path: Path) -> None:
    """A compiler below make would go on else, and hold the folder that it works in."""
    file = tmp_path / "pid"

    with pytest.raises(BuildError, match="did not end"):
        tool.run(shell(f"sleep 60 & echo $! >{file}; wait"), deadline_s=1, error=BuildError)

    child = int(file.read_text())
    end = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_missing_tool_names_its_package() -> None:
    """And a folder that is missing is not taken for a missing tool."""
    with pytest.raises(BuildError, match=r"^no-such-tool is not installed$") as caught:
        tool.run(["no-such-tool"], deadline_s=30, error=BuildError)

    assert "apt-get install no-such-tool" in caught.value.hint
    with pytest.raises(FileNotFoundError):
        tool.run(["true"], deadline_s=30, error=BuildError, cwd=Path("/no/such/folder"))


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    """Tools have only words for it; without a folder that they fill it is an ordinary failure."""
    command = shell("echo write error: No space left on device >&2; exit 1")

    with pytest.raises(Lost, match="the disk is full"):
        tool.run(command, deadline_s=30, error=BuildError, within=tool.Surroundings(disk=tmp_path))
    with pytest.raises(BuildError, match=r"^sh failed$"):
        tool.run(command, deadline_s=30, error=BuildError)


def test_a_log_holds_all_and_the_umask_is_the_tools(tmp_path: Path) -> None:
    """Both streams go into the file, in their order."""
    log = tmp_path / "log"

    done = tool.run(
        shell("echo one; echo two >&2; umask"),
        deadline_s=30,
        error=BuildError,
        within=tool.Surroundings(log=log, umask=0o027),
    )

    assert log.read_text() == done.text == "one\ntwo\n0027\n"


def test_a_stream_is_read_to_its_end() -> None:
    """More than a pipe holds, and a tool that ends well."""
    command = shell("head -c 1000000 /dev/zero")

    with tool.reading(command, deadline_s=30, error=BuildError) as stream:
        assert len(stream.read()) == 1000000


def test_a_reader_that_has_enough_leaves() -> None:
    """The tool is ended then, and that it was is no failure."""
    with tool.reading(shell("exec yes"), deadline_s=30, error=BuildError) as stream:
        assert stream.readline() == b"y\n"


def test_a_stream_that_breaks_is_an_error() -> None:
    """What was read until then is not the whole."""
    command = shell("echo part; echo broken archive >&2; exit 2")

    with (
        pytest.raises(BuildError, match=r"^sh failed$") as caught,
        tool.reading(command, deadline_s=30, error=BuildError) as stream,
    ):
        stream.read()

    assert caught.value.evidence == ("broken archive",)


def test_a_stream_that_stands_still_ends_at_its_deadline() -> None:
    """The read returns, and the tool that was killed is an error."""
    with (
        pytest.raises(BuildError, match=r"^sh failed$"),
        tool.reading(shell("exec sleep 60"), deadline_s=1, error=BuildError) as stream,
    ):
        assert stream.read() == b""


def test_an_error_of_the_reader_passes() -> None:
    """The tool is ended, and does not hide what the reader has to say."""
    with (
        pytest.raises(OSError, match="full") as caught,
        tool.reading(shell("exec yes"), deadline_s=30, error=BuildError),
    ):
        raise OSError(errno.ENOSPC, "full")

    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(("line", "status"), [("exit 3", 3), ("exec sleep 60", None)])
def test_a_command_that_is_shown_has_a_deadline_too(
    tmp_path: Path, line: str, status: int | None
) -> None:
    """None for one that had to be ended."""
    assert tool.run_shown(shell(line), deadline_s=2, cwd=tmp_path) == status
