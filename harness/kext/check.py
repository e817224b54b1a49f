# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check a kext against the rules of the kernel's loader and of Apple's kernel collections.

Each rule inspects one thing and yields its objections. The rules come from reading the sources
below; none has been compared with a Mac's own result (not verified on hardware).
Source: xnu-11417.101.15, libkern/kxld/kxld_kext.c, kxld_object.c, kxld_reloc.c,
    libkern/c++/OSKext.cpp; dyld-1378, cache_builder and mach_o/Image.cpp.
"""

import plistlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from harness.kext import binary_rules, macho
from harness.kext.binary_rules import Subject
from harness.kext.findings import Finding
from harness.kext.kpi import Facts, facts

# The form of OSKextVersion: up to three numbers, then a stage letter: d (development), a (alpha),
# b (beta), fc (final candidate).
_VERSION = re.compile(r"\d{1,4}(\.\d{1,2}){0,2}((d|a|b|fc)\d{1,3})?")
# The name in kmod_info has 64 bytes, and the last one is the NUL.
_IDENTIFIER_MAX_BYTES = 63


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The result of kext-check on a kext: the objections, and facts for the summary.

    `symbols_by_library` counts the symbols that the kext uses. `releases` are the first and the
    last release of macOS that were checked. Both are None when Info.plist or the binary cannot be
    read.
    """

    bundle: Path
    findings: tuple[Finding, ...]
    identifier: str = ""
    symbols_by_library: dict[str, int] | None = None
    releases: tuple[str, str] | None = None

    @property
    def passed(self) -> bool:
        """Whether the check has raised no objections."""
        return not self.findings


def check(bundle: Path, *, last: str | None = None) -> Checked:
    """Check a kext bundle, and return the objections to it and facts for a summary.

    It is checked for the releases of macOS from the first that it claims up to `last`. The first
    is that of the lowest KPI version in OSBundleLibraries. Without a known `last`, the check goes
    up to the newest known release.
    """
    table = facts()
    plist, findings = _information(bundle)
    if plist is None:
        return Checked(bundle=bundle, findings=tuple(findings))
    # A bundle with faults is examined further, so that one call reports all of them.
    binary = bundle / "Contents" / "MacOS" / str(plist.get("CFBundleExecutable"))
    findings += [*_plist_rules(plist, table), *_layout(bundle, binary)]
    releases = _releases(plist, table, last)
    if not binary.is_file():
        return Checked(bundle=bundle, findings=tuple(findings))
    try:
        file = macho.parse(binary.read_bytes())
    except macho.MachOMalformed as error:
        findings.append(Finding(rule="mach-o", reason=str(error)))
        return Checked(bundle=bundle, findings=tuple(findings))
    subject = Subject(file=file, plist=plist, facts=table, releases=releases)
    for rule in binary_rules.RULES:
        findings += rule(subject)
    return Checked(
        bundle=bundle,
        findings=tuple(findings),
        identifier=str(plist.get("CFBundleIdentifier", "")),
        symbols_by_library=binary_rules.symbols_by_library(subject),
        releases=releases,
    )


def lines(checked: Checked) -> tuple[str, ...]:
    """Return the text that kext-check prints: objections and their number, or else a summary."""
    if not checked.passed:
        found = (f"{one.rule}: {one.reason}" for one in checked.findings)
        return (*found, f"{checked.bundle.name}: refused, {len(checked.findings)} objections")
    used = checked.symbols_by_library or {}
    first, last = checked.releases or ("?", "?")
    return (
        *(f"{name}: {count} symbols" for name, count in sorted(used.items())),
        f"{checked.bundle.name} ({checked.identifier}): no objections",
        f"claims macOS {first} to {last}",
        "not verified on hardware: the rules come from sources, not from a Mac",
    )


def _information(bundle: Path) -> tuple[dict[str, Any] | None, list[Finding]]:
    file = bundle / "Contents" / "Info.plist"
    try:
        plist = plistlib.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None, [Finding(rule="layout", reason="there is no Contents/Info.plist")]
    except (ValueError, ExpatError, plistlib.InvalidFileException) as error:
        return None, [Finding(rule="plist", reason=f"Info.plist cannot be read: {error}")]
    if not isinstance(plist, dict):
        return None, [Finding(rule="plist", reason="Info.plist is not a dictionary")]
    return plist, []


def _layout(bundle: Path, binary: Path) -> Iterator[Finding]:
    if bundle.suffix != ".kext":
        yield Finding(rule="layout", reason=f"{bundle.name} does not end in .kext")
    if not binary.is_file():
        yield Finding(rule="layout", reason=f"MacOS/ has no executable {binary.name}")
    for file in sorted(bundle.rglob("*")):
        if file.is_symlink():
            yield Finding(rule="layout", reason=f"{file.name} is a symbolic link")
        elif file.stat().st_mode & 0o022:
            yield Finding(
                rule="layout", reason=f"{file.name} can be written by users other than root"
            )


def _plist_rules(plist: dict[str, Any], table: Facts) -> Iterator[Finding]:
    rules: tuple[Callable[[dict[str, Any], Facts], Iterator[Finding]], ...] = (
        _identity,
        _libraries,
    )
    for rule in rules:
        yield from rule(plist, table)


def _identity(plist: dict[str, Any], _table: Facts) -> Iterator[Finding]:
    for key in ("CFBundleIdentifier", "CFBundleExecutable", "CFBundleVersion"):
        if not isinstance(plist.get(key), str) or not plist[key]:
            yield Finding(rule="plist", reason=f"{key} is missing")
    if plist.get("CFBundlePackageType") != "KEXT":
        yield Finding(rule="plist", reason="CFBundlePackageType is not KEXT")
    identifier = str(plist.get("CFBundleIdentifier", ""))
    if len(identifier.encode()) > _IDENTIFIER_MAX_BYTES:
        yield Finding(rule="plist", reason="CFBundleIdentifier has more than 63 bytes")
    if not _VERSION.fullmatch(str(plist.get("CFBundleVersion", ""))):
        version = plist.get("CFBundleVersion")
        yield Finding(rule="version", reason=f"CFBundleVersion {version!r} is not a kext version")


def _libraries(plist: dict[str, Any], table: Facts) -> Iterator[Finding]:
    libraries = plist.get("OSBundleLibraries")
    if not isinstance(libraries, dict) or not libraries:
        yield Finding(
            rule="libraries", reason="OSBundleLibraries is missing: nothing can be linked"
        )
        return
    for name, version in libraries.items():
        if name in table.refused_libraries:
            yield Finding(rule="libraries", reason=f"{name} is reserved for Apple's own kexts")
        elif name.startswith("com.apple.kpi.") and name not in table.libraries:
            yield Finding(rule="libraries", reason=f"there is no library {name}")
        if not _VERSION.fullmatch(str(version)):
            yield Finding(rule="version", reason=f"{name}: {version!r} is not a version")


def _releases(plist: dict[str, Any], table: Facts, last: str | None) -> tuple[str, str]:
    """Return the first and the last release of macOS for which a kext is checked.

    `table` is the table of XNU's symbols. The first defaults to the oldest release in it, the last
    to the newest.
    """
    libraries = plist.get("OSBundleLibraries")
    versions = libraries.values() if isinstance(libraries, dict) else ()
    darwins = [int(str(one).split(".")[0]) for one in versions if _VERSION.fullmatch(str(one))]
    known = list(table.darwin)
    first = table.release_of(min(darwins, default=0)) or known[0]
    return first, last if last in table.darwin else known[-1]
