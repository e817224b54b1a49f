# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where a build's commands run: on this host, or in a build root.

A build root is a small root file system of a Debian suite. Build commands written by others look
for kernel headers in /lib/modules/RELEASE/build and call `uname -r`. In a box both give the kernel
to build for. A box has no network, and its mounts end with the command. In a build root only
changes in the shared folders and in /dev, /proc and /sys reach the host; on this host a command
can write wherever its user may. If the host allows no namespaces, a box on this host has the
network, and only `uname` is replaced.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError
from harness.modules import namespace

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, kw_only=True)
class Box:
    """A place in which commands build a module for one kernel.

    `scratch` is a folder for the box alone, which is made if it is missing. `shared` are folders
    of this host that are visible in a build root at the same path. `root` is the build root, or
    None for this host.
    """

    release: str
    kdir: Path
    scratch: Path
    root: Path | None = None
    shared: tuple[Path, ...] = ()

    def command(self, command: Sequence[str], *, cwd: Path) -> list[str]:
        """Return the command line that runs a command in the box, in a working directory.

        The scratch folder and the box's own `uname` are written now.
        Raises: BuildError when a build root is needed but this host does not allow namespaces.
        """
        self._write_uname()
        prefix = namespace.prefix()
        if self.root is not None:
            if not prefix:
                raise BuildError(
                    "a build root needs namespaces, and this host allows none (unshare fails)",
                    hint="build for a kernel whose compiler is installed here, or run as root",
                )
            shown = (*self.shared, self._programs)
            where = [str(self.root), str(cwd), *map(str, shown), "--"]
            line = [*prefix, "sh", "-eu", "-c", _MOUNTS + _IN_ROOT, "box", *self._words(), *where]
        elif prefix:
            line = [
                *prefix,
                "sh",
                "-eu",
                "-c",
                _MOUNTS + _ON_HOST,
                "box",
                *self._words(),
                str(cwd),
            ]
        else:
            line = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "box", str(cwd)]
        return [*line, *command]

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment variables for commands in the box."""
        return {
            "PATH": f"{self._programs}:{_SYSTEM_PATH}",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.scratch),
            **variables,
        }

    @property
    def _programs(self) -> Path:
        return self.scratch.with_name(f"{self.scratch.name}.bin")

    def _words(self) -> list[str]:
        return [str(self.scratch), self.release, str(self.kdir), "" if os.getuid() == 0 else "1"]

    def _write_uname(self) -> None:
        """Write a program `uname` that prints the release of the kernel to build for."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._programs.mkdir(parents=True, exist_ok=True)
        file = self._programs / "uname"
        file.write_text(_UNAME.format(release=self.release))
        file.chmod(0o755)


_UNAME = """#!/bin/sh
case "$*" in
-r | --kernel-release) echo {release} ;;
*) exec /bin/uname "$@" ;;
esac
"""
# The script's arguments: $1 scratch, $2 release, $3 headers, $4 not empty for an ordinary user.
# userxattr: in a user namespace overlayfs may not set the attributes that it uses otherwise.
_MOUNTS = """
scratch=$1 release=$2 headers=$3 options=${4:+,userxattr}
shift 4
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
overlay() {
	options=lowerdir=$1,upperdir=$scratch/upper,workdir=$scratch/work$options
	mount -t overlay overlay -o "$options" "$2"
}
show_headers() {
	mkdir -p "$1/$release"
	ln -s "$headers" "$1/$release/build"
	ln -s "$headers" "$1/$release/source"
}
"""
# On a host without /lib/modules an overlay over /lib gives the folder a place, so that the host
# does not change.
_ON_HOST = """
if [ -d /lib/modules ]; then
	mount -t tmpfs tmpfs /lib/modules
else
	lib=$(readlink -f /lib)
	overlay "$lib" "$lib"
fi
show_headers /lib/modules
cd "$1"
shift
exec "$@"
"""
# The arguments after the root and the working directory, up to '--', are the shared folders.
# /tmp is mounted before them, because they may lie below it.
_IN_ROOT = """
overlay "$1" "$scratch/root"
root=$scratch/root cwd=$2
shift 2
mkdir -p "$root/tmp"
mount -t tmpfs tmpfs "$root/tmp"
while [ "$1" != -- ]; do
	mkdir -p "$root$1"
	mount --bind "$1" "$root$1"
	shift
done
shift
for name in proc dev sys; do
	mkdir -p "$root/$name"
	mount --rbind "/$name" "$root/$name"
done
show_headers "$root/lib/modules"
exec chroot "$root" sh -c 'cd "$1" && shift && exec "$@"' sh "$cwd" "$@"
"""
