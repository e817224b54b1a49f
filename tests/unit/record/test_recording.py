# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of recording: QEMU's arguments for record and replay, and record.json."""

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


def test_qemu_arguments_for_record_and_replay_differ_only_in_mode_and_snapshot_option() -> None:
    """A replay needs the recorded machine, so only rr= and rrsnapshot= differ."""
    recorded = line(Mode.RECORD, "start")

    replayed = line(Mode.REPLAY, "load")

    assert "rr=record," in recorded
    assert "rrsnapshot=start" in recorded
    assert replayed == recorded.replace("rr=record", "rr=replay").replace("=start", "=load")


def test_qemu_arguments_with_a_gdb_stub_start_it_stopped_and_keep_it_after_a_guest_shutdown() -> (
    None
):
    """A replay for a debugger waits for it, and stays after the guest's shutdown."""
    found = line(Mode.REPLAY, "load", gdb=Path("/s/gdb"))

    assert "-S -no-shutdown -gdb unix:/s/gdb,server=on,wait=off" in found
    assert "-S" not in line(Mode.RECORD, "start")


def test_a_comma_in_a_path_is_doubled_within_qemu_suboptions_but_not_in_plain_arguments() -> None:
    """A path keeps its comma in a QEMU option, since a single comma ends the option's value."""
    found = line(Mode.RECORD, "start")

    assert "rrfile=/a,,b/replay.bin,rrsnapshot" in found
    assert "-kernel /a,b/vmlinuz" in found


def test_record_json_round_trips(tmp_path: Path) -> None:
    """A recording that is written to record.json is read back unchanged."""
    recording.write(FOUND, tmp_path)

    assert recording.read(tmp_path) == FOUND


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no recording"), ("{}", "not a valid"), ("{", "not a valid")]
)
def test_folder_without_a_valid_record_is_refused(
    tmp_path: Path, text: str | None, message: str
) -> None:
    """A recording's folder with no, an empty or a cut record.json is refused."""
    if text is not None:
        (tmp_path / recording.RECORD).write_text(text)

    with pytest.raises(UsageError, match=message):
        recording.read(tmp_path)
