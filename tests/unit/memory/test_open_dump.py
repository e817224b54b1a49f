# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""vmcore-open: what is not there is named, what was unpacked is removed."""

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
    """Dump as a hypervisor would."""
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
    """Return a cache that has the kernel's symbols."""
    folder = kernel_symbols._folder(RELEASE, VERSION, tmp_path / "cache")
    folder.mkdir(parents=True)
    (folder / "vmlinux").write_bytes(b"")
    (folder / "symbols.json").write_text(json.dumps({"build_id": "01"}))
    return tmp_path / "cache"


def test_missing_dump_says_why(tmp_path: Path) -> None:
    """Without crash or dump: each is a clear statement, with the recorded reason."""
    folder = tmp_path / "runs/one/crashes/2"
    folder.mkdir(parents=True)
    (folder / vmcore.REASON).write_text("the disk was full\n")

    for run, number, said in (
        ("one", 1, "one has no crash 1"),
        ("one", 2, "has no dump: the disk was full"),
    ):
        with (
            pytest.raises(UsageError, match=said),
            open_dump.unpack_dump(
                tmp_path / "runs" / run, number, provenance=KNOWN, cache=tmp_path
            ),
        ):
            pass


def test_dump_is_there_while_it_is_used(run: Path, cache: Path) -> None:
    """Unpacked with vmlinux and modules beside; nothing of it stays, however the block ends."""
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


def test_killed_shell_leaves_nothing_for_long(run: Path, cache: Path) -> None:
    """What a process that is gone has unpacked is removed by the next; that of others stays."""
    dead = run / "crashes/1/.vmcore.999999999.tmp"
    alive = run / f"crashes/1/.vmcore.{os.getppid()}.tmp"
    dead.mkdir()
    alive.mkdir()

    with open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache):
        assert (dead.exists(), alive.exists()) == (False, True)


def test_run_without_its_kernel_is_told(run: Path, cache: Path) -> None:
    """A run that ended before it had a kernel leads to no vmlinux, and says so."""
    with (
        pytest.raises(UsageError, match="does not say which kernel"),
        open_dump.unpack_dump(run, 1, provenance=Provenance(), cache=cache),
    ):
        pass


def test_missing_vmlinux_says_what_fetches_it(run: Path, tmp_path: Path) -> None:
    """The kernel is named, with the command."""
    with (
        pytest.raises(UsageError, match=f"no vmlinux of {RELEASE}") as caught,
        open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=tmp_path / "empty"),
    ):
        pass

    assert "kernel-symbols" in caught.value.hint


def test_shell_refuses_what_is_no_dump(
    run: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The shell's own process says so and ends with 2."""
    with open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened:
        code = open_dump.drgn_shell(opened, plugin=None, commands=["prog"])

    assert code == 2
    assert "cannot be opened" in capfd.readouterr().err


def test_missing_crash_tool_is_named(
    run: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without crash(8) its package is named."""
    monkeypatch.setenv("PATH", "/nowhere")

    with (
        pytest.raises(UsageError, match="not installed") as caught,
        open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened,
    ):
        open_dump.crash_tool(opened, command="")

    assert "apt-get install crash" in caught.value.hint


def test_crash_tool_gets_modules_and_command(
    run: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started with vmlinux and dump, loads the modules, runs the command and ends."""
    tool = tmp_path / "crash"
    tool.write_text(
        f'#!/bin/sh\necho "$4 $5" > {tmp_path}/said\ncat "$3" >> {tmp_path}/said\nexit 3\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with open_dump.unpack_dump(run, 1, provenance=KNOWN, cache=cache) as opened:
        code = open_dump.crash_tool(opened, command="bt -a")
        said = (tmp_path / "said").read_text().splitlines()

        assert said[0] == f"{opened.vmlinux} {opened.core}"
    assert said[1:] == [f"mod -s toy {run}/modules/toy.ko", "bt -a", "quit"]
    assert code == 3
