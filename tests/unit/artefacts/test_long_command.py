# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of artefacts.long_command: a slow build reports progress and has a deadline."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.artefacts import long_command
from harness.artefacts.long_command import Watch
from harness.errors import BuildError


def watch(folder: Path, notes: list[str], *, deadline_s: float = 60.0) -> Watch:
    """Return a watch that collects the reported progress in a list."""
    return Watch(
        what="building m", log=folder / "log", deadline_s=deadline_s, progress=notes.append
    )


def test_a_slow_commands_progress_message_has_what_is_built_the_line_count_and_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a long build runs, the user is told the time, too; the log has all output."""
    monkeypatch.setattr(long_command, "_TELL_EVERY_S", 0.2)
    notes: list[str] = []

    status = long_command.run(
        ["sh", "-c", "echo one; echo two; sleep 1; exit 3"], watch(tmp_path, notes), cwd=tmp_path
    )

    assert status == 3
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    assert notes
    assert re.fullmatch(r"building m: \d+ s, 2 lines; two", notes[0])


def test_the_deadline_kills_the_command_and_its_children(tmp_path: Path) -> None:
    """The error of a command killed at its deadline names the configuration key of the limit."""
    # Other runs of this test look for theirs at the same time.
    mark = f"31.{os.getpid()}"
    with pytest.raises(BuildError, match="took over 1 s") as caught:
        long_command.run(
            ["sh", "-c", f"sleep {mark} & sleep {mark}"],
            watch(tmp_path, [], deadline_s=1.0),
            cwd=tmp_path,
        )

    assert "build_deadline_s" in caught.value.hint
    left = subprocess.run(["pgrep", "-f", f"^sleep {mark}"], check=False, capture_output=True)
    assert left.stdout == b""


def test_ctrl_c_while_the_command_is_being_started_kills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy host may run the command for a moment before the call that starts it returns."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        long_command.run(["sleep", "60"], watch(tmp_path, []), cwd=tmp_path)

    (command,) = started
    try:
        assert command.poll() == -signal.SIGKILL
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        command.kill()
        command.wait()
