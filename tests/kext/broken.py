# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bundles with one fault each, made from a good one, and the reason to refuse each of them."""

import plistlib
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.kext import macho

Edit = Callable[["Draft"], None]


@dataclass
class Draft:
    """The two files of a bundle, which an edit changes before they are written."""

    plist: dict[str, Any]
    data: bytearray
    folder: Path

    def file(self) -> macho.MachO:
        """Parse the binary in its current state."""
        return macho.parse(bytes(self.data))

    def put(self, form: str, offset: int, *values: int) -> None:
        """Pack numbers in the format `form` and write them into the binary at an offset."""
        struct.pack_into(form, self.data, offset, *values)

    def command(self, number: int) -> int:
        """Return the file offset of a load command."""
        found = self.file().command(number)
        assert found is not None
        return found.offset

    def rename(self, old: str, new: str) -> None:
        """Rename a symbol in the binary; the new name must not be longer than the old one."""
        before, after = old.encode() + b"\0", (new.encode() + b"\0").ljust(len(old) + 1, b"\0")
        assert self.data.count(b"\0" + before) == 1, old
        assert len(after) == len(before)
        self.data[:] = self.data.replace(b"\0" + before, b"\0" + after)

    def place(self, address: int) -> int:
        """Return the offset in the binary's file of an address."""
        for one in self.file().segments:
            if one.size_bytes and one.holds(address, 1):
                return one.file_offset + address - one.address
        raise AssertionError(hex(address))

    def relocation(self, which: str, index: int = 0) -> int:
        """Return the file offset of one entry in the external or local relocations."""
        table = self.file().command(macho.LC_DYSYMTAB)
        assert table is not None
        column = {"external": 16, "local": 18}[which]
        offset: int = macho.DYSYMTAB.unpack_from(table.data)[column]
        return offset + index * macho.RELOCATION.size


def write_broken(good: Path, folder: Path, edit: Edit) -> Path:
    """Copy a bundle, apply an edit to the copy, and return it."""
    bundle = folder / good.name
    shutil.copytree(good, bundle)
    plist = bundle / "Contents" / "Info.plist"
    binary = bundle / "Contents" / "MacOS" / good.stem
    draft = Draft(
        plist=plistlib.loads(plist.read_bytes()),
        data=bytearray(binary.read_bytes()),
        folder=bundle,
    )
    edit(draft)
    plist.write_bytes(plistlib.dumps(draft.plist))
    if binary.exists():
        binary.write_bytes(bytes(draft.data))
    return bundle


def _library(name: str) -> Edit:
    def edit(draft: Draft) -> None:
        del draft.plist["OSBundleLibraries"][name]

    return edit


def _named(name: str, version: str = "14.0.0") -> Edit:
    def edit(draft: Draft) -> None:
        draft.plist["OSBundleLibraries"][name] = version

    return edit


def _plist(key: str, value: object) -> Edit:
    def edit(draft: Draft) -> None:
        draft.plist[key] = value

    return edit


def _symbol(old: str, new: str) -> Edit:
    return lambda draft: draft.rename(old, new)


def _kmod(offset: int, form: str, value: int) -> Edit:
    def edit(draft: Draft) -> None:
        info = draft.file().symbol("_kmod_info")
        assert info is not None
        draft.put(form, draft.place(info.value) + offset, value)

    return edit


def _relocated(which: str, address: int) -> Edit:
    return lambda draft: draft.put("<i", draft.relocation(which), address)


def _packed(which: str, change: Callable[[int], int]) -> Edit:
    def edit(draft: Draft) -> None:
        at = draft.relocation(which) + 4
        (packed,) = struct.unpack_from("<I", draft.data, at)
        draft.put("<I", at, change(packed))

    return edit


def _writable_code(draft: Draft) -> None:
    # The initprot field of the first segment, __TEXT.
    draft.put("<I", draft.command(macho.LC_SEGMENT_64) + 60, 7)


def _without_binary(draft: Draft) -> None:
    (draft.folder / "Contents" / "MacOS" / draft.folder.stem).unlink()


def _without_kmod(draft: Draft) -> None:
    draft.rename("_kmod_info", "_kmod_inf0")


def _unrelocated_stop(draft: Draft) -> None:
    file = draft.file()
    info = file.symbol("_kmod_info")
    assert info is not None
    index = next(n for n, one in enumerate(file.local) if one.address == info.value + 188)
    draft.put("<i", draft.relocation("local", index), info.value + 180)


def _writable_by_all(draft: Draft) -> None:
    (draft.folder / "Contents" / "Info.plist").chmod(0o666)


def _linked(draft: Draft) -> None:
    (draft.folder / "Contents" / "Resources").symlink_to("/tmp")


def _later_minimum(draft: Draft) -> None:
    draft.put("<I", draft.command(macho.LC_VERSION_MIN_MACOSX) + 8, 11 << 16)


def _overlapping(draft: Draft) -> None:
    first = draft.file().commands[0]
    draft.put("<Q", first.offset + 32, 0x100000)


BROKEN: dict[str, tuple[Edit, str, str]] = {
    # Each row: the edit, the rule that must object, and words of the rule's reason.
    "no-iokit": (
        _library("com.apple.kpi.iokit"),
        "symbol",
        "_IOMalloc belongs to com.apple.kpi.iokit",
    ),
    "no-libraries": (_plist("OSBundleLibraries", {}), "libraries", "nothing can be linked"),
    "private": (_named("com.apple.kpi.private"), "libraries", "Apple's own kexts"),
    "unknown-library": (_named("com.apple.kpi.gpu"), "libraries", "there is no library"),
    "needless": (_named("com.apple.kpi.dsep"), "libraries", "no symbol of it is used"),
    "no-type": (_plist("CFBundlePackageType", "APPL"), "plist", "is not KEXT"),
    "bad-version": (_plist("CFBundleVersion", "1.0-rc1"), "version", "is not a kext version"),
    "long-name": (_plist("CFBundleIdentifier", "a." * 40), "plist", "more than 63 bytes"),
    "other-name": (_plist("CFBundleIdentifier", "org.other"), "kmod-info", "kmod_info says"),
    "file-type": (lambda d: d.put("<I", 12, macho.MH_BUNDLE), "file-type", "0x8 is not"),
    "object": (lambda d: d.put("<I", 12, macho.MH_OBJECT), "file-type", "0x1 is not"),
    "cpu": (lambda d: d.put("<I", 4, 7), "architecture", "only x86_64"),
    "not-mach-o": (lambda d: d.put("<I", 0, 0x464C457F), "mach-o", "magic 0x464c457f"),
    "cut": (lambda d: d.data.__delitem__(slice(9000, None)), "mach-o", "past the end"),
    "fixups": (
        lambda d: d.put("<I", d.command(macho.LC_FUNCTION_STARTS), 0x80000034),
        "load-command",
        "0x80000034 is not allowed in a kext",
    ),
    "no-uuid": (
        lambda d: d.put("<I", d.command(macho.LC_UUID), macho.LC_NOTE),
        "load-command",
        "LC_UUID is missing",
    ),
    "writable-code": (_writable_code, "segment", "__TEXT can be written and executed"),
    "overlap": (_overlapping, "segment", "overlap"),
    "no-kmod-info": (_without_kmod, "kmod-info", "_kmod_info is not defined"),
    "kmod-version": (_kmod(8, "<i", 2), "kmod-info", "version 2, not 1"),
    "start-nowhere": (_kmod(180, "<Q", 0x90001), "kmod-info", "start is 0x90001"),
    "stop-unrelocated": (_unrelocated_stop, "kmod-info", "stop has no relocation"),
    "out-of-segment": (_relocated("external", 0x7FFF0), "relocation", "outside every segment"),
    "local-out": (_relocated("local", -8), "relocation", "outside every segment"),
    "relocation-kind": (
        _packed("external", lambda p: p | 5 << 28),
        "relocation",
        "is of kind 5",
    ),
    "symbol-index": (
        _packed("external", lambda p: p & ~0xFFFFFF | 9999),
        "relocation",
        "symbol 9999",
    ),
    "section-index": (
        _packed("local", lambda p: p & ~0xFFFFFF | 99),
        "relocation",
        "section 99",
    ),
    "unknown-symbol": (_symbol("_proc_selfppid", "_proc_selfxpid"), "symbol", "has no library"),
    "private-symbol": (_symbol("_strnlen", "_tsleep"), "symbol", "Apple's own kexts"),
    "later-symbol": (_symbol("_memset", "_memchr"), "symbol", "known since macOS 15"),
    "later-compiled": (_later_minimum, "version", "compiled for macOS 11.0, claims 10.10"),
    "no-binary": (_without_binary, "layout", "no executable osq"),
    "writable": (_writable_by_all, "layout", "can be written by users"),
    "symlink": (_linked, "layout", "is a symbolic link"),
}
