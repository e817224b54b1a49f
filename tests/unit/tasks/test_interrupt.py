# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of interrupts: a command cleans up and ends, for one signal and for two."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.errors import INTERRUPTED, RunInterrupted
from harness.tasks.execution import Interrupt, execute

COMMAND = """
import time
import sys
from harness.tasks.execution import execute

def wait() -> int:
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
    return 0

sys.exit(execute(wait))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_stopped_by_sigint_or_sigterm_cleans_up_and_says_interrupted(
    number: int,
) -> None:
    """A task of the harness that gets a signal releases what it holds."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=60)

    assert out == "cleaned up\n"
    assert err.startswith("interrupted\n")


def test_an_interrupted_run_shows_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that is interrupted prints its summary, and ends in the interrupt's exit code."""

    def body() -> int:
        raise RunInterrupted(["files: here", "verdict: lost"])

    assert execute(body) == INTERRUPTED
    assert capsys.readouterr().out == "files: here\nverdict: lost\n"


def test_a_second_signal_half_a_second_later_is_ignored_and_a_later_one_interrupts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A doubled Ctrl-C does not interrupt the cleanup of a task; a later one does."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    interrupt = Interrupt()

    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT, None)
    now += 0.5
    interrupt(signal.SIGTERM, None)
    now += 0.6
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT, None)
