# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Linux namespaces for commands that others wrote: no network, mounts that end with the command.

It needs no root: an ordinary user is root in a user namespace of its own.
"""

import functools
import os
import subprocess

_PROBE_S = 10.0


def prefix() -> tuple[str, ...]:
    """Return what to put before a command, so that it has no network and mounts of its own.

    () where this host allows no namespaces (a container, say): the command then runs as it is.
    """
    command = ["unshare", "--mount", "--net", "--propagation=private"]
    command += [] if os.getuid() == 0 else ["--map-root-user"]
    return tuple(command) if _works(tuple(command)) else ()


@functools.cache
def _works(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            [*command, "true"], check=False, capture_output=True, timeout=_PROBE_S
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
