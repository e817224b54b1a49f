# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A command that is interrupted: in order, whether the signal comes once or twice."""

import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import time
from harness.tasks.common import command

@command
def wait() -> int:
    print("ready", flush=True)
    try:
        time.sleep(30)
    finally:
        time.sleep(0.3)
        print("cleaned up", flush=True)
    return 0

wait()
"""


def ended(*signals: int) -> tuple[str, str]:
    """Return both streams of a command that got these signals in one moment."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            os.kill(process.pid, number)
            time.sleep(0.05)
        return process.communicate(timeout=20)


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGINT,),
        (signal.SIGTERM,),
        # A terminal sends to the whole group, 'timeout' passes it on: two of one stroke.
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
    ],
)
def test_one_stroke_is_one_interruption(signals: tuple[int, ...]) -> None:
    """The way out is gone to its end, once."""
    out, err = ended(*signals)

    assert out == "cleaned up\n"
    assert "KeyboardInterrupt" not in err.partition("interrupted")[0]
    assert err.startswith("interrupted\n")
