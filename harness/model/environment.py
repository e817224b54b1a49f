# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the process environment decides, as a value. `config` alone reads the environment."""

from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the process environment decides.

    `cache` holds images and kernels; `runtime` holds sockets and must be short (a UNIX socket's
    path ends at 108 bytes); `run` is the session file of a run that this process is part of.
    `keys` holds what cannot be made anew: the key that released modules are signed with.
    `targets` holds what this user says of the targets that he boots himself.
    """

    cache: Path
    runtime: Path
    ci: bool
    color: bool
    kbuild: dict[str, str]
    run: Path | None
    targets: Path = Path()
    keys: Path = Path(platformdirs.user_data_dir("modlab")) / "signing"
    skip_kernel: bool = False
