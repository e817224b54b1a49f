# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run commands of other people's build files in Linux namespaces, without network.

Mounts end with the command. This needs no root: an ordinary user is root in a user namespace of
its own.
"""

import functools
import os
import subprocess

_PROBE_S = 10.0


def prefix() -> tuple[str, ...]:
    """Return an `unshare` command; a command that follows it has no network and its own mounts.

    The result is () where this host allows no namespaces, for example in a container; the command
    then runs without isolation.
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
