# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fetch a Debian package NAME-dkms with the host's own apt, and unpack it in the cache.

The package is not installed, and none of its scripts runs.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.host import apt, cache, tool
from harness.modules import dkms

Progress = Callable[[str], None]

_LOCK_S = 600.0
_STEP_S = 120.0
_SUFFIX = "-dkms"
# Dependencies that the harness replaces: it does not run dkms, and headers come with the kernel.
_BROUGHT = re.compile(r"^(?:dkms|dh-.*|linux-(?:headers|image|kbuild)\b.*|debconf.*)$")


@dataclass(frozen=True, kw_only=True)
class DkmsPackage:
    """An unpacked NAME-dkms package: its module's source, its dependencies and recommendations.

    Packages that the harness replaces, such as dkms and the kernel's headers, are left out.
    """

    name: str
    version: str
    source: Path
    depends: tuple[str, ...]
    recommends: tuple[str, ...]


def is_name(text: str) -> bool:
    """Return whether a word has the form NAME-dkms, as names of Debian's packages for dkms do."""
    return text.endswith(_SUFFIX) and re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", text) is not None


def fetch(name: str, *, root: Path, progress: Progress) -> DkmsPackage:
    """Return an unpacked NAME-dkms package, from the cache or fetched now.

    Raises: UsageError for a package that apt does not know or that has no dkms.conf; KernelError
        when the fetch fails, CacheBusy, Lost when the disk is full.
    """
    version = apt.versions([name]).get(name)
    if version is None:
        raise UsageError(
            f"apt knows no package {name}",
            hint=f"apt-cache search --names-only -- '{_SUFFIX}$' lists those to be had",
        )
    folder = root / "dkms" / f"{name}-{cache.key_of(version)}"
    held = cache.lock(
        folder.with_name(f".{folder.name}.lock"),
        what=f"package {name}",
        deadline_s=_LOCK_S,
        progress=progress,
    )
    with held:
        if not folder.is_dir():
            progress(f"fetching {name} {version}")
            with cache.publish(folder) as beside:
                (file,) = apt.download([f"{name}={version}"], beside)
                _dpkg("--extract", str(file), str(beside / "tree"))
                _dpkg("--control", str(file), str(beside / "control"))
        os.utime(folder)
    control = _fields((folder / "control" / "control").read_text(errors="replace"))
    return DkmsPackage(
        name=name,
        version=version,
        source=_source(name, folder / "tree"),
        depends=tuple(_names(control.get("Depends", ""))),
        recommends=tuple(_names(control.get("Recommends", ""))),
    )


def _source(name: str, tree: Path) -> Path:
    found = sorted(tree.glob(f"usr/src/*/{dkms.CONF}"))
    if not found:
        raise UsageError(f"{name} has no usr/src/*/{dkms.CONF}: it contains no source of a module")
    return found[0].parent


def _dpkg(*arguments: str) -> None:
    tool.run(["dpkg-deb", *arguments], deadline_s=_STEP_S, error=UsageError)


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a Debian control file; see deb822(5)."""
    joined = re.sub(r"\n[ \t]+", " ", text)
    pairs = (line.partition(":") for line in joined.splitlines())
    return {key: value.strip() for key, colon, value in pairs if colon}


def _names(relation: str) -> Iterator[str]:
    """Yield the first alternative of each dependency in a relation field, without its version.

    Packages that the harness replaces are left out.
    """
    for part in relation.split(","):
        name = re.split(r"[\s|(:\[<]", part.strip(), maxsplit=1)[0]
        if name and not _BROUGHT.match(name):
            yield name
