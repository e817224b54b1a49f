# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rivals of the ring that come from Debian packages: LTTng-UST and DPDK's rte_ring.

LTTng is installed, by the group `rivals` of debian-packages.txt. libdpdk-dev depends on two
hundred packages, which would change this machine; one file of it is enough, so it is fetched and
unpacked into the cache instead.
"""

import tempfile
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

from harness import hints
from harness.errors import HarnessError, KernelError
from harness.host import apt, cache, system_packages, tool

_DPDK = "libdpdk-dev"
# Libraries that DPDK's own are linked with, and their packages. Most systems have them.
_NEEDED = {"bsd": "libbsd0", "fdt": "libfdt1", "numa": "libnuma1"}
_UNPACK_S = 300.0
_GROUP = "rivals"
_WANTED = (
    "./usr/include",
    *(f"*/librte_{name}.a" for name in ("ring", "eal", "kvargs", "telemetry")),
)


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """The rivals that this machine can measure: `lttng` is installed or not, `dpdk` is its folder.

    `dpdk` is None when libdpdk-dev could not be fetched. `missing` has, for each rival that cannot
    be measured, the reason and, if known, what to do about it.
    """

    lttng: bool
    dpdk: Path | None
    missing: dict[str, str]


def ensure(*, root: Path, progress: Callable[[str], None]) -> Rivals:
    """Return the rivals of this machine; fetch DPDK into the cache first if it is not there."""
    missing: dict[str, str] = {}
    dpdk = None
    try:
        absent = system_packages.missing(
            one for one in system_packages.listed() if one.group == _GROUP
        )
    except HarnessError as error:
        missing["lttng-ust"] = error.message
    else:
        if absent:
            names = ", ".join(one.name for one in absent)
            missing["lttng-ust"] = (
                f"not installed: {names}; {hints.command('setup', 'bench-ring')}"
            )
    try:
        dpdk = _dpdk(root, progress)
    except HarnessError as error:
        missing["rte_ring"] = f"{error.message}; {error.hint}"
    return Rivals(lttng="lttng-ust" not in missing, dpdk=dpdk, missing=missing)


def _dpdk(root: Path, progress: Callable[[str], None]) -> Path:
    """Return the folder with DPDK's headers and libraries.

    Raises: KernelError when apt has no such package or cannot fetch it, or when a library is
        missing that it needs.
    """
    absent = [name for name in _NEEDED if find_library(name) is None]
    if absent:
        names = " ".join(_NEEDED[name] for name in absent)
        raise KernelError(
            f"its libraries {', '.join(absent)} are missing", hint=f"apt-get install {names}"
        )
    version = apt.versions((_DPDK,)).get(_DPDK, "")
    if not version:
        raise KernelError(f"apt knows no package {_DPDK}", hint="run `apt-get update` as root")
    home = root / "dpdk" / cache.key_of(_DPDK, version)
    if not home.is_dir():
        progress(f"fetching {_DPDK} {version}: 9 MB, to compile rte_ring from it")
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as work, cache.publish(home) as staged:
            (file,) = apt.download((_DPDK,), Path(work))
            _unpack(file, staged)
    return home


def _unpack(file: Path, folder: Path) -> None:
    """Unpack from the package libdpdk-dev the headers and libraries of rte_ring, a tenth of it."""
    packed = tool.run(
        ["dpkg-deb", "--fsys-tarfile", str(file)], deadline_s=_UNPACK_S, error=KernelError
    )
    tool.run(
        ["tar", "-x", "--wildcards", *_WANTED],
        deadline_s=_UNPACK_S,
        error=KernelError,
        cwd=folder,
        within=tool.Surroundings(data=packed.stdout),
    )
