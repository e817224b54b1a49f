# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.process: a command that hangs shows where, and none of its processes stay."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.host import process

# A sleep of a length that nothing else on this machine uses, so that the test can find its
# sleeper.
_SLEEP_S = f"4321.{os.getpid()}"
_HANGS = f"""
import subprocess, time
def test_hangs():
    subprocess.Popen(["sleep", "{_SLEEP_S}"])
    time.sleep(4321)
"""


# Far above the time that the tests take; without the tested behaviour they take a minute or hang.
_SOON_S = 30.0


def _commands() -> list[int]:
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if any(_SLEEP_S in word for word in (one.info["cmdline"] or ())[1:])
        and (one.info["cmdline"] or [""])[0] == sys.executable
    ]


def _sleepers() -> list[int]:
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if _SLEEP_S in (one.info["cmdline"] or ())
    ]


def test_a_hanging_test_shows_its_stack_and_its_children_are_killed(tmp_path: Path) -> None:
    """At the deadline a hanging pytest prints its stack; its children are listed and killed."""
    (tmp_path / "test_it.py").write_text(_HANGS)
    (tmp_path / "test_ends.py").write_text("def test_ends():\n    pass\n")
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    # The deadline must not come before pytest has started, so that time is measured first.
    begun = time.monotonic()
    assert process.run((*pytest_, "test_ends.py"), cwd=tmp_path, deadline_s=300.0).status == 0
    deadline_s = 2.0 + 2 * (time.monotonic() - begun)

    ended = process.run((*pytest_, "test_it.py"), cwd=tmp_path, deadline_s=deadline_s)

    assert ended.status is None
    assert any("in test_hangs" in line for line in ended.lines), ended.lines
    assert any(line.endswith(f"sleep {_SLEEP_S}") for line in ended.lines)
    end = time.monotonic() + _SOON_S
    while _sleepers() and time.monotonic() < end:
        time.sleep(0.05)
    assert _sleepers() == []


def test_a_child_that_still_holds_the_output_does_not_delay_the_commands_result(
    tmp_path: Path,
) -> None:
    """`run` returns when the command ends, although a child process still has its output."""
    begun = time.monotonic()

    ended = process.run(("sh", "-c", "echo said; sleep 6 & exit 3"), cwd=tmp_path, deadline_s=15.0)

    assert (ended.status, ended.lines) == (3, ("said",))
    assert time.monotonic() - begun < 5.0


_CLEANS = """
import pathlib, time
try:
    pathlib.Path("begun").touch()
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    pathlib.Path("cleaned").touch()
"""


def test_sigint_is_passed_on_to_the_command_which_can_clean_up_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C that only the harness gets also reaches the command that it waits for."""
    # `run` waits as long for an end by the terminal's own Ctrl-C, which the command does not get.
    monkeypatch.setattr(process, "_CLEANING_S", 5.0)
    begun = tmp_path / "begun"

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        process.run((sys.executable, "-c", _CLEANS), cwd=tmp_path, deadline_s=50.0)

    assert (tmp_path / "cleaned").exists()


def test_a_missing_program_is_a_file_not_found_error(tmp_path: Path) -> None:
    """Running a program that does not exist raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        process.run(("no-such-program",), cwd=tmp_path, deadline_s=5.0)


def test_interrupt_running_ends_a_long_command_that_another_thread_waits_for(
    tmp_path: Path,
) -> None:
    """The command gets SIGINT, and the waiting thread gets its exit status."""
    ended: list[process.Ended] = []
    command = (
        sys.executable,
        "-c",
        f"import time; print('up', flush=True); time.sleep({_SLEEP_S})",
    )
    thread = threading.Thread(
        target=lambda: ended.append(process.run(command, cwd=tmp_path, deadline_s=300.0))
    )
    thread.start()
    end = time.monotonic() + _SOON_S
    while not _commands() and time.monotonic() < end:
        time.sleep(0.05)

    process.interrupt_running()
    thread.join(_SOON_S)

    assert [one.status for one in ended] in ([-signal.SIGINT], [1], [130])
    assert not thread.is_alive()
