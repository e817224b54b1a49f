# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The settings that come from environment variables, as a value. `host.config` reads them."""

from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings that come from environment variables.

    `cache` is the folder of images and kernels. `runtime` is the folder of sockets, and its path
    must be short, because the path of a UNIX socket has at most 107 bytes. `ci` means that output
    is for a log instead of a terminal, and `color` allows colours. `kbuild` are the variables to
    pass to make. `run` is the session file of the run to which this process belongs, None outside
    of runs. `keys` is the folder of the key that signs released modules; a lost key cannot be
    replaced. `targets` is the folder with the user's descriptions of targets that the user boots.
    With `skip_kernel`, a release is made without packages of modules.
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
