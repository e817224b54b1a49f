# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A real lldb debugs the kext's machine code with the dSYM that was made on Linux."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.kext.build import KextBuild
from harness.kext.emulator.cpu import IMAGE_AT
from harness.kext.emulator.debug import DebuggedThread
from harness.kext.emulator.kernel import Kernel
from harness.model.products import KextSpec
from harness.protocols.kdp.bridge import Bridge
from harness.protocols.kdp.client import KdpClient, KdpSilent
from harness.protocols.kdp.stub import Faults, StubServer
from harness.protocols.rsp_socket import Link, accept_connection, listening
from tests.kext.steps import begin_exec, owner, paths, start_kext

_DEADLINE_S = 90

needs_lldb = pytest.mark.skipif(not shutil.which("lldb-19"), reason="lldb-19 is not installed")


@contextmanager
def bridged(machine: DebuggedThread, faults: Faults, folder: Path) -> Iterator[Path]:
    """Run a KDP server for the machine and a bridge to it; yield the gdb-remote socket."""
    path = folder / "rsp"
    with (
        StubServer(machine, faults=faults) as stub,
        KdpClient("127.0.0.1", stub.port, timeout_s=0.3, tries=20) as client,
        listening(path) as listener,
    ):
        client.connect()

        def serve() -> None:
            connection = accept_connection(listener, deadline_s=_DEADLINE_S, wanted=lambda: True)
            assert connection is not None
            # The replies that the stub loses may include the one to the debugger's last request.
            with suppress(KdpSilent):
                Bridge(Link(connection), client).serve()

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(_DEADLINE_S)


def lldb(built: KextBuild, spec: KextSpec, socket: Path, *commands: str) -> str:
    """Run lldb commands, with the kext's symbols at its address, and return the output."""
    symbols = built.dsym / "Contents" / "Resources" / "DWARF" / built.binary.name
    lines = (
        f"settings set target.source-map . {spec.root}",
        f"target create {built.binary}",
        f"target symbols add {symbols}",
        f"process connect -p gdb-remote unix-connect://{socket}",
        f"target modules load --file {built.binary} --slide {IMAGE_AT:#x}",
        *commands,
    )
    words = [word for one in lines for word in ("-o", one)]
    done = subprocess.run(
        ["lldb-19", "--batch", "--no-lldbinit", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )
    return done.stdout + done.stderr


@needs_lldb
@pytest.mark.parametrize(
    "faults", [Faults(), Faults(seed=3, lose_requests=0.05, lose_replies=0.05)], ids=["", "lossy"]
)
def test_lldb_breakpoints_stop_the_emulated_kext_and_show_stack_and_variables(
    built: KextBuild, spec: KextSpec, tmp_path: Path, faults: Faults
) -> None:
    """Real lldb debugs the kext in the emulator over KDP: breakpoints, backtrace, a variable."""
    kernel = start_kext(lambda: Kernel(built.binary.read_bytes()))
    client = owner(kernel)
    machine = DebuggedThread(kernel, begin_exec(kernel, "/usr/bin/true"))
    source = (spec.root / "core" / "osq_ring.c").read_text().splitlines()
    line = 1 + next(n for n, text in enumerate(source) if "record->seq = slot.seq;" in text)

    with bridged(machine, faults, tmp_path) as socket:
        shown = lldb(
            built,
            spec,
            socket,
            *("breakpoint set -n osq_ring_reserve", "continue", "bt"),
            *(f"breakpoint set -f osq_ring.c -l {line}", "continue"),
            *("frame variable used", "p record->type", "p slot.seq"),
            *("breakpoint delete -f", "detach"),
        )

    assert re.search(r"stop reason = breakpoint 1.1\n\s+frame #0: .*osq_ring_reserve \[inl", shown)
    for frame in (
        r"#1: .*osq_ring_reserve\(ring=0x\w+, type=2, len=352.* at osq_ring.c:\d+",
        r"#3: .*osq_publish\(.* at task.c:\d+",
        r"#4: .*on_fileop.*path=\"/usr/bin/true\"\) at publish_exec.c:\d+",
    ):
        assert re.search(frame, shown)
    assert re.search(rf"stop reason = breakpoint 2.1\n.*osq_ring_put.*osq_ring.c:{line}:", shown)
    assert "-> " + str(line) in shown
    assert "used = 349" in shown
    assert "(__u16) 2" in shown
    assert "(u64) 1" in shown
    assert not machine.planted
    # The debugger has detached, so the thread runs to its end.
    assert machine.run() is None
    assert machine.ended
    kernel.threads.current = None
    kernel.threads.threads.clear()
    assert paths(client.read()) == ["/usr/bin/true"]
