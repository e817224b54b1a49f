# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of darwin: panic texts of macOS, from the serial line and from panic files, are parsed."""

import json
from dataclasses import replace

import pytest

from harness.panic import darwin

KEXT = (
    "io.osquery.kernel(1.0)[7D3B4A52-0F4A-3C50-9C33-7F6F6D4B9A11]"
    "@0xffffff7fa1a10000->0xffffff7fa1a1ffff"
)
APPLE = (
    "com.apple.filesystems.apfs(1)[0A1B2C3D-1111-3222-8333-444455556666]"
    "@0xffffff7fa0000000->0xffffff7fa00fffff"
)
X86 = f"""Darwin Kernel Version 20.3.0: x
panic(cpu 1 caller 0xffffff801c9f6916): Kernel trap at 0xffffff7fa1a12345, type 14=page fault, \
registers:
CR0: 0x000000008001003b, CR2: 0x0000000000000008, CR3: 0x0000000025a63000, CR4: 0x00000000003606e0
RAX: 0x0000000000000001, RBX: 0xffffff9350a3c0b0, RCX: 0x0000000000000001, RDX: 0x0000000000000000
Backtrace (CPU 1), Frame : Return Address
0xffffffa0b1c3b5f0 : 0xffffff801c8be65d mach_kernel : _handle_debugger_trap + 0x5d5
0xffffffa0b1c3b640 : 0xffffff801ca05f63 mach_kernel : _panic + 0x54
0xffffffa0b1c3bae0 : 0xffffff7fa1a12345 io.osquery.kernel : _osq_ring_reserve + 0x45
0xffffffa0b1c3bbc0 : 0xffffff7fa1a11890
      Kernel Extensions in backtrace:
         {APPLE}
         {KEXT}
Process name corresponding to current thread (0xffffff9350a3c000): osqueryd
Kernel version:
Darwin Kernel Version 20.3.0: x
Kernel UUID: C86236B2-4976-3542-80CA-74A6B8B4BA03
KernelCache slide: 0x000000001c600000
last started kext at 123: io.osquery.kernel\t1.0 \
(addr 0xffffff7fa1a10000, size 65536)""".splitlines()
ARM64 = """panic(cpu 0 caller 0xfffffe002dfb5f2c): Kernel data abort. \
at pc 0xfffffe0030a10468, lr 0xfffffe0030a10450
\t  x0:  0x0000000000000000 \t  x1:  0x0000000000001111
\t  pc:  0xfffffe0030a10468 cpsr: 0x60401208         \
esr: 0x0000000096000006 far: 0x0000000000000058
Panicked task 0xfffffe1000000000: 123 pages, 4 threads: pid 350: osqueryd
Panicked thread: 0xfffffe2000000000, backtrace: 0xfffffe3000000000, tid: 1234
\t\t  lr: 0xfffffe0030a10468  fp: 0xfffffe3000000010
      Kernel Extensions in backtrace:
         io.osquery.kernel(1.0)[7D3B4A52-0F4A-3C50-9C33-7F6F6D4B9A11]\
@0xfffffe0030a10000->0xfffffe0030a1ffff""".splitlines()


def test_a_panic_with_symbols_names_function_and_kext() -> None:
    """A macOS panic's guilty function is the first one below xnu's panic and trap functions."""
    (found,) = darwin.scan(X86)

    assert found.title == "panic: Kernel trap type 14=page fault in osq_ring_reserve"
    assert (found.kind, found.fatal, found.line) == ("panic", True, 1)
    assert (found.function, found.module) == ("osq_ring_reserve", "io.osquery.kernel")
    assert (found.task, found.pid, found.cpu) == ("osqueryd", None, 1)
    assert (found.registers["CR2"], found.registers["RAX"]) == (
        "0000000000000008",
        "0000000000000001",
    )


def test_facts_of_a_macos_panic_have_kernel_uuid_slide_and_the_last_started_kext() -> None:
    """Facts of a report are read from lines of the panic's text besides its backtrace."""
    (found,) = darwin.scan(X86)

    assert found.facts == {
        "kernel": "Darwin Kernel Version 20.3.0: x",
        "kernel-uuid": "C86236B2-4976-3542-80CA-74A6B8B4BA03",
        "kernelcache-slide": "0x000000001c600000",
        "last-started-kext": "io.osquery.kernel",
    }


def test_a_bare_address_is_given_its_offset_in_the_kext() -> None:
    """In a macOS panic, a frame without a symbol has an address as name, kext and offset."""
    (found,) = darwin.scan(X86)

    last = found.stacks[0].frames[-1]
    assert (last.function, last.module, last.offset) == (
        "0xffffff7fa1a11890",
        "io.osquery.kernel",
        0x1890,
    )


def test_an_arm64_panic_gives_task_kext_and_registers() -> None:
    """A macOS panic on arm64 without symbols still gives task, process id, CPU and kext."""
    (found,) = darwin.scan(ARM64)

    assert (found.function, found.module) == ("", "io.osquery.kernel")
    assert (found.task, found.pid, found.cpu) == ("osqueryd", 350, 0)
    assert (found.registers["far"], found.registers["x1"]) == (
        "0000000000000058",
        "0000000000001111",
    )


def ips(panic: str) -> str:
    """Return an .ips file around a panic text."""
    body = json.dumps({"build": "x", "panicString": panic, "product": "y"}, indent=1)
    return json.dumps({"bug_type": "210", "os_version": "macOS 14"}) + "\n" + body


def test_an_ips_file_gives_the_same_report_as_the_panic_text() -> None:
    """Apple's .ips file of a panic gives the report of the same panic on the serial line."""
    (found,) = darwin.scan(ips("\n".join(X86)).split("\n"))

    assert replace(found, line=0) == replace(darwin.scan(X86)[0], line=0)


@pytest.mark.parametrize("kept", [0.95, 0.6])
def test_a_truncated_ips_file_still_gives_the_guilty_function(kept: float) -> None:
    """A Mac that dies while it writes its panic leaves a cut .ips file, which is read."""
    whole = ips("\n".join(X86))

    (found,) = darwin.scan(whole[: int(len(whole) * kept)].split("\n"))

    assert found.function == "osq_ring_reserve"


@pytest.mark.parametrize("text", ["", "{", "{}\n{", "{}\n[]", '{}\n{"panicString": 3}', "hello"])
def test_text_that_is_no_panic_file_gives_no_report_and_no_error(text: str) -> None:
    """Text that is no panic of macOS, such as broken JSON, gives an empty result."""
    assert darwin.scan(text.split("\n")) == ()


I386 = """\
panic(cpu 0 caller 0x2a6ac2): Kernel trap at 0x01234567, type 14=page fault, registers:
CR0: 0x8001003b, CR2: 0x00000010, CR3: 0x00100000, CR4: 0x00000660
EAX: 0x00000000, EBX: 0x05b5d3c0, ECX: 0x00000001, EDX: 0x00000000
Backtrace (CPU 0), Frame : Return Address (4 potential args on stack)
0x5b5d3c08 : 0x21b455 (0x5d7fdc 0x5b5d3c3c 0x223ce1 0x0)
0x5b5d3c58 : 0x1234abc (0x0 0x0 0x0 0x0)
      Kernel Extensions in backtrace (with dependencies):
         com.example.drv(1.0)@0x1234000->0x1240fff
            dependency: com.apple.iokit.IOPCIFamily(2.6)@0x5e2000

BSD process name corresponding to current thread: worker
"""
POWERPC = """\
Unresolved kernel trap(cpu 0): 0x300 - Data access DAR=0x0000001C PC=0x0034CF54
Latest crash info for cpu 0:
   Exception state (sv=0x2D1E5780)
      PC=0x0034CF54; MSR=0x00009030; DAR=0x0000001C; DSISR=0x40000000
      Backtrace:
0x0034CF38 0x003C4010 0x000952D8
      Kernel loadable modules in backtrace (with dependencies):
         com.example.audio(1.6.3b7)@0x3c4000
            dependency: com.apple.iokit.IOAudioFamily(1.6)@0x300000
Proceeding back via exception chain:
panic(cpu 0 caller 0xFFFF0003): 0x300 - Data access
"""
DESCRIBED = """\
panic(cpu 1 caller 0xffffff801fc4b3e5): "bad queue"@/src/q.c:12
Backtrace (CPU 1), Frame : Return Address
0xffffff81f3d3bb00 0xffffff801fc4b3e5 panic (in kernel) + 98
0xffffff81f3d3bb70 0xffffff7f9d4ac3c1 _ZN3foo3barEv (in org.foo.kext) + 26
"""


@pytest.mark.parametrize(
    ("text", "module", "function", "task", "frames"),
    [
        (I386, "com.example.drv", "", "worker", 2),
        (POWERPC, "com.example.audio", "", "", 3),
        (DESCRIBED, "org.foo.kext", "ZN3foo3barEv", "", 2),
    ],
)
def test_i386_powerpc_and_kpdescribe_backtraces_give_one_report_with_all_frames(
    text: str, module: str, function: str, task: str, frames: int
) -> None:
    """Texts of old Macs, and of Apple's tool kpdescribe, each give one panic report."""
    (found,) = darwin.scan(text.split("\n"))

    assert (found.module, found.function, found.task) == (module, function, task)
    assert len(found.frames) == frames == len(darwin.places(found.text))


def test_the_caller_of_spinlock_timeout_nmi_is_named_guilty_instead_of_the_nmi() -> None:
    """The NMI by which macOS stops other CPUs when a spin lock times out is not the fault."""
    text = DESCRIBED.replace(" panic (in kernel)", " spinlock_timeout_NMI (in kernel)")

    assert darwin.scan(text.split("\n"))[0].function == "ZN3foo3barEv"
