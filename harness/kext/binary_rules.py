# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The rules of `kext-check` for a kext's binary; harness/kext/check.py names their sources."""

import itertools
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.kext import macho
from harness.kext.findings import Finding
from harness.kext.kpi import Facts
from harness.kext.macho import MachO, Relocation, Segment

_ALLOWED = {
    macho.LC_SEGMENT_64,
    macho.LC_SYMTAB,
    macho.LC_DYSYMTAB,
    macho.LC_UUID,
    macho.LC_BUILD_VERSION,
    macho.LC_VERSION_MIN_MACOSX,
    macho.LC_SOURCE_VERSION,
    macho.LC_CODE_SIGNATURE,
    macho.LC_FUNCTION_STARTS,
    macho.LC_DATA_IN_CODE,
    macho.LC_DYLIB_CODE_SIGN_DRS,
    macho.LC_SEGMENT_SPLIT_INFO,
    macho.LC_NOTE,
    macho.LC_DYLD_INFO,
    macho.LC_DYLD_INFO_ONLY,
}
_NEEDED = {
    macho.LC_SYMTAB: "LC_SYMTAB",
    macho.LC_DYSYMTAB: "LC_DYSYMTAB",
    macho.LC_UUID: "LC_UUID",
}
# struct kmod_info is packed to 4 bytes, so its 64-bit fields, such as start and stop, are not
# aligned to 8.
_KMOD_INFO = struct.Struct("<QiI64s64siQ5Q")
_KMOD_START, _KMOD_STOP = 180, 188
_UNSIGNED, _BRANCH = 0, 2
_QUAD, _LONG = 3, 2
_S_ATTR_INSTRUCTIONS = 0x80000000


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A kext to be checked: its binary, its Info.plist, and the table of XNU's symbols.

    `releases` are the first and the last release of macOS for which the kext is checked.
    """

    file: MachO
    plist: dict[str, Any]
    facts: Facts
    releases: tuple[str, str]


Rule = Callable[[Subject], Iterator[Finding]]


def _file_type(subject: Subject) -> Iterator[Finding]:
    header = subject.file.header
    if header.cpu_type != macho.CPU_TYPE_X86_64:
        reason = f"CPU type {header.cpu_type:#x}: only x86_64 can be checked here"
        yield Finding(rule="architecture", reason=reason)
    if header.file_type != macho.MH_KEXT_BUNDLE:
        reason = f"file type {header.file_type:#x} is not MH_KEXT_BUNDLE (0xb)"
        yield Finding(rule="file-type", reason=reason)


def _load_commands(subject: Subject) -> Iterator[Finding]:
    numbers = Counter(one.number for one in subject.file.commands)
    for number in sorted(set(numbers) - _ALLOWED):
        reason = f"load command {number:#x} is not allowed in a kext"
        yield Finding(rule="load-command", reason=reason)
    for number, name in _NEEDED.items():
        if not numbers[number]:
            yield Finding(rule="load-command", reason=f"{name} is missing")
        elif numbers[number] > 1:
            yield Finding(rule="load-command", reason=f"{name} occurs more than once")


def _segments(subject: Subject) -> Iterator[Finding]:
    mapped = [one for one in subject.file.segments if one.size_bytes]
    text = subject.file.segment("__TEXT")
    if text is None or text.file_offset or text.address:
        yield Finding(
            rule="segment", reason="__TEXT is not at the begin of the file and of the image"
        )
    for one in mapped:
        yield from _segment(one)
    ordered = sorted(mapped, key=lambda one: one.address)
    for before, after in itertools.pairwise(ordered):
        if before.address + before.size_bytes > after.address:
            reason = f"{before.name} and {after.name} overlap"
            yield Finding(rule="segment", reason=reason)


def _segment(segment: Segment) -> Iterator[Finding]:
    both = macho.VM_PROT_WRITE | macho.VM_PROT_EXECUTE
    if segment.protection & both == both:
        reason = f"{segment.name} can be written and executed"
        yield Finding(rule="segment", reason=reason)
    if segment.file_bytes > segment.size_bytes:
        reason = f"{segment.name} has more bytes in the file than in memory"
        yield Finding(rule="segment", reason=reason)
    for one in segment.sections:
        if not segment.holds(one.address, one.size_bytes):
            reason = f"section {one.name} is not inside {segment.name}"
            yield Finding(rule="segment", reason=reason)


def _kmod_info(subject: Subject) -> Iterator[Finding]:
    symbol = subject.file.symbol("_kmod_info")
    if symbol is None:
        yield Finding(rule="kmod-info", reason="_kmod_info is not defined")
        return
    raw = subject.file.bytes_at(symbol.value, _KMOD_INFO.size)
    if raw is None:
        yield Finding(rule="kmod-info", reason="_kmod_info is not inside a segment")
        return
    values = _KMOD_INFO.unpack(raw)
    wanted = ("CFBundleIdentifier", "CFBundleVersion")
    if values[1] != 1:
        reason = f"kmod_info has version {values[1]}, not 1"
        yield Finding(rule="kmod-info", reason=reason)
    for key, value in zip(wanted, values[3:5], strict=True):
        if macho.text(value) != subject.plist.get(key):
            reason = f"kmod_info says {macho.text(value)!r}, {key} {subject.plist.get(key)!r}"
            yield Finding(rule="kmod-info", reason=reason)
    for name, offset in (("start", _KMOD_START), ("stop", _KMOD_STOP)):
        yield from _entry(subject.file, name, symbol.value + offset)


def _entry(file: MachO, name: str, address: int) -> Iterator[Finding]:
    """Yield an objection if kmod_info's start or stop has no relocation or leads to no code.

    `address` is the place of the pointer, and `name` is "start" or "stop".
    """
    raw = file.bytes_at(address, 8) or bytes(8)
    target = int.from_bytes(raw, "little")
    code = [s for g in file.segments for s in g.sections if s.flags & _S_ATTR_INSTRUCTIONS]
    if not any(one.address <= target < one.address + one.size_bytes for one in code):
        reason = f"kmod_info's {name} is {target:#x}, which is not code"
        yield Finding(rule="kmod-info", reason=reason)
    elif address not in {one.address for one in file.local}:
        reason = f"kmod_info's {name} has no relocation: it would stay {target:#x}"
        yield Finding(rule="kmod-info", reason=reason)


def _external(subject: Subject) -> Iterator[Finding]:
    for one in subject.file.external:
        quad = (_UNSIGNED, _QUAD, False)
        branch = (_BRANCH, _LONG, True)
        if not one.is_external or (one.kind, one.length, one.pc_relative) not in {quad, branch}:
            reason = f"external relocation at {one.address:#x} is of kind {one.kind}"
            yield Finding(rule="relocation", reason=f"{reason}, length {one.length}")
        if one.symbol >= len(subject.file.symbols):
            reason = f"relocation at {one.address:#x} refers to symbol {one.symbol} of "
            yield Finding(rule="relocation", reason=f"{reason}{len(subject.file.symbols)}")
        yield from _place(subject.file, one)


def _local(subject: Subject) -> Iterator[Finding]:
    sections = sum(len(one.sections) for one in subject.file.segments)
    for one in subject.file.local:
        if one.is_external or (one.kind, one.length, one.pc_relative) != (_UNSIGNED, _QUAD, False):
            reason = f"local relocation at {one.address:#x} is of kind {one.kind}"
            yield Finding(rule="relocation", reason=f"{reason}, length {one.length}")
        if not 1 <= one.symbol <= sections:
            reason = f"relocation at {one.address:#x} refers to section {one.symbol} of {sections}"
            yield Finding(rule="relocation", reason=reason)
        yield from _place(subject.file, one)


def _place(file: MachO, relocation: Relocation) -> Iterator[Finding]:
    size = 1 << relocation.length
    if not any(one.size_bytes and one.holds(relocation.address, size) for one in file.segments):
        reason = f"relocation at {relocation.address:#x} is outside every segment"
        yield Finding(rule="relocation", reason=reason)


def _bound(subject: Subject) -> Iterator[Finding]:
    """Yield an objection for each undefined symbol that no relocation lets the loader bind."""
    used = {one.symbol for one in subject.file.external}
    for number, one in enumerate(subject.file.symbols):
        if one.is_undefined and number not in used:
            reason = f"{one.name} is undefined, and no relocation binds it"
            yield Finding(rule="relocation", reason=reason)


def _symbols(subject: Subject) -> Iterator[Finding]:
    named = subject.plist.get("OSBundleLibraries")
    libraries = set(named) if isinstance(named, dict) else set()
    for name in _undefined(subject.file):
        yield from _symbol(subject, name, libraries)


def _symbol(subject: Subject, name: str, libraries: set[str]) -> Iterator[Finding]:
    table, (first, last) = subject.facts, subject.releases
    if name in table.refused_symbols:
        yield Finding(rule="symbol", reason=f"{name} is reserved for Apple's own kexts")
        return
    known = table.symbols.get(name)
    if known is None:
        yield Finding(rule="symbol", reason=f"{name} has no library in kpi_facts.toml")
        return
    if known.library not in libraries:
        reason = f"{name} belongs to {known.library}, which OSBundleLibraries does not name"
        yield Finding(rule="symbol", reason=reason)
    if not table.is_known_on(name, first):
        reason = f"{name} is known since macOS {known.first}, the kext claims {first} to {last}"
        yield Finding(rule="symbol", reason=reason)


def _needless(subject: Subject) -> Iterator[Finding]:
    named = subject.plist.get("OSBundleLibraries")
    used = symbols_by_library(subject)
    for library in sorted(set(named) if isinstance(named, dict) else set()):
        if library in subject.facts.libraries and library not in used:
            reason = f"{library} is named, but no symbol of it is used"
            yield Finding(rule="libraries", reason=reason)


def _minimum(subject: Subject) -> Iterator[Finding]:
    """Yield an objection if the code was compiled for a later macOS than the first that it claims.

    The first release that a kext claims is that of the lowest version in OSBundleLibraries.
    """
    # The version is the first field of LC_VERSION_MIN_MACOSX; in LC_BUILD_VERSION it follows the
    # platform.
    command = subject.file.command(macho.LC_VERSION_MIN_MACOSX)
    at = 8
    if command is None:
        command, at = subject.file.command(macho.LC_BUILD_VERSION), 12
    if command is None:
        return
    (packed,) = struct.unpack_from("<I", command.data, at)
    # Mach-O packs a version as xxxx.yy.zz into 32 bits.
    compiled = (packed >> 16, packed >> 8 & 0xFF)
    parts = [int(part) for part in subject.releases[0].split(".")]
    claimed = (parts[0], parts[1] if len(parts) > 1 else 0)
    if compiled > claimed:
        reason = f"compiled for macOS {compiled[0]}.{compiled[1]}, claims {subject.releases[0]}"
        yield Finding(rule="version", reason=reason)


def _undefined(file: MachO) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in file.symbols if one.is_undefined))


def symbols_by_library(subject: Subject) -> dict[str, int]:
    """Return the number of kernel symbols that the kext imports from each KPI library."""
    known = (subject.facts.symbols.get(name) for name in _undefined(subject.file))
    return dict(Counter(one.library for one in known if one))


RULES: tuple[Rule, ...] = (
    _file_type,
    _load_commands,
    _segments,
    _kmod_info,
    _external,
    _local,
    _bound,
    _symbols,
    _needless,
    _minimum,
)
