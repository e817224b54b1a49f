# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find a program on this host, and name the Debian package that contains a missing one."""

import os
import shutil

from harness import hints
from harness.errors import HarnessError

# The second part holds folders that the PATH of an ordinary user may lack.
SYSTEM_PATH = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin"
# Programs whose Debian package has another name than the program.
_PACKAGES = {
    "addr2line": "binutils",
    "apt-cache": "apt",
    "bsdtar": "libarchive-tools",
    "apt-config": "apt",
    "apt-get": "apt",
    "debuginfod-find": "debuginfod",
    "depmod": "kmod",
    "dpkg-buildpackage": "dpkg-dev",
    "dpkg-deb": "dpkg",
    "dsymutil": "llvm",
    "ld64.lld": "lld-19",
    "ldd": "libc-bin",
    "libvirtd": "libvirt-daemon",
    "llvm-addr2line-19": "llvm-19",
    "mcopy": "mtools",
    "mdir": "mtools",
    "mke2fs": "e2fsprogs",
    "objcopy": "binutils",
    "partx": "util-linux",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "virsh": "libvirt-clients",
}


def package(name: str) -> str:
    """Return the name of the Debian package that contains a program, by default its own name."""
    return _PACKAGES.get(name, name)


def located(name: str) -> str | None:
    """Return the path of an installed program, or None; root's folders are searched, too."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def find(*names: str, error: type[HarnessError]) -> str:
    """Return the path of the first of these programs that is installed.

    Raises: `error` when none is installed; it names the package of the first.
    """
    for name in names:
        path = located(name)
        if path is not None:
            return path
    raise not_installed(names[0], error)


def not_installed(name: str, error: type[HarnessError]) -> HarnessError:
    """Return the error for a missing program; its hint has the command that installs it."""
    return error(
        f"{name} is not installed",
        hint=f"run apt-get install {package(name)}; "
        f"{hints.command('setup')} installs what every task needs",
    )
