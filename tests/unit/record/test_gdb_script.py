# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of gdb_script: symbols have the recorded kernel's addresses; no address is guessed."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.record import gdb_script
from harness.record.gdb_script import ReplayFiles
from harness.record.recording import Fault
from tests.unit.record.test_recording import FOUND

SOURCE = "void first(void) { }\nvoid toy_crash(void) { *(volatile int *)0 = 1; }\n"


@pytest.fixture
def files(tmp_path: Path) -> ReplayFiles:
    """Compile an object file of two functions, which is used as module and as kernel."""
    (tmp_path / "toy.c").write_text(SOURCE)
    module = tmp_path / "toy.ko"
    subprocess.run(["gcc", "-O1", "-c", "-o", module, tmp_path / "toy.c"], check=True)
    return ReplayFiles(socket=tmp_path / "gdb", vmlinux=module, module=module)


def symbol(files: ReplayFiles, name: str) -> tuple[int, int]:
    """Return the value and size of a function, read by nm."""
    out = subprocess.check_output(["nm", "-S", files.module], text=True)
    row = next(line.split() for line in out.splitlines() if line.endswith(f" {name}"))
    return int(row[0], 16), int(row[1], 16)


def test_the_gdb_script_has_a_hardware_breakpoint_at_section_plus_symbol_plus_fault_offset(
    files: ReplayFiles,
) -> None:
    """A replay's gdb script has hbreak at the fault, and loads symbols before it connects."""
    value, size = symbol(files, "toy_crash")
    fault = Fault(function="toy_crash", offset=2, size=size, module="toy")
    recording = replace(FOUND, fault=fault)

    text = gdb_script.text(recording, files)

    address = FOUND.sections[".text"] + value + 2
    assert f"hbreak *{address:#x}" in text
    assert f"-s .text {FOUND.sections['.text']:#x}" in text
    assert text.index("add-symbol-file") < text.index("target remote")


@pytest.mark.parametrize(
    ("module", "size", "sections"),
    [
        ("toy", 0x9999, {".text": 0x1000}),
        ("toy", 0, {}),
        ("toy", 0, {".data": 0x1000}),
        ("other", 0, {".text": 0x1000}),
    ],
)
def test_the_gdb_script_defines_no_to_fault_command_if_the_faults_address_is_uncertain(
    files: ReplayFiles, module: str, size: int, sections: dict[str, int]
) -> None:
    """If the fault's address is not certain, a replay's gdb script cannot run up to the fault.

    Cases: the function has another size, the module's sections are unknown, its .text is unknown,
    or the fault is in another module.
    """
    fault = Fault(
        function="toy_crash",
        offset=2,
        size=size or symbol(files, "toy_crash")[1],
        module=module,
    )
    recording = replace(FOUND, fault=fault, sections=sections)

    assert gdb_script.fault_address(recording, files) is None
    assert "define to-fault" not in gdb_script.text(recording, files)


def test_the_gdb_script_defines_to_end_only_if_the_recording_has_an_instruction_count(
    files: ReplayFiles,
) -> None:
    """The command to-end runs a replay to where the recorded guest was ended at its deadline.

    Another guest stops at the functions where guests end.
    """
    text = gdb_script.text(replace(FOUND, instructions=77), files)

    assert "define to-end\nmonitor replay_break 77\n" in text
    assert "to-end" not in gdb_script.text(FOUND, files)
