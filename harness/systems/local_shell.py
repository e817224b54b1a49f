# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run commands on this host through the same interface as on a target over SSH."""

import shlex
import time
from collections.abc import Sequence

from harness.errors import GuestLost
from harness.host import tool
from harness.systems.shell import CommandFailed, Completed


class ThisHost:
    """Runs commands on this host, with the interface `Shell` that a guest over SSH has, too."""

    def run(
        self,
        command: str | Sequence[str],
        *,
        deadline_s: float,
        input: bytes = b"",  # noqa: A002
        check: bool = True,
    ) -> Completed:
        """Run a command and return its result; a missing command ends with status 127.

        A string is a line for /bin/sh; the words of a sequence are quoted.
        Raises: GuestLost at the deadline; CommandFailed for a status other than 0, unless `check`
            is off.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        begun = time.monotonic()
        done = tool.run(
            ["/bin/sh", "-c", line],
            deadline_s=deadline_s,
            error=GuestLost,
            check=False,
            within=tool.Surroundings(data=input),
        )
        if done.status is None:
            raise GuestLost(f"no end in time of: {line}")
        completed = Completed(
            stdout=done.text,
            stderr=done.stderr.decode(errors="backslashreplace"),
            status=done.status,
            duration_s=time.monotonic() - begun,
        )
        if check and completed.status != 0:
            raise CommandFailed(line, completed)
        return completed
