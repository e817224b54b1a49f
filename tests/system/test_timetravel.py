# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Time travel with the real QEMU and gdb: record a crash, and step back from it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.artefacts import kernel_symbols
from harness.host.config import environment
from harness.record import recording
from harness.record.time_travel import Replay, replaying
from tests.crash.places import place_of
from tests.system.whole_run import ROOT, RUNTIME

_RECORD_S = 150.0
_DEBUG_S = 90.0
_FAULT = place_of("test_crash.c", "osq_crash_null", "WRITE_ONCE")
_NULL_TEST = "test_a_fault_detected_at_once_is_reported_with_its_kind_function_and_line[null]"


@dataclass(frozen=True, kw_only=True)
class Done:
    """The result of an ended `invoke` command."""

    code: int
    output: str


def invoke(*words: str, deadline_s: float) -> Done:
    """Run one command of the harness to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**os.environ, "CI": "1", "XDG_RUNTIME_DIR": str(RUNTIME)},
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        timeout=deadline_s,
    )
    return Done(code=done.returncode, output=done.stdout)


def runtime() -> Path:
    """Return the folder for sockets that those commands use."""
    return RUNTIME / f"modlab-{os.getuid()}"


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Done, Path]]:
    """Record one crash point of the test build, once for all tests here."""
    name = f"system-{time.time_ns():x}"
    folder = ROOT / "build" / "runs" / name
    line = ("kernel-test", f"--record={_NULL_TEST}", f"--run-id={name}")
    yield invoke(*line, deadline_s=_RECORD_S), folder
    subprocess.run(["rm", "-rf", folder], check=True)


def to_panic(replay: Replay) -> tuple[int, str]:
    """Continue to the panic; return the number of instructions and the console's text."""
    found = kernel_symbols.find_release(
        replay.recording.kernel, replay.recording.kernel_version, environment().cache
    )
    assert found is not None
    steps = ("set confirm off", f"target remote {replay.stub}", "thbreak panic", "continue")
    line = [word for step in steps for word in ("-ex", step)]
    # It leaves without detaching, so that the guest stays where it is.
    with subprocess.Popen(
        ["gdb", "-nx", "-q", found.vmlinux, *line, "-ex", "echo stopped\\n"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as gdb:
        assert gdb.stdout is not None
        said = []
        for text in gdb.stdout:
            said.append(text)
            if text == "stopped\n":
                break
        assert any(", panic (" in text for text in said), "".join(said)
        count = replay.qemu.query_count()
        gdb.kill()
    return count, replay.console.read_text(errors="backslashreplace")


def test_a_recorded_crash_is_reported_with_its_function_and_line(
    recorded: tuple[Done, Path],
) -> None:
    """kernel-test --record of a real crash prints function and line, and saves two states."""
    done, folder = recorded

    assert done.code == 0, done.output
    assert f"passed: test_crash_points::{_NULL_TEST}: as announced: " in done.output
    assert f"in osq_crash_null [osq_test] (kernel/os/linux/{_FAULT})" in done.output
    found = recording.read(folder)
    assert found.ending is recording.Ending.PANIC
    assert found.fault is not None
    assert found.fault.function == "osq_crash_null"
    assert found.states == (recording.AT_START, recording.AT_LOAD)


def test_gdb_goes_back_from_the_panic_to_the_failed_instruction(
    recorded: tuple[Done, Path], nothing_left: Callable[[], set[str]]
) -> None:
    """replay-debug of a real recording goes from the panic back to the faulting line."""
    _, folder = recorded

    steps = (
        "to-panic",
        "continue",
        "to-fault",
        "info line *$pc",
        "reverse-stepi",
        "info symbol $pc",
        "up",
        "watch -l *(long *)$sp",
        "reverse-continue",
        "bt 3",
    )
    commands = [f"--command={step}" for step in steps]
    done = invoke("replay-debug", folder.name, *commands, deadline_s=_DEBUG_S)

    assert done.code == 0, done.output
    panic, _, rest = done.output.partition("panic (fmt=")
    fault, _, before = rest.partition("starts at address")
    assert panic, done.output
    assert fault.rstrip().endswith(f'Line {_FAULT.partition(":")[2]} of "{_source()}"'), (
        done.output
    )
    assert "<osq_crash_null+5>" in before
    assert "osq_crash_null in section .text of" in before
    assert "Hardware watchpoint" in before
    assert nothing_left() == set()
    assert list(folder.glob(".replay.*")) == []


def _source() -> Path:
    return ROOT / "kernel" / "os" / "linux" / "test_crash.c"


def test_recording_a_test_that_needs_a_network_or_with_option_keep_is_refused() -> None:
    """kernel-test --record exits with 2 before a build: a recorded guest has no network."""
    done = invoke(
        "kernel-test",
        "--record=test_each_wrong_use_of_the_device_fails_with_the_expected_errno",
        deadline_s=_DEBUG_S,
    )
    stays = invoke(
        "kernel-test",
        f"--record={_NULL_TEST}",
        "--keep",
        deadline_s=_DEBUG_S,
    )

    assert (done.code, stays.code) == (2, 2)
    assert "a recorded guest has no network" in done.output
    assert (
        "test_stress::test_each_record_made_in_tasks_and_interrupts_is_read_or_counted_as_dropped[task]"
        in done.output
    )
    assert "--keep does not apply with --record" in stays.output
    assert "build" not in done.output


def test_recording_a_command_that_exits_with_7_stores_7_and_the_task_exits_with_1() -> None:
    """`record COMMAND --variant=test` in a real guest stores its status and console."""
    name = f"system-{time.time_ns():x}"
    folder = ROOT / "build" / "runs" / name
    try:
        done = invoke(
            *("record", "lsmod; exit 7", "--variant=test", f"--run-id={name}"),
            deadline_s=_RECORD_S,
        )

        assert done.code == 1, done.output
        assert recording.read(folder).status == 7
        console = (folder / recording.CONSOLE).read_text(errors="backslashreplace")
        assert re.search(r"^osq_test\s+\d+\s+0", console, re.MULTILINE)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


def test_two_replays_reach_the_panic_after_equally_many_instructions_with_equal_console_texts(
    recorded: tuple[Done, Path],
) -> None:
    """A recording of a real guest is replayed twice, with the same instructions and console."""
    _, folder = recorded

    with replaying(folder, runtime=runtime()) as first:
        once = to_panic(first)
    with replaying(folder, runtime=runtime()) as second:
        again = to_panic(second)

    assert once == again
    assert once[0] > 10**9
    whole = (folder / recording.CONSOLE).read_text(errors="backslashreplace")
    assert once[1] in whole
    assert "osq_crash_null+0x5/" in once[1]


def test_a_damaged_recording_is_refused(recorded: tuple[Done, Path]) -> None:
    """replay-debug exits with 2 and names replay.bin, of which 100 bytes were cut."""
    _, folder = recorded
    events = folder / recording.EVENTS
    whole = events.read_bytes()
    events.write_bytes(whole[:-100])
    try:
        done = invoke("replay-debug", folder.name, "--command=quit", deadline_s=_DEBUG_S)
    finally:
        events.write_bytes(whole)

    assert done.code == 2
    assert "error: replay.bin of" in done.output
    assert "has changed since it was recorded" in done.output
