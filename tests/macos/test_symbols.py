# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of dSYM symbols: a real Mach-O's dSYM gives functions and lines for a panic."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.crash import log_symbols
from harness.errors import UsageError
from harness.model.requirement import CrashLog
from harness.model.settings import System
from harness.panic import darwin
from harness.panic.values import KernelReport
from harness.symbols import dsym_files
from harness.targets.crash_logs import explain_logs
from tests.command_line import ended

SOURCE = """static inline __attribute__((always_inline)) int inner(int a)
{
	return *(volatile int *)0 + a;
}
__attribute__((noinline)) int osq_crash(int a)
{
	return inner(a) + 1;
}
int osq_start(int a)
{
	int r = osq_crash(a);
	return r + 2;
}
"""
LOADED_AT = 0xFFFFFF7F83A21000
_TOOLS = ("clang", "ld64.lld-19", "dsymutil-19", "llvm-nm-19", "llvm-objdump-19")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, _TOOLS)), reason=f"one of {', '.join(_TOOLS)} is not installed"
)


@dataclass(frozen=True, kw_only=True)
class Kext:
    """A Mach-O like a kext's, its dSYM, and the two offsets that a panic reports."""

    dsym: Path
    uuid: str
    fault: int
    after_call: int


@pytest.fixture(scope="module")
def kext(tmp_path_factory: pytest.TempPathFactory) -> Kext:
    """Build the Mach-O: its faulting load is in an inlined function, called from another one."""
    folder = tmp_path_factory.mktemp("kext")
    (folder / "osq.c").write_text(SOURCE)
    target = ["-target", "x86_64-apple-macos11", "-mkernel", "-ffreestanding", "-g", "-O1"]
    steps = (
        ["clang", *target, "-fno-optimize-sibling-calls", "-c", "osq.c", "-o", "osq.o"],
        [
            *("ld64.lld-19", "-arch", "x86_64", "-platform_version", "macos", "11.0", "11.0"),
            *("-bundle", "-undefined", "dynamic_lookup", "-o", "osq", "osq.o"),
        ],
        ["dsymutil-19", "osq", "-o", "osq.kext.dSYM"],
    )
    for step in steps:
        subprocess.run(step, check=True, cwd=folder)
    text = subprocess.run(
        ["llvm-objdump-19", "-d", "--no-show-raw-insn", "osq"],
        check=True,
        cwd=folder,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    call = next(number for number, line in enumerate(text) if "call" in line)
    load = next(line for line in text if "movl\t0x0" in line or "addl\t0x0" in line)
    dsym = folder / "osq.kext.dSYM"
    return Kext(
        dsym=dsym,
        uuid=dsym_files.read_dsym(dsym).uuid,
        fault=int(load.split(":")[0], 16),
        after_call=int(text[call + 1].split(":")[0], 16),
    )


def panic_text(kext: Kext, uuid: str) -> str:
    """Return xnu's panic text for the faulting load, without symbols as on a release kernel."""
    fault, back = LOADED_AT + kext.fault, LOADED_AT + kext.after_call
    end = LOADED_AT + 0x4FFF
    return f"""panic(cpu 0 caller 0xffffff8000a1b2c3): Kernel trap at {fault:#x}, type 14
RFL: 0x0000000000010246, RIP: {fault:#018x}, CS: 0x0000000000000008, SS: 0x0000000000000010
Backtrace (CPU 0), Frame : Return Address
0xffffff81f0b03d40 : 0xffffff8000a1b2c3
0xffffff81f0b03d80 : {fault:#x}
0xffffff81f0b03dc0 : {back:#x}
      Kernel Extensions in backtrace:
         org.example.osq(1.0)[{uuid}]@{LOADED_AT:#x}->{end:#x}
"""


def report_of(text: str) -> KernelReport:
    """Return the report of the only panic in a console text."""
    (found,) = darwin.scan(text.splitlines())
    return found


def test_frames_have_function_and_line_with_a_matching_dsym(kext: Kext) -> None:
    """A panic with the UUID of a real dSYM gets functions and lines, inlined ones, too."""
    report = report_of(panic_text(kext, kext.uuid))

    found, notes = dsym_files.symbolise(
        report, {"org.example.osq": kext.dsym}, roots=(kext.dsym.parent,)
    )

    assert notes == ()
    with_place = [(one.function, one.place, one.inline) for one in found.frames if one.place]
    assert with_place == [
        ("inner", "osq.c:3", True),
        ("osq_crash", "osq.c:7", False),
        ("osq_start", "osq.c:11", False),
    ]
    assert found.frames[0].function == "0xffffff8000a1b2c3"
    assert (found.function, found.module) == ("inner", "org.example.osq")
    assert found.place == "osq.c:3"
    assert found.title.endswith(" in inner")


def test_dsym_of_another_build_is_not_used(kext: Kext) -> None:
    """A panic with another UUID than the dSYM's gets no line, and a note with both UUIDs."""
    other = "7E1A7E1A-0000-3000-8000-000000000001"
    report = report_of(panic_text(kext, other))

    found, notes = dsym_files.symbolise(report, {"org.example.osq": kext.dsym})

    assert found.frames == report.frames
    assert len(notes) == 1
    assert kext.uuid in notes[0]
    assert other in notes[0]


def test_a_saved_panic_log_explained_with_its_dsym_names_the_function_and_without_it_none(
    kext: Kext,
) -> None:
    """The dSYM gives the function, the log the kext's name; a Linux pstore log is read, too."""
    log = CrashLog(name="Kernel.panic", text=panic_text(kext, kext.uuid))
    text = "Panic#1 Part1\n<0>[    1.000000] Kernel panic - not syncing: why not\n"
    linux = CrashLog(name="dmesg-efi-1", text=text)

    (found,) = explain_logs((log,), system=System.MACOS, dsym=kext.dsym)
    (without,) = explain_logs((log,), system=System.MACOS)
    (other,) = explain_logs((linux,), system=System.LINUX)

    assert (found.function, found.facts["kept-as"]) == ("inner", "Kernel.panic")
    assert without.function == ""
    assert without.module == "org.example.osq"
    assert other.kind == "panic"


def test_panic_explain_uses_only_a_matching_dsym(kext: Kext, tmp_path: Path) -> None:
    """A panic log has function and line if the dSYM that is given has its UUID, else neither."""
    good, other = tmp_path / "good.panic", tmp_path / "other.panic"
    good.write_text(panic_text(kext, kext.uuid))
    other.write_text(panic_text(kext, "7E1A7E1A-0000-3000-8000-000000000001"))

    found, _ = log_symbols.explain_with_symbols((good,), modules=(kext.dsym,), vmlinux=None)
    without, _ = log_symbols.explain_with_symbols((other,), modules=(kext.dsym,), vmlinux=None)

    assert found.reports[0].function == "inner"
    assert found.reports[0].place.endswith("osq.c:3")
    assert (without.count, without.reports[0].place) == (1, "")


def test_panic_explain_takes_a_dsym_on_its_command_line(
    kext: Kext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`panic-explain FILE --module osq.kext.dSYM` prints the line of the fault."""
    log = tmp_path / "Kernel.panic"
    log.write_text(panic_text(kext, kext.uuid))

    code = ended("panic-explain", str(log), "--module", str(kext.dsym))

    assert code == 3
    assert "osq.c:3" in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\xcf\xfa\xed\xfe" + bytes(28)])
def test_file_that_is_no_dsym_is_refused(tmp_path: Path, data: bytes) -> None:
    """read_dsym raises UsageError for an empty file, an ELF file and half a Mach-O."""
    file = tmp_path / "x"
    file.write_bytes(data)

    with pytest.raises(UsageError, match="no dSYM"):
        dsym_files.read_dsym(file)
