# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of debuginfod with the real client and a server on this machine's loopback."""

import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.crash.log_symbols import explain_with_symbols
from harness.host import programs
from harness.symbols import debuginfod, elf

SOURCE = "int sink;\nvoid drv_write(int *p)\n{\n\t*(volatile int *)p = 1;\n\tsink++;\n}\n"
KERNEL_ID = "aa23f7a1231c229de205662d5a9e0d4c580f19a1"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a module whose debug information the server of DEBUGINFOD_URLS has."""
    if programs.located("debuginfod-find") is None:
        pytest.skip("debuginfod-find is not installed (package debuginfod)")
    (tmp_path / "drv.c").write_text(SOURCE)
    build = ["gcc", "-O2", "-g", "-fno-pic", "-c", "drv.c", "-o", "drv.o"]
    subprocess.run(build, cwd=tmp_path, check=True)
    link = ["ld", "-r", "--build-id=sha1", "-o", "drv.ko", "drv.o"]
    subprocess.run(link, cwd=tmp_path, check=True)
    module = tmp_path / "drv.ko"
    home = tmp_path / "web" / "buildid" / elf.build_id(module)
    home.mkdir(parents=True)
    (home / "debuginfo").write_bytes(module.read_bytes())

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *request: object) -> None:
            super().__init__(*request, directory=str(tmp_path / "web"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DEBUGINFOD_URLS", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "cache"))
        yield module
        server.shutdown()


def console(folder: Path, build_id: str) -> Path:
    """Return the log of a fault in drv_write whose lines have build ids."""
    log = folder / "console.log"
    log.write_text(
        "BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
        f"CPU: 4 PID: 3255 Comm: sh Not tainted 6.1.0 #3 {KERNEL_ID}\n"
        f"RIP: 0010:drv_write+0x1 [drv {build_id}]\nCall Trace:\n"
        f" drv_write+0x1 [drv {build_id}]\n vfs_write+0x9/0x90\n"
    )
    return log


def test_the_build_ids_of_kernel_and_module_are_parsed_from_a_crash_report(tmp_path: Path) -> None:
    """The kernel's id is in the log's 'CPU:' line, a module's after its name in a frame."""
    log = console(tmp_path, "6c2215028606bda50de823490723dc4bc5bf46f9")
    found, _ = explain_with_symbols((log,), modules=(), vmlinux=None)

    ids = debuginfod.build_ids(found.reports)

    assert ids == {"": KERNEL_ID, "drv": "6c2215028606bda50de823490723dc4bc5bf46f9"}
    assert (found.reports[0].task, found.reports[0].module) == ("sh", "drv")


def test_file_and_line_of_a_crash_come_from_symbols_of_the_debuginfod_server(
    served: Path, tmp_path: Path
) -> None:
    """A module's symbols come from a local server; a note names what the server lacks."""
    log = console(tmp_path, elf.build_id(served))

    found, notes = explain_with_symbols((log,), modules=(), vmlinux=None, from_server=True)

    assert found.reports[0].place.rpartition("/")[2] == "drv.c:4"
    assert any(f"no server has vmlinux of build {KERNEL_ID}" in note for note in notes)


def test_a_log_without_build_ids_gives_a_note_with_the_kernel_option_for_them(
    tmp_path: Path,
) -> None:
    """With a debuginfod server asked for, the note names CONFIG_STACKTRACE_BUILD_ID."""
    log = tmp_path / "console.log"
    log.write_text("BUG: kernel NULL pointer dereference, address: 08\nCall Trace:\n f+0x1/0x2\n")

    _, notes = explain_with_symbols((log,), modules=(), vmlinux=None, from_server=True)

    assert any("CONFIG_STACKTRACE_BUILD_ID" in note for note in notes)
