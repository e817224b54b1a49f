# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Look up functions and lines for the frames of a macOS panic in dSYMs.

A panic lists the address of each kext, so a frame is looked up by its offset in its kext. A dSYM
of another build is not used: the panic names the UUID of the kext that ran, and a wrong line is
worse than a missing one.
"""

import re
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.host import programs
from harness.panic import darwin
from harness.panic.darwin import Place
from harness.panic.values import Frame, KernelReport, Stack
from harness.symbols.addr2line import LineFinder, SourcePoint
from harness.symbols.paths import shown_path

# LLVM's addr2line is used, because binutils' addr2line cannot read Mach-O.
_PROGRAMS = ("llvm-addr2line-19", "llvm-addr2line", "llvm-addr2line-14")
# Numbers of mach-o/loader.h.
_MAGIC_64 = 0xFEEDFACF
_HEADER_BYTES = 32
_SEGMENT_64 = 0x19
_UUID = 0x1B
_KEXT = re.compile(r"^\s*([\w.-]+)\([^)]*\)\[([0-9A-Fa-f-]{36})\]@0x")


@dataclass(frozen=True, kw_only=True)
class Dsym:
    """A dSYM: its file, the UUID of the kext that it belongs to, and where that kext was linked.

    `linked_at` is the address of the segment __TEXT in the file.
    """

    file: Path
    uuid: str
    linked_at: int


def read_dsym(path: Path) -> Dsym:
    """Return a dSYM, given as the bundle or as the file in it.

    Raises: UsageError when it contains no 64-bit Mach-O.
    """
    inner = sorted((path / "Contents" / "Resources" / "DWARF").glob("*")) if path.is_dir() else []
    file = inner[0] if inner else path
    try:
        data = file.read_bytes()
        commands = dict(_commands(data))
        linked_at: int = struct.unpack_from("<Q", commands[_SEGMENT_64], 24)[0]
        return Dsym(
            file=file,
            uuid=str(uuid.UUID(bytes=commands[_UUID][8:24])).upper(),
            linked_at=linked_at,
        )
    except (OSError, struct.error, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is no dSYM of a 64-bit Mach-O", hint="kernel-build leaves NAME.kext.dSYM"
        ) from error


def _commands(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the Mach-O load commands that give __TEXT's address and the UUID: kind and bytes.

    Raises: ValueError for data that is not a 64-bit Mach-O; struct.error when it is cut.
    """
    (magic,) = struct.unpack_from("<I", data)
    if magic != _MAGIC_64:
        raise ValueError("no 64-bit Mach-O")
    (count,) = struct.unpack_from("<I", data, 16)
    position = _HEADER_BYTES
    for _ in range(count):
        kind, size = struct.unpack_from("<II", data, position)
        command = data[position : position + size]
        if kind == _UUID or (kind == _SEGMENT_64 and command[8:24].rstrip(b"\0") == b"__TEXT"):
            yield kind, command
        position += max(size, 8)


def loaded_uuids(text: Sequence[str]) -> dict[str, str]:
    """Return, by bundle identifier, the UUID of each kext whose address a panic lists.

    `text` has the lines of the panic.
    """
    found = (_KEXT.match(line) for line in text)
    return {match[1]: match[2].upper() for match in found if match}


def fitting(report: KernelReport, dsyms: Sequence[Path]) -> dict[str, Path]:
    """Return the dSYMs whose UUID equals that of a kext in the panic, by the kext's identifier.

    A kext without such a dSYM is left out.
    Raises: UsageError for a file that is not a dSYM.
    """
    by_uuid = {read_dsym(path).uuid: path for path in dsyms}
    ran = loaded_uuids(report.text)
    return {kext: by_uuid[loaded] for kext, loaded in ran.items() if loaded in by_uuid}


def symbolise(
    report: KernelReport, dsyms: Mapping[str, Path], *, roots: Sequence[Path] = ()
) -> tuple[KernelReport, tuple[str, ...]]:
    """Return a panic with functions and lines from dSYMs, and a note on each unsuitable dSYM.

    `dsyms` are by the kext's identifier. A dSYM is unsuitable when the panic names another UUID
    for the kext. A frame without a dSYM stays as it is.
    Raises: UsageError for a file that is not a dSYM, or when LLVM's addr2line is missing.
    """
    ran = loaded_uuids(report.text)
    usable: dict[str, Dsym] = {}
    notes: list[str] = []
    for kext, path in dsyms.items():
        dsym = read_dsym(path)
        if kext in ran and ran[kext] != dsym.uuid:
            notes.append(f"{path.name} is of another build: {dsym.uuid}, {ran[kext]} ran")
        else:
            usable[kext] = dsym
    return _with_lines(report, usable, roots), tuple(notes)


def _with_lines(
    report: KernelReport, dsyms: Mapping[str, Dsym], roots: Sequence[Path]
) -> KernelReport:
    program = programs.find(*_PROGRAMS, error=UsageError)
    finders = {kext: LineFinder(one.file, program=program) for kext, one in dsyms.items()}
    trapped_at = int(report.registers.get("RIP", "0"), 16)
    frames: list[Frame] = []
    try:
        for frame, place in zip(report.frames, darwin.places(report.text), strict=True):
            points = _points(place, dsyms, finders, trapped_at=trapped_at)
            frames += _frames_at(frame, place, points, roots) or [frame]
    finally:
        for finder in finders.values():
            finder.close()
    return _name_report(report, tuple(frames))


def _points(
    place: Place,
    dsyms: Mapping[str, Dsym],
    finders: Mapping[str, LineFinder],
    *,
    trapped_at: int,
) -> tuple[SourcePoint, ...]:
    if place.kext not in finders:
        return ()
    # A return address points to the next instruction, which may belong to the next line, so one
    # byte before it is looked up.
    back = 0 if place.address == trapped_at else 1
    return finders[place.kext].find(dsyms[place.kext].linked_at + place.offset - back)


def _frames_at(
    frame: Frame, place: Place, points: Sequence[SourcePoint], roots: Sequence[Path]
) -> list[Frame]:
    """Return the frames that one frame of a panic stands for: inlined functions first.

    `points` are the functions and lines at its address; without any the result is empty.
    """
    return [
        replace(
            frame,
            function=point.function.removeprefix("_"),
            module=place.kext,
            place=f"{shown_path(point.file, roots)}:{point.line}",
            inline=point is not points[-1],
        )
        for point in points
    ]


def _name_report(report: KernelReport, frames: tuple[Frame, ...]) -> KernelReport:
    """Return a panic's report with these frames as its stack, and the function to blame from them.

    The title, function, module and place stay as they are when no frame with a source line can be
    blamed.
    """
    stacks = (Stack(name="", frames=frames),) if frames else ()
    named = darwin.guilty(frames)
    if named is None or not named.place:
        return replace(report, stacks=stacks)
    title = report.title.removesuffix(f" in {report.function}")
    return replace(
        report,
        stacks=stacks,
        title=f"{title} in {named.function}",
        function=named.function,
        module=named.module,
        place=named.place,
    )
