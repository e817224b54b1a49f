# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How long the path of a run's folder may be, so that UNIX sockets can be made in it."""

import os
from pathlib import Path

from harness.protocols.rsp_socket import PATH_MAX_BYTES

# libvirt puts the monitor socket of a domain named `harness` at this path below a run's folder.
# The number counts the guests that the run has had. No other socket of a run has a longer path.
DEEPEST_SOCKET = "libvirt/qemu/lib/domain-100-harness/monitor.sock"
# The longest name of a run that the harness makes: that of a control run, which repeats a crash.
LONGEST_RUN_ID = "20260101-000000-abcd-control-9"
RUN_FOLDER_MAX_BYTES = PATH_MAX_BYTES - len(f"/{DEEPEST_SOCKET}")


def has_room(run_folder: Path) -> bool:
    """Return whether a folder's path is short enough for every UNIX socket of a run in it."""
    return len(os.fsencode(run_folder)) <= RUN_FOLDER_MAX_BYTES
