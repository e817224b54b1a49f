# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""recording: one machine for record and replay, and a folder that says what it holds."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.record import recording
from harness.record.recording import Ending, Fault, Machine, Mode, Recording

FILES = {
    name: Path("/a,b") / name
    for name in (
        recording.EVENTS,
        recording.STATES,
        recording.KERNEL,
        recording.INITRD,
        recording.CONSOLE,
    )
}
MACHINE = Machine(memory_mib=512, extra_cmdline="quiet")
FOUND = Recording(
    run_id="one",
    command="true",
    module="toy",
    kernel="6.1.0-9-toy",
    kernel_version="6.1.9-1",
    qemu="7.2.1",
    command_line=("qemu", "-m", "512"),
    machine=MACHINE,
    ending=Ending.PANIC,
    status=None,
    fault=Fault(function="toy_crash", offset=5, size=16, module="toy"),
    sections={".text": 0xFFFFFFFFC0201000},
    states=("start", "load"),
    instructions=0,
    digests={"replay.bin": "00"},
)


def line(mode: Mode, state: str, **control: Path) -> str:
    """Return the arguments of a machine in one string."""
    return " ".join(recording.arguments(MACHINE, mode, files=FILES, state=state, control=control))


def test_record_and_replay_are_the_same_machine() -> None:
    """Apart from the mode and the state not one argument differs."""
    recorded = line(Mode.RECORD, "start")

    replayed = line(Mode.REPLAY, "load")

    assert "rr=record," in recorded
    assert "rrsnapshot=start" in recorded
    assert replayed == recorded.replace("rr=record", "rr=replay").replace("=start", "=load")


def test_a_debugger_finds_the_guest_stopped_and_keeps_it() -> None:
    """With a stub the guest does not run before the debugger says so, nor vanish at its end."""
    found = line(Mode.REPLAY, "load", gdb=Path("/s/gdb"))

    assert "-S -no-shutdown -gdb unix:/s/gdb,server=on,wait=off" in found
    assert "-S" not in line(Mode.RECORD, "start")


def test_commas_in_paths_are_doubled() -> None:
    """QEMU takes a single comma for the next option."""
    found = line(Mode.RECORD, "start")

    assert "rrfile=/a,,b/replay.bin,rrsnapshot" in found
    assert "-kernel /a,b/vmlinuz" in found


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """record.json gives back the same value."""
    recording.write(FOUND, tmp_path)

    assert recording.read(tmp_path) == FOUND


@pytest.mark.parametrize(
    ("text", "said"), [(None, "no recording"), ("{}", "not what"), ("{", "not what")]
)
def test_a_folder_that_is_no_recording_is_named(
    tmp_path: Path, text: str | None, said: str
) -> None:
    """No record.json, an empty and a cut one are each told."""
    if text is not None:
        (tmp_path / recording.RECORD).write_text(text)

    with pytest.raises(UsageError, match=said):
        recording.read(tmp_path)
