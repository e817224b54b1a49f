# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What must not be in a release, asked of the binaries themselves: traces of a test build, keys.

Names of symbols, parameters, files and nodes lie in a binary's string tables as they are written,
so that they are looked for in its bytes: nothing has to be loaded or run, and stripping hides only
what is no longer there.
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
# ELF, System V gABI, "ELF Identification"; ar(5); Mach-O, mach-o/loader.h and mach-o/fat.h.
_BINARY = (b"\x7fELF", b"!<arch>\n", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


@dataclass(frozen=True, kw_only=True)
class ReleaseRules:
    """What tells a test build from a release.

    `forbidden` are texts that only a test build has. `stamp` is the name under which a binary
    says for which ABI it was built (NAME=NUMBER), and the files of packages that match a pattern
    of `stamped` must say so. `test_bit` is the bit that a test build's number has.
    """

    forbidden: tuple[str, ...]
    stamp: str = ""
    stamped: tuple[str, ...] = ("*.ko",)
    test_bit: int = 0


def rules_of(spec: PackagesSpec) -> ReleaseRules:
    """Return what the configuration says of test builds."""
    return ReleaseRules(
        forbidden=spec.forbidden,
        stamp=spec.abi_stamp,
        stamped=spec.stamped,
        test_bit=spec.abi_test_bit,
    )


def objections(
    name: str, data: bytes, rules: ReleaseRules, *, stamped: bool = False
) -> Iterator[str]:
    """Yield why a file must not be released, one line each; nothing for a good one.

    `stamped` files must say for which ABI they were built.
    """
    if _PRIVATE_KEY.search(data):
        yield f"{name}: holds a private key"
    if not data.startswith(_BINARY):
        if name.endswith((".ko", ".so", ".a")):
            yield f"{name}: is no binary, so nothing can be said of it"
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
        yield f"{name}: does not say for which ABI it was built ({rules.stamp}=)"
    for number in numbers:
        if number & rules.test_bit:
            yield f"{name}: was built for ABI {number:#x}, a test build's"


def check_module(module: Path, rules: ReleaseRules) -> None:
    """Return when a built kernel module may be released.

    Raises: BuildError with every objection.
    """
    _refuse(list(objections(module.name, module.read_bytes(), rules, stamped=True)))


def check_packages(packages: tuple[Path, ...], rules: ReleaseRules) -> None:
    """Return when every file of every .deb may be released, those that maintain it, too.

    Raises: BuildError with every objection.
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
            f"not released: {len(found)} objections, the first: {found[0]}",
            hint="a release is built without the variables of the test build",
            evidence=found,
        )


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each regular file of a .deb, data first, then control."""
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
