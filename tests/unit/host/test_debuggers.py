# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.debuggers: the newest debugger is chosen, and a missing one's package is named."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host import debuggers, foreground
from harness.host.debuggers import Debugger


def program(folder: Path, name: str, version: str = "") -> Path:
    """Write a stand-in for a debugger that prints its version."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{version}'\n")
    file.chmod(0o755)
    return file


def test_the_newest_debugger_of_a_kind_is_chosen(tmp_path: Path) -> None:
    """Of lldb-9, lldb-19 and lldb the highest version is taken, by name or by its output."""
    program(tmp_path, "lldb-9")
    newest = program(tmp_path, "lldb-19")
    program(tmp_path, "lldb", "lldb version 14.0.6")
    program(tmp_path, "lldb-server-20")

    chosen = debuggers.choose("lldb", search=[tmp_path])

    assert (chosen.path, chosen.major) == (newest, 19)


def test_auto_chooses_lldb_only_if_gdb_is_not_installed(tmp_path: Path) -> None:
    """The debugger `auto` is gdb, or lldb where gdb is missing."""
    program(tmp_path, "lldb-19")
    assert debuggers.choose("auto", search=[tmp_path]).debugger is Debugger.LLDB

    program(tmp_path, "gdb", "GNU gdb (Debian 13.1-3) 13.1")
    chosen = debuggers.choose("auto", search=[tmp_path])

    assert (chosen.debugger, chosen.major) == (Debugger.GDB, 13)


def test_the_lldb_dap_with_lldbs_version_is_preferred_and_a_missing_one_is_a_usage_error(
    tmp_path: Path,
) -> None:
    """Of several debug adapters, that of lldb's version is chosen; the error names a package."""
    program(tmp_path, "lldb-19")
    lldb = debuggers.choose("lldb", search=[tmp_path])

    with pytest.raises(UsageError, match="no lldb-dap-19 beside it") as caught:
        debuggers.adapter(lldb)
    assert "lldb-19" in caught.value.hint
    plain = program(tmp_path, "lldb-dap")
    assert debuggers.adapter(lldb) == plain
    numbered = program(tmp_path, "lldb-dap-19")
    assert debuggers.adapter(lldb) == numbered


def test_choosing_a_missing_lldb_is_a_usage_error_whose_hint_names_its_apt_packages(
    tmp_path: Path,
) -> None:
    """The hint for a missing lldb names its packages; an unknown kind of debugger is an error."""
    program(tmp_path, "gdb", "13.1")

    with pytest.raises(UsageError, match="no lldb is installed") as caught:
        debuggers.choose("lldb", search=[tmp_path, tmp_path / "nothing"])
    with pytest.raises(UsageError, match="--debugger windbg"):
        debuggers.choose("windbg", search=[tmp_path])

    assert "apt-get install lldb-19 python3-lldb-19" in caught.value.hint


def test_the_exit_status_of_a_debugger_run_in_the_foreground_is_returned(tmp_path: Path) -> None:
    """A script in the place of gdb that exits with 7 gives 7."""
    file = tmp_path / "gdb"
    file.write_text("#!/bin/sh\nexit 7\n")
    file.chmod(0o755)

    assert foreground.run([str(file)]) == 7
