# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Real lldb and gdb debug a slid Mach-O kernel over KDP, through the bridge."""

import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.protocols.kdp.bridge import Bridge
from harness.protocols.kdp.client import KdpClient
from harness.protocols.kdp.packets import KdpStatus, Request
from harness.protocols.kdp.stub import Faults, StubServer
from harness.protocols.rsp_socket import Link, accept_connection, listening
from tests.debug import fake_kernel
from tests.debug.conftest import invoke
from tests.debug.fake_kernel import SLIDE, FakeKernel

DEADLINE_S = 60
needs_lldb = pytest.mark.skipif(
    not all(map(shutil.which, ("lldb-19", "ld64.lld-19", "clang"))),
    reason="lldb-19, lld-19 or clang is not installed",
)
needs_gdb = pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake kernel's Mach-O."""
    return fake_kernel.build(tmp_path_factory.mktemp("kernel"))


def debugged(machine: FakeKernel, line: Sequence[str], folder: Path, faults: Faults) -> str:
    """Return a debugger's output; `{socket}` in its commands stands for the bridge's socket."""
    path = folder / "kdp" / "rsp"
    with (
        StubServer(machine, faults=faults) as stub,
        KdpClient("127.0.0.1", stub.port, timeout_s=0.3, tries=20) as client,
        listening(path) as listener,
    ):
        client.connect()

        def serve() -> None:
            connection = accept_connection(listener, deadline_s=DEADLINE_S, wanted=lambda: True)
            assert connection is not None
            Bridge(Link(connection), client).serve()

        thread = threading.Thread(target=serve)
        thread.start()
        words = [word.replace("{socket}", str(path)) for word in line]
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=DEADLINE_S
        )
        thread.join(DEADLINE_S)
        assert stub.seen.requests[-1] is Request.DISCONNECT
    return done.stdout + done.stderr


def lldb(kernel: Path, *commands: str) -> list[str]:
    """Return the command line of lldb with the kernel's symbols at their slid addresses."""
    lines = (
        f"target create {kernel}",
        "process connect -p gdb-remote unix-connect://{socket}",
        f"target modules load --file {kernel} --slide {SLIDE:#x}",
        *commands,
    )
    return [
        "lldb-19",
        "--batch",
        "--no-lldbinit",
        *(part for one in lines for part in ("-o", one)),
    ]


@pytest.fixture(params=[False, True], ids=["pc-on-trap", "pc-past-trap"])
def machine(request: pytest.FixtureRequest, kernel: Path) -> FakeKernel:
    """Return a fake kernel that waits in Debugger()."""
    return FakeKernel(kernel, pc_past_trap=request.param)


@needs_lldb
def test_lldb_over_kdp_can_set_breakpoints_step_and_read_variables(
    machine: FakeKernel, kernel: Path, tmp_path: Path
) -> None:
    """Real lldb debugs an emulated XNU-like kernel by KDP: breakpoints, steps, memory, detach."""
    said = debugged(
        machine,
        lldb(
            kernel,
            *("bt", "breakpoint set -n ring_reserve", "continue", "bt", "next", "next"),
            *(
                "frame variable",
                "thread step-inst",
                "p counters",
                "memory read -s8 -fx -c2 &counters",
            ),
            *("register read rdi cs", "finish", "detach"),
        ),
        tmp_path,
        Faults(),
    )

    assert re.search(r"frame #0: 0x\w+ kernel`Debugger\(why=\"waiting.*xnu_like.c:19", said)
    assert re.search(r"stop reason = breakpoint 1.1\n\s+frame #0: .*ring_reserve\(size=40\)", said)
    for frame in (r"#1: .*device_ioctl\(command=20\) at xnu_like.c:35", r"#2: .*kernel_main"):
        assert re.search(frame, said)
    assert "claimed = 48" in said
    assert "stop reason = instruction step into" in said
    assert "(reserved = 48, dropped = 3)" in said
    assert "0x0000000000000030 0x0000000000000003" in said
    assert "cs = 0x00000008" in said
    assert re.search(r"Return value: \(long\) \$\d = 48", said)
    assert "Process 1 detached" in said
    assert not machine.planted


@needs_lldb
def test_lldb_hits_and_removes_its_breakpoint_when_a_tenth_of_packets_is_lost(
    kernel: Path, tmp_path: Path
) -> None:
    """The bridge repeats lost requests to an emulated kernel, so the breakpoint is still hit."""
    machine = FakeKernel(kernel, pc_past_trap=True)

    said = debugged(
        machine,
        lldb(kernel, "breakpoint set -n device_ioctl", "continue", "bt", "detach"),
        tmp_path,
        Faults(seed=5, lose_requests=0.1, lose_replies=0.1),
    )

    assert re.search(r"frame #0: .*device_ioctl\(command=20\) at xnu_like.c", said)
    assert not machine.planted


@needs_lldb
def test_a_kernel_has_no_breakpoint_left_after_lldb_quits(kernel: Path, tmp_path: Path) -> None:
    """When lldb ends its batch with a kill, the KDP bridge removes the breakpoint."""
    machine = FakeKernel(kernel, pc_past_trap=True)

    debugged(machine, lldb(kernel, "breakpoint set -n ring_reserve"), tmp_path, Faults())

    assert not machine.planted


@needs_lldb
def test_debug_attach_via_kdp_starts_lldb_with_symbols_and_breakpoints(kernel: Path) -> None:
    """On an emulated kernel, lldb stops at --break with lines, and the kernel then continues."""
    machine = FakeKernel(kernel, pc_past_trap=True)

    with StubServer(machine) as stub:
        done = invoke(
            *("debug-attach", "--via=kdp", f"--run=127.0.0.1:{stub.port}", f"--symbols={kernel}"),
            *("--break=ring_reserve", "--command=continue", "--command=bt"),
        )

    assert done.returncode == 0, done.stderr
    assert "Darwin Kernel Version" in done.stderr
    assert re.search(r"frame #1: .*device_ioctl\(command=20\) at xnu_like.c:35", done.stdout)
    assert not machine.planted
    assert stub.seen.requests[-1] is Request.DISCONNECT


def test_debug_attach_via_kdp_fails_for_a_refusing_kernel_and_for_missing_or_wrong_symbols(
    kernel: Path,
) -> None:
    """The exit code is 4 for a kernel that refuses, and 2 without --symbols or for no Mach-O.

    The faults are a kernel that refuses, missing symbols, and a file that is no kernel.
    """
    machine = FakeKernel(kernel, pc_past_trap=True)

    with StubServer(machine, faults=Faults(refuse=KdpStatus.ALREADY_CONNECTED)) as stub:
        where = ("debug-attach", "--via=kdp", f"--run=127.0.0.1:{stub.port}")
        refused = invoke(*where, f"--symbols={kernel}", "--command=bt")
        without = invoke(*where, "--command=bt")
        junk = invoke(*where, f"--symbols={__file__}", "--command=bt")

    assert (refused.returncode, without.returncode, junk.returncode) == (4, 2, 2)
    assert "ALREADY_CONNECTED" in refused.stderr
    assert "needs --symbols" in without.stderr
    assert "no 64-bit Mach-O" in junk.stderr


@needs_gdb
def test_gdb_over_kdp_can_set_breakpoints_and_step_by_address(
    machine: FakeKernel, tmp_path: Path
) -> None:
    """Over KDP, gdb cannot read the Mach-O kernel's symbols; all works by addresses."""
    entry = machine.registers()["rip"]
    line = ["gdb", "-nx", "-batch", "-ex", "target remote {socket}"]
    for command in ("info registers", "x/3i $pc", "stepi", "p/x $rip", "break *$pc+1", "continue"):
        line += ["-ex", command]

    said = debugged(machine, [*line, "-ex", "p/x $rip", "-ex", "detach"], tmp_path, Faults())

    assert re.search(r"ss\s+<unavailable>", said)
    assert f"=> {entry:#x}:" in said
    assert f"$1 = {entry + 4:#x}" in said
    assert f"$2 = {entry + 5:#x}" in said
    assert "detached" in said
    assert not machine.planted
