# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The settings that come from environment variables, as a value. `host.config` reads them."""

from dataclasses import dataclass
from pathlib import Path

import platformdirs

# Variables that Kbuild's users expect to pass through (Documentation/kbuild/kbuild.rst).
KBUILD_VARIABLES = {
    "KDIR": "The folder of headers or the tree to build against, instead of the target's.",
    "ARCH": "The architecture to build for, by Kbuild's name.",
    "CROSS_COMPILE": "What the names of a cross compiler's programs begin with.",
    "LLVM": "With 1, Kbuild builds with clang and LLVM's tools.",
    "CC": "The C compiler.",
    "W": "Kbuild's level of additional warnings.",
    "C": "With 1 or 2, Kbuild also runs a checker such as sparse.",
    "V": "With 1, Kbuild prints each command.",
}
RUN_VARIABLE = "HARNESS_RUN"
# Every environment variable that the harness reads, with what it changes.
VARIABLES = {
    "HARNESS_CACHE": "The folder of images, kernels and saved guests. Default: `modlab` in the "
    "user's cache folder, `~/.cache/modlab`.",
    "HARNESS_TARGETS": "The folder with descriptions of targets that you start yourself. Default: "
    "`targets` in the user's configuration folder, `~/.config/modlab/targets`.",
    RUN_VARIABLE: "The file `session.json` of a run. pytest then runs the tests in the guest of "
    "that run, and starts none.",
    "XDG_RUNTIME_DIR": "The folder in which the sockets of guests are made. `/tmp` is used if the "
    "variable is not set, or if the path of a socket would be too long.",
    "CI": "Output is for a log: no line is redrawn. `./dev` installs packages without asking. An "
    "empty value, `0` and `false` count as not set for the output.",
    "NO_COLOR": "Output has no colours, whatever the value is.",
    "SKIP_KERNEL": "`packages` makes no packages of modules, as with `--skip-kernel`. An empty "
    "value, `0` and `false` count as not set.",
    **KBUILD_VARIABLES,
}


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
