# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build a kext on Linux with Debian's clang, lld and dsymutil, and with harness/kext/bundle.py.

The same sources give the same bytes: the files contain no path of the host, no time, and nothing
that depends on the order of files.
"""

import os
import plistlib
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from harness import hints
from harness.errors import BuildError, ConfigError
from harness.host import programs, tool
from harness.kext import bundle, macho
from harness.model.products import KextSpec

LINKED_ARCH = "x86_64"
# Debian has no linker for these architectures. Code for them is compiled only, to show that the
# sources build on a Mac.
COMPILED_ARCHES = {"arm64": "11.0", "arm64e": "12.0"}
_DEADLINE_S = 120.0
# Flags of kernel code: no red zone, no SSE, no libraries. -nostdlibinc keeps the compiler's own
# headers.
_COMPILE = (
    *("-mkernel", "-ffreestanding", "-fno-builtin", "-nostdlibinc", "-fno-common"),
    *("-std=c11", "-O2", "-g", "-fvisibility=hidden", "-fno-omit-frame-pointer"),
    *("-Wall", "-Wextra", "-Werror", "-DKERNEL"),
)
# Chained fixups describe every pointer in one place, and with them lld makes no helper for lazy
# binding.
_LINK = ("-bundle", "-undefined", "dynamic_lookup", "-fixup_chains", "-no_data_const")
_COMPILER = "clang"
# Debian's packages of one version add its number to the names of the tools.
_LINKERS = ("ld64.lld", "ld64.lld-22", "ld64.lld-21", "ld64.lld-20", "ld64.lld-19")
_DSYMUTILS = ("dsymutil", "dsymutil-19", "dsymutil-14")
# lld 14, which Debian 12 has too, ignores -fixup_chains.
_OLDEST_LLD = 19


@dataclass(frozen=True, kw_only=True)
class KextBuild:
    """A built kext: its bundle, its dSYM, and the number of object files by architecture."""

    bundle: Path
    dsym: Path
    identifier: str
    uuid: str
    objects: dict[str, int]

    @property
    def binary(self) -> Path:
        """The Mach-O file in the kext's bundle."""
        return self.bundle / "Contents" / "MacOS" / self.bundle.stem


def build(spec: KextSpec, out: Path, *, arches: Sequence[str] = ()) -> KextBuild:
    """Build a kext's bundle for x86_64 into the folder `out`, and return what was built.

    For the architectures `arches`, such as arm64, the sources are only compiled, not linked. The
    former content of `out` is removed.
    Raises: BuildError with the tool's output; ConfigError for an invalid Info.plist.
    """
    information = read_information(spec.plist)
    shutil.rmtree(out, ignore_errors=True)
    objects = out / "objects"
    made = {
        arch: _compile(spec, information, objects / arch, arch=arch, macos=macos)
        for arch, macos in {LINKED_ARCH: spec.macos, **COMPILED_ARCHES}.items()
        if arch == LINKED_ARCH or arch in arches
    }
    name = information["CFBundleExecutable"]
    linked = _link(spec, objects / LINKED_ARCH, made[LINKED_ARCH], name=name)
    result = out / f"{name}.kext"
    dsym = _dsym(linked, out / f"{name}.kext.dSYM")
    data = _converted(linked)
    _write(result, name, data, spec.plist)
    return KextBuild(
        bundle=result,
        dsym=dsym,
        identifier=information["CFBundleIdentifier"],
        uuid=uuid_of(data),
        objects={arch: len(files) for arch, files in made.items()},
    )


def binary_with(spec: KextSpec, objects: Path, changed: Path, out: Path) -> bytes:
    """Return the kext's binary with one source replaced by `changed`, for tests with faulty code.

    `objects` is the folder `objects` of an earlier build. `changed` has the name of the source
    that it replaces, and `out` is a folder for temporary files.
    Raises: the errors of `build`.
    """
    information = read_information(spec.plist)
    # The objects are copied, so that neither the changed object nor the link touches the real
    # build.
    shutil.copytree(objects / LINKED_ARCH, out / LINKED_ARCH)
    fresh = _compile(
        spec, information, out / "fresh", arch=LINKED_ARCH, macos=spec.macos, only=changed
    )
    for file in fresh:
        shutil.copyfile(file, out / LINKED_ARCH / file.name)
    files = tuple(out / LINKED_ARCH / f"{source.stem}.o" for source in sources_of(spec))
    name = information["CFBundleExecutable"]
    return _converted(_link(spec, out / LINKED_ARCH, files, name=name))


def binary_to_emulate(spec: KextSpec, arch: str, out: Path) -> bytes:
    """Return a kext's binary for one architecture, linked so that the emulator can run it.

    The code is what the compiler made. A Mac would not load such a file for arm64 or arm64e. `out`
    is a folder for temporary files.
    Raises: the errors of `build`.
    """
    information = read_information(spec.plist)
    macos = {LINKED_ARCH: spec.macos, **COMPILED_ARCHES}[arch]
    made = _compile(spec, information, out / arch, arch=arch, macos=macos)
    name = information["CFBundleExecutable"]
    return _converted(_link(spec, out / arch, made, name=name, arch=arch, macos=macos))


def missing_tools() -> tuple[str, ...]:
    """Return the tools for building a kext that this host lacks; () when it has all."""
    wanted = ((_COMPILER,), _LINKERS, _DSYMUTILS)
    return tuple(names[0] for names in wanted if not any(map(shutil.which, names)))


def name_of(spec: KextSpec) -> str:
    """Return the name of a kext's bundle and binary: CFBundleExecutable of its Info.plist.

    Raises: ConfigError for an invalid Info.plist.
    """
    return read_information(spec.plist)["CFBundleExecutable"]


def uuid_of(data: bytes) -> str:
    """Return the UUID of a Mach-O file, '' when it has none.

    Raises: MachOMalformed for data that is no Mach-O file.
    """
    command = macho.parse(data).command(macho.LC_UUID)
    return str(uuid.UUID(bytes=command.data[8:24])).upper() if command else ""


def lines(built: KextBuild) -> tuple[str, ...]:
    """Return the lines that the task kernel-build prints for a built kext."""
    compiled = ", ".join(
        f"{arch} ({count} objects)" for arch, count in built.objects.items() if arch != LINKED_ARCH
    )
    rest = (f"compiled only: {compiled}; they must be linked on a Mac",) if compiled else ()
    return (
        f"{built.bundle}",
        f"symbols: {built.dsym}",
        f"UUID: {built.uuid} ({LINKED_ARCH})",
        *rest,
        "not verified on hardware: it was not loaded on a Mac",
    )


def read_information(plist: Path) -> dict[str, str]:
    """Return the names and the version that an Info.plist gives to a kext, by their keys.

    Raises: ConfigError for a file that is no property list, or lacks one of them.
    """
    try:
        values = plistlib.loads(plist.read_bytes())
    except (OSError, ValueError, ExpatError, plistlib.InvalidFileException) as error:
        raise ConfigError(plist, "-", f"is not a property list: {error}") from error
    wanted = ("CFBundleExecutable", "CFBundleIdentifier", "CFBundleVersion")
    for key in wanted:
        if not isinstance(values.get(key), str):
            raise ConfigError(plist, key, "must be a string")
    return {key: values[key] for key in wanted}


def sources_of(spec: KextSpec) -> tuple[Path, ...]:
    """Return the kext's C source files, in an order that is the same on all hosts.

    Raises: BuildError when there is none, or when two would have objects of the same name.
    """
    found = [file for pattern in spec.sources for file in sorted(spec.root.glob(pattern))]
    names = [file.stem for file in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice or not found:
        raise BuildError(
            f"no sources, or several with the same name: {', '.join(sorted(twice)) or 'none'}"
        )
    return tuple(found)


def _compile(
    spec: KextSpec,
    information: dict[str, str],
    folder: Path,
    *,
    arch: str,
    macos: str,
    only: Path | None = None,
) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    sources = (only,) if only else sources_of(spec)
    # Clang writes the objects of several sources into its working folder, so the sources have
    # absolute paths.
    root = spec.root.absolute()
    general = () if arch == LINKED_ARCH else ("-mgeneral-regs-only",)
    command = [
        _COMPILER,
        *("-target", f"{arch}-apple-macos{macos}"),
        *_COMPILE,
        *general,
        f"-ffile-prefix-map={root}=.",
        "-fdebug-compilation-dir=.",
        f'-DKEXT_BUNDLE_ID="{information["CFBundleIdentifier"]}"',
        f'-DKEXT_BUNDLE_VERSION="{information["CFBundleVersion"]}"',
        *("-isystem", str(root / spec.kpi)),
        *(f"-I{root / folder}" for folder in spec.includes),
        "-c",
        *map(str, sources),
    ]
    _run(command, cwd=folder)
    return tuple(folder / f"{source.stem}.o" for source in sources)


def _link(
    spec: KextSpec,
    folder: Path,
    objects: tuple[Path, ...],
    *,
    name: str,
    arch: str = LINKED_ARCH,
    macos: str = "",
) -> Path:
    linked = folder / name
    version = ("-platform_version", "macos", macos or spec.macos, macos or spec.macos)
    # The debug map contains the paths of the objects, and the UUID is a hash over the map. The
    # prefix removes the paths.
    prefix = ("-oso_prefix", f"{folder.absolute()}/")
    line = [programs.find(*_LINKERS, error=BuildError), "-arch", arch, *version, *_LINK, *prefix]
    _run([*line, "-o", str(linked.absolute()), *(one.name for one in objects)], cwd=folder)
    return linked


def _dsym(linked: Path, dsym: Path) -> Path:
    prepend = f"--oso-prepend-path={linked.parent.absolute()}/"
    _run(
        [programs.find(*_DSYMUTILS, error=BuildError), prepend, str(linked), "-o", str(dsym)],
        cwd=Path.cwd(),
    )
    return dsym


def _converted(linked: Path) -> bytes:
    try:
        return bundle.from_linked(linked.read_bytes())
    except macho.MachOMalformed as error:
        raise BuildError(
            f"{linked.name}: {error}",
            hint=f"{hints.command('setup', 'kext-build')} installs lld {_OLDEST_LLD} or newer",
        ) from error


def _write(folder: Path, name: str, data: bytes, plist: Path) -> None:
    binary = folder / "Contents" / "MacOS" / name
    binary.parent.mkdir(parents=True)
    binary.write_bytes(data)
    binary.chmod(0o755)
    shutil.copyfile(plist, folder / "Contents" / "Info.plist")


def _run(command: list[str], *, cwd: Path) -> None:
    # With ZERO_AR_DATE lld writes no modification times of files.
    environment = {"PATH": os.defpath, "ZERO_AR_DATE": "1", "LC_ALL": "C.UTF-8"}
    within = tool.Surroundings(environment=environment)
    tool.run(command, deadline_s=_DEADLINE_S, error=BuildError, cwd=cwd, within=within)
