# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where this host has a program, and which package brings one that it lacks."""

import os
import shutil

from harness.errors import HarnessError

# What an ordinary user's PATH may lack, and what is run without the user's.
SYSTEM_PATH = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin"
# The Debian package of each program that is named otherwise.
_PACKAGES = {
    "addr2line": "binutils",
    "apt-cache": "apt",
    "apt-config": "apt",
    "apt-get": "apt",
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
    """Return the Debian package that brings a program."""
    return _PACKAGES.get(name, name)


def located(name: str) -> str | None:
    """Return the path of a program, those that only root has on its PATH included."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def find(*names: str, error: type[HarnessError]) -> str:
    """Return the path of the first program that is here.

    Raises: `error` when none is, with the package that brings the first.
    """
    for name in names:
        path = located(name)
        if path is not None:
            return path
    raise not_installed(names[0], error)


def not_installed(name: str, error: type[HarnessError]) -> HarnessError:
    """Return the error for a program that is not here: it names the package and what to type."""
    return error(
        f"{name} is not installed", hint=f"apt-get install {package(name)}, or ./dev, which does"
    )
