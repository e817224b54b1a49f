# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Ask QEMU one question on its QMP socket, over a connection that is opened for it."""

import asyncio
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

from harness.errors import HypervisorError

_ASK_S = 30.0


def ask(socket: Path, command: str, arguments: dict[str, Any] | None = None) -> Any:
    """Return QEMU's answer to a QMP command.

    Raises: HypervisorError when QEMU does not answer, or refuses.
    """
    try:
        return asyncio.run(asyncio.wait_for(_execute(socket, command, arguments), _ASK_S))
    # A TimeoutError has no text of its own.
    except (QMPError, OSError, TimeoutError) as error:
        raise HypervisorError(f"QEMU does not answer {command}: {error or 'too late'}") from error


def words(socket: Path, line: str) -> str:
    """Run a command of QEMU's human monitor by QMP, and return the text that it prints.

    Raises: HypervisorError when QEMU does not answer.
    """
    return str(ask(socket, "human-monitor-command", {"command-line": line}))


async def _execute(socket: Path, command: str, arguments: dict[str, Any] | None) -> Any:
    client = QMPClient("harness")
    await client.connect(str(socket))
    try:
        return await client.execute(command, arguments)
    finally:
        await client.disconnect()
