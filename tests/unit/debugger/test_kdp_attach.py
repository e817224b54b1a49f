# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kdp_attach: lldb's command line and commands, on a Mac and elsewhere."""

import platform
import struct
from pathlib import Path

import pytest

from harness.debugger import kdp_attach
from harness.debugger.kdp_attach import KdpRequest
from harness.errors import DebugError, UsageError
from harness.host import debuggers, foreground
from harness.host.debuggers import Debugger, Program
from harness.protocols.kdp.packets import KdpStatus
from harness.protocols.kdp.stub import Faults, StubServer
from tests.unit.kdp_machine import BASE, PageMachine

LINKED = 0xFFFFFF8000200000
LLDB = Program(debugger=Debugger.LLDB, path=Path("/usr/bin/lldb"), major=19)


def macho(commands: bytes, count: int = 1) -> bytes:
    """Return a 64-bit Mach-O with these load commands."""
    return struct.pack("<8I", 0xFEEDFACF, 0, 0, 2, count, len(commands), 0, 0) + commands


def segment(name: bytes, address: int) -> bytes:
    """Return the load command of a segment."""
    return struct.pack("<II16sQQQQIIII", 0x19, 72, name, address, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture
def request_(tmp_path: Path) -> KdpRequest:
    """Return a request with a breakpoint, for a kernel whose file has a space in its path."""
    kernel = tmp_path / "my kernel"
    kernel.write_bytes(macho(segment(b"__TEXT", LINKED)))
    return KdpRequest(
        host="127.0.0.1",
        port=1,
        kernel=kernel,
        folder=tmp_path,
        breakpoints=("osq_start",),
    )


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record lldb's command lines instead of running them."""
    found: list[list[str]] = []

    def run(line: list[str]) -> int:
        found.append(line)
        return 0

    monkeypatch.setattr(foreground, "run", run)
    monkeypatch.setattr(debuggers, "choose", lambda _name: LLDB)
    return found


def no_progress(_text: str) -> None:
    """Ignore what would be shown."""


def test_on_a_mac_lldb_gets_the_breakpoints_and_connects_over_kdp_itself(
    request_: KdpRequest, lines: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS, lldb's own kdp-remote finds the Mac kernel's address; breakpoints follow it."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    assert kdp_attach.attach(request_, no_progress) == 0

    script = request_.folder / "debug.lldb"
    assert lines == [["/usr/bin/lldb", "--source", str(script)]]
    assert script.read_text().splitlines() == [
        f"target create '{request_.kernel}'",
        "kdp-remote 127.0.0.1:1",
        "breakpoint set --name osq_start",
    ]


def test_elsewhere_lldb_gets_the_breakpoints_and_connects_to_the_bridge(
    request_: KdpRequest, lines: list[list[str]]
) -> None:
    """On Linux, lldb connects to our KDP bridge to a fake kernel, and gets the symbols' slide."""
    with StubServer(PageMachine()) as stub:
        asked = KdpRequest(
            host="127.0.0.1",
            port=stub.port,
            kernel=request_.kernel,
            folder=request_.folder,
            breakpoints=("osq_start",),
            commands=("bt",),
        )
        assert kdp_attach.attach(asked, no_progress) == 0

    script = request_.folder / "debug.lldb"
    assert lines == [["/usr/bin/lldb", "--no-lldbinit", "--batch", "--source", str(script)]]
    assert script.read_text().splitlines() == [
        f"target create '{request_.kernel}'",
        f"process connect --plugin gdb-remote unix-connect://{request_.folder}/gdb",
        f"target modules load --file '{request_.kernel}' --slide {BASE - LINKED:#x}",
        "breakpoint set --name osq_start",
        "bt",
        "detach",
        "quit",
    ]


@pytest.mark.parametrize(
    "text", ["", ":1", "mac:", "mac:0", "mac:65536", "mac:-1", "mac:x", "mac:\N{SUPERSCRIPT TWO}"]
)
def test_a_kernels_address_without_a_host_or_with_a_wrong_port_is_refused(text: str) -> None:
    """A text HOST:PORT for a kernel to debug over KDP needs a host and a port of 1 to 65535."""
    with pytest.raises(UsageError, match="does not name a kernel"):
        kdp_attach.endpoint(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF" + bytes(60),
        macho(b"", count=1),
        macho(segment(b"__DATA", 0)),
        # A load command without a size would be read 4 billion times.
        macho(bytes(64), count=0xFFFFFFFF),
    ],
)
def test_a_file_that_is_no_mach_o_kernel_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file of another format, and a kernel without __TEXT or with a bad header, is an error."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(data)

    with pytest.raises(UsageError, match=r"cannot be read|is no 64-bit Mach-O kernel"):
        kdp_attach.text_address(kernel)


def test_a_kernel_that_refuses_the_debugger_is_reported(
    request_: KdpRequest, lines: list[list[str]]
) -> None:
    """If a fake KDP kernel already has a debugger, DebugError says so and lldb is not started."""
    with StubServer(PageMachine(), faults=Faults(refuse=KdpStatus.ALREADY_CONNECTED)) as stub:
        asked = KdpRequest(
            host="127.0.0.1", port=stub.port, kernel=request_.kernel, folder=request_.folder
        )
        with pytest.raises(DebugError, match="ALREADY_CONNECTED"):
            kdp_attach.attach(asked, no_progress)

    assert not lines
