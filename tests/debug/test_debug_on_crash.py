# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`kernel-test --debug-on-crash`: a run stops at a real panic, then continues after quit."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host.config import environment
from tests.crash.places import place_of
from tests.debug.conftest import invoke
from tests.debug.terminal import PROJECT, started

RUNS = PROJECT / "build" / "runs"
NULL = place_of("test_crash.c", "osq_crash_null", "WRITE_ONCE")
DIVIDE = place_of("test_crash.c", "osq_crash_divide", "1000 / by")
# The longest time from the command to the first panic: boot or restore, load, test; emulated, on a
# busy host.
CRASH_S = 300
# The same for a host that also has to restore a guest after the crash.
END_S = 300


@pytest.fixture
def run() -> Iterator[Path]:
    """Give the folder of a run that a test makes; it is removed at the end."""
    folder = RUNS / f"debug-on-crash-{time.time_ns():x}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("debugger", ["gdb", "lldb"])
def test_debug_on_crash_opens_a_debugger_at_the_line_of_each_of_two_crashes(
    debugger: str, run: Path
) -> None:
    """kernel-test stops each of two real crashes in gdb or lldb, and goes on after `quit`."""
    tests = "a_fault and (null or divide)"
    options = ("--debug-on-crash", f"--debugger={debugger}", f"--run-id={run.name}", "-k", tests)
    with started(debugger, "kernel-test", "--crash-tests", *options) as terminal:
        stacks, logs = [], []
        for _ in range(2):
            terminal.ready(CRASH_S)
            stacks.append(terminal.ask("bt"))
            logs.append(terminal.ask("lx-dmesg 4"))
            terminal.leave()
        said, status = terminal.end(END_S)

    for stack, function, place in zip(
        stacks, ("osq_crash_null", "osq_crash_divide"), (NULL, DIVIDE), strict=True
    ):
        assert re.search(rf"#0.*{function}.*{re.escape(place)}\b", stack), stack
        # lldb cannot unwind out of a function without a frame (docs/debugging.md).
        if (debugger, function) != ("lldb", "osq_crash_divide"):
            assert "do_syscall_64" in stack
    assert all("Kernel panic - not syncing" in log for log in logs)
    assert status == 0, said
    found = json.loads((run / "report.json").read_text())
    assert [one["verdict"] for one in found["results"]] == ["passed", "passed"]
    assert [one["function"] for one in found["crashes"]] == ["osq_crash_null", "osq_crash_divide"]
    # The stack in the report is the kernel's, not the one that the debugger was shown.
    memory = (run / "crashes" / "1" / "memory.txt").read_text()
    assert re.search(r"on which it died: osqstress", memory)
    assert "panic" in memory
    assert not (environment().runtime / run.name).exists()


def test_debug_on_crash_without_a_terminal_exits_with_2_and_creates_no_run_folder(
    run: Path,
) -> None:
    """kernel-test --debug-on-crash without a terminal ends before it builds or starts anything."""
    done = invoke("kernel-test", "--debug-on-crash", f"--run-id={run.name}")

    assert done.returncode == 2
    assert "needs a terminal to give to a debugger, and there is none" in done.stderr
    assert not run.exists()
