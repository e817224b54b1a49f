# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Launch configurations by which an editor debugs a guest; nothing is read or written here.

Source: lldb-dap's README ("attachCommands") and cppdbg's launch.json reference
("customLaunchSetupCommands"): both read the command file that a debugger on a terminal would.
"""

import json
from pathlib import Path
from typing import Any

from harness.debugger.command_file import reading_command
from harness.host.debuggers import Debugger

# The harness recognizes its own configurations in a launch.json by this text, to replace them.
PREFIX = "guest: "


def configuration(
    debugger: Debugger, program: Path, script: Path, symbols: Path
) -> dict[str, Any]:
    """Return a launch.json configuration that attaches one debugger by a command file.

    `program` is the debugger. `symbols` is an ELF file of the guest, named only for cppdbg, which
    refuses a configuration without one. The command file reads the symbols itself.
    """
    if debugger is Debugger.LLDB:
        return {
            "name": f"{PREFIX}lldb",
            "type": "lldb-dap",
            "request": "attach",
            "stopOnEntry": True,
            "attachCommands": [reading_command(debugger, script)],
        }
    return {
        "name": f"{PREFIX}gdb",
        "type": "cppdbg",
        "request": "launch",
        "MIMode": "gdb",
        "miDebuggerPath": str(program),
        "program": str(symbols),
        "cwd": "${workspaceFolder}",
        "stopAtConnect": True,
        "customLaunchSetupCommands": [{"text": reading_command(debugger, script)}],
        "launchCompleteCommand": "None",
    }


def merged(text: str, configurations: list[dict[str, Any]]) -> str:
    """Return a launch.json in which new configurations replace the harness's older ones.

    Raises: ValueError for a text with comments or other additions to JSON, which would be lost,
        and for a text that is no launch.json.
    """
    try:
        data = json.loads(text) if text.strip() else {"version": "0.2.0"}
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    found = data.get("configurations", []) if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("it has no list of configurations")
    others = [one for one in found if not str(one.get("name", "")).startswith(PREFIX)]
    return json.dumps({**data, "configurations": [*others, *configurations]}, indent=2) + "\n"
