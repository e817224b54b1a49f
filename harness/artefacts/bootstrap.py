# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make a root file system of a Debian suite with mmdebstrap, from the host's own apt sources."""

import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ImageError
from harness.host import apt, tool

_BOOTSTRAP_S = 1500.0


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """The Debian suite, packages and apt sources from which `run` makes a root file system.

    `packages` come in addition to a minimal system.
    """

    suite: str
    packages: tuple[str, ...]
    sources: tuple[str, ...]


def run(what: Bootstrap, options: Sequence[str], *, target: str, log: Path) -> None:
    """Make a root file system at `target` with mmdebstrap, and write its output into the log.

    `options` are further options for mmdebstrap; their --format decides what `target` becomes,
    such as an archive.
    Raises: ImageError with mmdebstrap's last lines, or when this user has no sub-uids; Lost when
        the disk is full.
    """
    command = ["mmdebstrap", f"--mode={_mode()}", "--variant=minbase", *options]
    command += [f"--include={','.join(what.packages)}"]
    command += [f"--aptopt={option}" for option in apt.options()]
    _mmdebstrap([*command, what.suite, target, *what.sources], log)


def _mode() -> str:
    """Return the mode in which mmdebstrap works for this user: root or unshare.

    Raises: ImageError when neither root nor an unshare with sub-uids is available.
    """
    if os.getuid() == 0:
        return "root"
    user = {str(os.getuid()), pwd.getpwuid(os.getuid()).pw_name}
    listed = Path("/etc/subuid").read_text().split("\n") if Path("/etc/subuid").exists() else []
    if any(line.split(":")[0] in user for line in listed) and shutil.which("newuidmap"):
        return "unshare"
    raise ImageError(
        "an ordinary user needs sub-uids and newuidmap to bootstrap an image",
        hint="apt-get install uidmap; usermod --add-subuids 100000-165535 "
        "--add-subgids 100000-165535 $USER (as root, once)",
    )


def _mmdebstrap(command: list[str], log: Path) -> None:
    within = tool.Surroundings(log=log, disk=log.parent.parent, own_group=True)
    tool.run(command, deadline_s=_BOOTSTRAP_S, error=ImageError, within=within)
