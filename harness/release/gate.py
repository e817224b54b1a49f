# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check that a release contains no trace of a test build and no private key.

The check searches the bytes of each binary. Names of symbols, parameters, files and device nodes
are plain text in a binary's string tables, so nothing has to be loaded or run. Stripping a binary
removes only the names that nothing uses.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from harness.errors import BuildError
from harness.host import tool
from harness.model.products import PackagesSpec

_DEADLINE_S = 60.0
# The first bytes of binaries. ELF: System V gABI, "ELF Identification"; ar(5); Mach-O:
# mach-o/loader.h and mach-o/fat.h.
_BINARY = (b"\x7fELF", b"!<arch>\n", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


@dataclass(frozen=True, kw_only=True)
class ReleaseRules:
    """How a test build differs from a release.

    `forbidden` are texts that only a test build contains. `stamp` is the name under which a binary
    records its ABI number, as NAME=NUMBER. A packaged file that matches a pattern of `stamped`
    must have such a record. `test_bit` is the bit that is set in the ABI number of a test build.
    """

    forbidden: tuple[str, ...]
    stamp: str = ""
    stamped: tuple[str, ...] = ("*.ko",)
    test_bit: int = 0


def rules_of(spec: PackagesSpec) -> ReleaseRules:
    """Return the rules that the configuration sets for releases."""
    return ReleaseRules(
        forbidden=spec.forbidden,
        stamp=spec.abi_stamp,
        stamped=spec.stamped,
        test_bit=spec.abi_test_bit,
    )


def objections(
    name: str, data: bytes, rules: ReleaseRules, *, stamped: bool = False
) -> Iterator[str]:
    """Yield each reason why a file must not be released.

    The reasons are a private key, a trace of a test build, and a .ko, .so or .a that is no binary,
    so that it cannot be examined. With `stamped` a binary must also record its ABI number. `data`
    is the file's content.
    """
    if _PRIVATE_KEY.search(data):
        yield f"{name}: contains a private key"
    if not data.startswith(_BINARY):
        if name.endswith((".ko", ".so", ".a")):
            yield f"{name}: is not a binary, so it cannot be checked"
        return
    for text in rules.forbidden:
        count = data.count(text.encode())
        if count:
            yield f"{name}: holds {text!r} {count} times, as only a test build does"
    yield from _abi_objections(name, data, rules, stamped=stamped)


def _abi_objections(
    name: str, data: bytes, rules: ReleaseRules, *, stamped: bool
) -> Iterator[str]:
    if not rules.stamp:
        return
    pattern = rb"\b" + re.escape(rules.stamp.encode()) + rb"=(0[xX][0-9a-fA-F]+|[0-9]+)"
    numbers = [int(found, 0) for found in re.findall(pattern, data)]
    if stamped and not numbers:
        yield f"{name}: does not record its ABI number ({rules.stamp}=)"
    for number in numbers:
        if number & rules.test_bit:
            yield f"{name}: was built for ABI {number:#x}, which only a test build has"


def check_module(module: Path, rules: ReleaseRules) -> None:
    """Check that a built kernel module may be released.

    Raises: BuildError with every objection.
    """
    _refuse(list(objections(module.name, module.read_bytes(), rules, stamped=True)))


def check_packages(packages: tuple[Path, ...], rules: ReleaseRules) -> None:
    """Check that every file of every .deb may be released, its maintainer scripts included.

    Raises: BuildError with every objection, or when a package cannot be read.
    """
    found = []
    for package in packages:
        for name, data in _files(package):
            stamped = any(fnmatch(name, pattern) for pattern in rules.stamped)
            found += [
                f"{package.name}: {line}"
                for line in objections(name, data, rules, stamped=stamped)
            ]
    _refuse(found)


def _refuse(found: list[str]) -> None:
    if found:
        raise BuildError(
            f"not released: {len(found)} objections, first: {found[0]}",
            hint="build the release without the variables of the test build",
            evidence=found,
        )


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each regular file of a .deb, data part first, then control part."""
    for part in ("--fsys-tarfile", "--ctrl-tarfile"):
        command = ["dpkg-deb", part, package]
        done = tool.run(command, deadline_s=_DEADLINE_S, error=BuildError, check=False)
        if done.status != 0:
            raise BuildError(
                f"{package.name} cannot be read back: dpkg-deb {part} failed",
                evidence=done.stderr.decode(errors="backslashreplace").splitlines(),
            )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield member.name, content.read()
