# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build a tiny initrd: busybox, the few modules that find the root disk, and one short script.

The distribution's own initrd would be made inside an image and would tie image and kernel
together. This one needs neither root nor a running system, and boots faster.
"""

import gzip
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import KernelError

WANTED = ("virtio_pci", "virtio_blk", "ext4")

# This script mounts the root and the modules' disk by their labels, then starts the system. On an
# error it prints the error on the console and switches the machine off, because a guest that
# cannot boot must not hang.
_INIT = """#!/bin/sh
export PATH=/bin
fail() {
	echo "harness-initrd: $*" >/dev/console
	sync
	poweroff -f
	exit 1
}
mkdir -p /proc /sys /dev /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/modules/$module" || fail "cannot load $module"
done </modules/order
root=LABEL=harness-root
init=/sbin/init
for word in $(cat /proc/cmdline); do
	case $word in
	root=*) root=${word#root=} ;;
	init=*) init=${word#init=} ;;
	esac
done
find() {
	tries=0
	while [ $tries -lt 100 ]; do
		device=$(findfs "$1" 2>/dev/null) && return 0
		[ -b "$1" ] && device=$1 && return 0
		tries=$((tries + 1))
		usleep 100000
	done
	fail "no disk is $1; there are: $(blkid | tr '\\n' ';')"
}
find "$root"
mount -t ext4 -o rw,noatime "$device" /root || fail "cannot mount $root ($device)"
find LABEL=harness-modules
mkdir -p /root/lib/modules
mount -t ext4 -o ro,noatime "$device" /root/lib/modules || fail "cannot mount the modules"
[ -x "/root$init" ] || [ -L "/root$init" ] || fail "the root has no $init"
umount /proc
umount /sys
mount -o move /dev /root/dev
exec switch_root /root "$init"
fail "switch_root failed"
"""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(*, busybox: bytes, modules: Path, wanted: Iterable[str]) -> bytes:
    """Return an initrd, a gzipped cpio archive, with the wanted modules of one kernel.

    `modules` is the kernel's folder of modules. Equal input gives equal bytes.
    Raises: KernelError when a wanted module is neither built in nor in modules.dep.
    """
    files = tuple(load_order(modules, wanted))
    entries = [_Entry(name=name, mode=stat.S_IFDIR | 0o755) for name in ("bin", "dev", "modules")]
    entries.append(_Entry(name="dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1)))
    entries.append(_Entry(name="init", mode=stat.S_IFREG | 0o755, data=_INIT.encode()))
    entries.append(_Entry(name="bin/busybox", mode=stat.S_IFREG | 0o755, data=busybox))
    entries += [
        _Entry(name=f"bin/{applet}", mode=stat.S_IFLNK | 0o777, data=b"busybox")
        for applet in _APPLETS
    ]
    order = "".join(f"{file.name}\n" for file in files)
    entries.append(_Entry(name="modules/order", mode=stat.S_IFREG | 0o644, data=order.encode()))
    entries += [
        _Entry(name=f"modules/{file.name}", mode=stat.S_IFREG | 0o644, data=file.read_bytes())
        for file in files
    ]
    return gzip.compress(_cpio(entries), compresslevel=1, mtime=0)


def overlay(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return an archive to append to another one; the kernel lets its files replace earlier ones.

    Shape: `files` gives data and mode by absolute path; missing parent folders are added.
    Source: Documentation/driver-api/early-userspace/buffer-format.rst, "initramfs buffer format".
    """
    names = {PurePosixPath(name).relative_to("/"): content for name, content in files.items()}
    folders = sorted({folder for name in names for folder in name.parents if folder.name})
    entries = [_Entry(name=str(folder), mode=stat.S_IFDIR | 0o755) for folder in folders]
    entries += [
        _Entry(name=str(name), mode=stat.S_IFREG | mode, data=data)
        for name, (data, mode) in sorted(names.items())
    ]
    return gzip.compress(_cpio(entries), compresslevel=1, mtime=0)


_APPLETS = (
    *("sh", "mount", "umount", "mkdir", "insmod", "cat", "findfs", "blkid", "usleep", "sync"),
    *("poweroff", "switch_root", "tr"),
)


def load_order(modules: Path, wanted: Iterable[str]) -> Iterator[Path]:
    """Yield the files of the wanted modules and their dependencies, in the order of loading.

    Modules that are built into the kernel have no file and are left out.
    Raises: KernelError when a wanted module is neither built in nor in modules.dep.
    """
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, rest = line.partition(":")
        needs[file] = rest.split()
    by_name = {_name(file): file for file in needs}
    builtin = {_name(line) for line in (modules / "modules.builtin").read_text().splitlines()}
    done: set[str] = set()
    wishes = tuple(wanted)
    for name in (*_soft_needs(modules, wishes), *wishes):
        if name in builtin or (name not in by_name and name not in wishes):
            continue
        if name not in by_name:
            raise KernelError(f"this kernel has no {name}, and guests need it to find their disk")
        # In modules.dep the module that must be loaded first is the last.
        for file in (*reversed(needs[by_name[name]]), by_name[name]):
            if file not in done:
                done.add(file)
                yield modules / file


def _soft_needs(modules: Path, wanted: tuple[str, ...]) -> Iterator[str]:
    """Yield the modules that the wanted modules request only at run time, such as ext4's checksum.

    They are those that modules.softdep lists for the wanted ones, found through modules.alias.
    """
    softdeps, aliases = modules / "modules.softdep", modules / "modules.alias"
    asked: set[str] = set()
    for line in softdeps.read_text().splitlines() if softdeps.is_file() else ():
        words = line.split()
        if words[:1] == ["softdep"] and words[1].replace("-", "_") in wanted:
            asked.update(word for word in words[2:] if not word.endswith(":"))
    for line in aliases.read_text().splitlines() if aliases.is_file() else ():
        words = line.split()
        if len(words) == 3 and words[1] in asked:
            yield words[2].replace("-", "_")
    yield from sorted(asked)


def _name(file: str) -> str:
    return Path(file).name.split(".")[0].replace("-", "_")


def _cpio(entries: Iterable[_Entry]) -> bytes:
    """Return a cpio archive in newc format; see early-userspace/buffer-format.rst."""
    out = bytearray()
    for number, entry in enumerate((*entries, _Entry(name="TRAILER!!!", mode=0)), start=1):
        name = entry.name.encode() + b"\0"
        fields = (
            *(number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0),
            *(*entry.device, len(name), 0),
        )
        out += b"070701" + b"".join(b"%08X" % value for value in fields) + name
        out += bytes(-len(out) % 4)
        out += entry.data
        out += bytes(-len(out) % 4)
    return bytes(out)
