# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of editor: launch.json gets the harness's configurations and keeps all others."""

import json
from pathlib import Path

import pytest

from harness.debugger.editor import configuration, merged
from harness.host.debuggers import Debugger

SYMBOLS = Path("/cache/vmlinux")
LLDB = configuration(Debugger.LLDB, Path("/usr/bin/lldb-19"), Path("/r/debug.lldb"), SYMBOLS)
GDB = configuration(Debugger.GDB, Path("/usr/bin/gdb"), Path("/r/debug.gdb"), SYMBOLS)


def test_the_editors_gdb_and_lldb_configurations_source_the_command_file() -> None:
    """Both configurations for VS Code have the command that reads the debugger's command file."""
    assert LLDB["attachCommands"] == ["command source -s 0 /r/debug.lldb"]
    assert GDB["customLaunchSetupCommands"] == [{"text": "source /r/debug.gdb"}]


def test_the_editors_gdb_configuration_has_vmlinux_as_its_program() -> None:
    """The configuration for cppdbg names a program, since the adapter refuses an empty one."""
    assert GDB["program"] == "/cache/vmlinux"


def test_in_launch_json_the_harness_replaces_its_older_configurations_and_keeps_all_others() -> (
    None
):
    """In VS Code's launch.json a person's own configurations stay first."""
    own = {"name": "my program", "type": "cppdbg"}
    before = json.dumps({"version": "0.2.0", "inputs": [], "configurations": [own, LLDB]})

    after = json.loads(merged(before, [GDB, LLDB]))

    assert [one["name"] for one in after["configurations"]] == [
        "my program",
        "guest: gdb",
        "guest: lldb",
    ]
    assert after["inputs"] == []
    assert json.loads(merged("", [GDB]))["configurations"] == [GDB]


def test_a_launch_json_with_comments_is_refused_with_a_value_error() -> None:
    """A file with comments is refused, because they would be lost."""
    with pytest.raises(ValueError, match="Expecting"):
        merged("{\n// mine\n}", [GDB])


@pytest.mark.parametrize("text", ["[]", "3", '{"configurations": 3}', '{"configurations": [3]}'])
def test_json_that_is_no_launch_json_is_refused_with_a_value_error(text: str) -> None:
    """A debug configuration can be added only to a JSON object with a list of configurations."""
    with pytest.raises(ValueError, match="no list of configurations"):
        merged(text, [GDB])


def test_the_path_of_lldbs_command_file_is_quoted() -> None:
    """The editor's lldb configuration works for a project's folder with a space in its name."""
    found = configuration(Debugger.LLDB, Path("lldb"), Path("/my run/debug.lldb"), SYMBOLS)

    assert found["attachCommands"] == ["command source -s 0 '/my run/debug.lldb'"]
