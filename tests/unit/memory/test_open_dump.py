# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of open_dump: an error names what is missing, and an unpacked dump is removed again."""

import json
import os
from pathlib import Path

import pytest

from harness.artefacts import kernel_symbols
from harness.errors import UsageError
from harness.memory import open_dump, vmcore
from harness.model.limits import VmcoreLimits
from harness.model.provenance import Provenance

RELEASE, VERSION = "6.1.0-9-toy", "6.1.9-1"
KNOWN = Provenance(kernel_release=RELEASE, kernel_version=VERSION)
MEMORY = b"\x7fELF and nothing else" * 1000


def write_memory(path: Path) -> None:
    """Write a file like the dump that a hypervisor writes."""
    path.write_bytes(MEMORY)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the folder of a run with one crash and its dump."""
    folder = tmp_path / "runs/one/crashes/1"
    folder.mkdir(parents=True)
    modules = tmp_path / "runs/one/modules"
    modules.mkdir()
    (modules / "toy.ko").write_bytes(b"")
    vmcore.take(
        write_memory,
        folder,
        runs=tmp_path / "runs",
        keep=VmcoreLimits(),
        expected_bytes=len(MEMORY),
    )
    return tmp_path / "runs/one"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return a cache with the kernel's symbols."""
    folder = kernel_symbols._folder(RELEASE, VERSION, tmp_path / "cache")
    folder.mkdir(parents=True)
    (folder / "vmlinux").write_bytes(b"")
    (folder / "symbols.json").write_text(json.dumps({"build_id": "01"}))
    return tmp_path / "cache"


def test_open_dump_error_says_no_such_crash_or_the_recorded_reason_why_a_crash_has_no_dump(
    tmp_path: Path,
) -> None:
    """A run's crash that does not exist, or whose memory dump is missing, is a UsageError."""
    folder = tmp_path / "runs/one/crashes/2"
    folder.mkdir(parents=True)
    (folder / vmcore.REASON).write_text("the disk was full\n")

    for run, number, message in (
        ("one", 1, "one has no crash 1"),
        ("one", 2, "has no dump: the disk was full"),
    ):
        with (
            pytest.raises(UsageError, match=message),
            open_dump.unpack_dump(
                tmp_path / "runs" / run, number, provenance=KNOWN, cache=tmp_path
            ),
        ):
            pass


def test_an_unpacked_dump_is_removed_when_the_with_block_raises(run: Path, cache: Path) -> None:
    """A crash's memory dump is stored compressed and unpacked only for the with block."""
    before = sorted(run.rglob("*"))

    with (
        pytest.raises(KeyboardInterrupt),
        open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened,
    ):
        assert opened.core.read_bytes() == MEMORY
        assert opened.vmlinux.name == "vmlinux"
        assert opened.modules == {"toy": run / "modules/toy.ko"}
        raise KeyboardInterrupt

    assert sorted(run.rglob("*")) == before


def test_opening_a_dump_removes_temporary_files_of_ended_but_not_running_processes(
    run: Path, cache: Path
) -> None:
    """Unpacked memory dumps carry the process id of their user, so leftovers are known."""
    dead = run / "crashes/1/.vmcore.999999999.tmp"
    alive = run / f"crashes/1/.vmcore.{os.getppid()}.tmp"
    dead.mkdir()
    alive.mkdir()

    with open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache):
        assert (dead.exists(), alive.exists()) == (False, True)


def test_opening_a_dump_of_a_run_that_names_no_kernel_is_a_usage_error(
    run: Path, cache: Path
) -> None:
    """The memory dump of a run that recorded no kernel cannot be matched with a vmlinux."""
    with (
        pytest.raises(UsageError, match="does not name its kernel"),
        open_dump.unpack_dump(run, 1, provenance=Provenance(), cache=cache),
    ):
        pass


def test_opening_a_dump_without_its_vmlinux_is_an_error_that_names_the_command_kernel_symbols(
    run: Path, tmp_path: Path
) -> None:
    """The error for a crash's memory dump names the kernel whose vmlinux is not in the cache."""
    with (
        pytest.raises(UsageError, match=f"no vmlinux of {RELEASE}") as caught,
        open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=tmp_path / "empty"),
    ):
        pass

    assert "kernel-symbols" in caught.value.hint


def test_drgn_shell_exits_2_for_a_file_that_is_no_dump(
    run: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real drgn's shell prints an error for a file that is no memory dump."""
    with open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened:
        code = open_dump.drgn_shell(opened, plugin=None, commands=["prog"])

    assert code == 2
    assert "cannot be opened" in capfd.readouterr().err


def test_missing_crash_tool_hint_names_the_package(
    run: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If crash(8), which reads memory dumps, is not installed, the hint has its package."""
    monkeypatch.setenv("PATH", "/nowhere")

    with (
        pytest.raises(UsageError, match="not installed") as caught,
        open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened,
    ):
        open_dump.crash_tool(opened, command="")

    assert "apt-get install crash" in caught.value.hint


def test_the_crash_program_gets_vmlinux_dump_a_mod_line_for_the_module_the_command_and_quit(
    run: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script in the place of crash(8) records its arguments and commands."""
    tool = tmp_path / "crash"
    tool.write_text(
        f'#!/bin/sh\necho "$4 $5" > {tmp_path}/calls\ncat "$3" >> {tmp_path}/calls\nexit 3\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened:
        code = open_dump.crash_tool(opened, command="bt -a")
        calls = (tmp_path / "calls").read_text().splitlines()

        assert calls[0] == f"{opened.vmlinux} {opened.core}"
    assert calls[1:] == [f"mod -s toy {run}/modules/toy.ko", "bt -a", "quit"]
    assert code == 3
