# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A command that is interrupted ends in order, whether the signal comes once or twice."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.tasks.execution import Interrupt

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
def test_a_signal_ends_a_command_in_order(number: int) -> None:
    """What the command holds is given back, and the end is called an interruption."""
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


def test_one_stroke_is_one_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sends to the whole group and 'timeout' passes it on; a second stroke counts."""
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
