# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Take kernels of the user's own: a built tree, package files, or a bare bzImage.

The results are the same as for a Debian kernel: an image to boot, a disk with modules, headers to
build against. A bare bzImage has no modules and no headers. A tree is used as headers in place, so
a change in it takes effect at once.
"""

import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import compiler_words, initrd, kernel_parts, long_command
from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.artefacts.long_command import Watch
from harness.errors import BuildError, KernelError
from harness.host import apt, cache, programs, tool
from harness.model.machines import KernelSpec
from harness.model.settings import Kernel

Progress = Callable[[str], None]

# Raise this number when this module makes different files from the same kernel.
_FORMAT = "2"
_LOCK_S = 900.0
_MAKE_S = 7200.0
_STEP_S = 600.0
_IMAGE = Path("arch/x86/boot/bzImage")
_RELEASE = Path("include/config/kernel.release")
# The place of "HdrS" in a bzImage, that magic number, and the place of the version text's offset.
_MAGIC_AT, _MAGIC, _VERSION_AT, _SETUP_BYTES = 0x202, b"HdrS", 0x20E, 0x200


def ensure(name: str, spec: KernelSpec, *, root: Path, progress: Progress) -> Kernel:
    """Return the user's own kernel from the cache; prepare it again only when it has changed.

    With `spec.build`, make is run in the tree first.
    Raises: KernelError for a tree that is not built or does not build, and for files that are not
        of the configured kind; CacheBusy; Lost when the disk is full.
    """
    if spec.tree is not None and spec.build:
        command = ["make", f"-j{os.cpu_count() or 1}", "-C", str(spec.tree)]
        log = root / "kernels" / f".{name}.make.log"
        run_make(command, what=str(spec.tree), log=log, progress=progress)
    sources = tuple(_sources(spec))
    known = (*(str(part) for part in sources), *_module_states(spec))
    key = cache.key_of(_FORMAT, *known, *sources)

    def make(folder: Path) -> None:
        progress(f"making {name} ready: {sources[0]}")
        assemble(spec, folder)

    # Not in the shared cache: every host that can name the user's files has them.
    folder = root / "kernels" / f"own-{key}"
    wanted = Artefact(folder=folder, what=f"kernel {name}", lock_s=_LOCK_S)
    artefact.ensure(wanted, make, problem=kernel_parts.problem, progress=progress)
    found = kernel_parts.kernel(name, key, folder)
    return replace(found, kdir=spec.tree or found.kdir, cc=spec.cc)


def _sources(spec: KernelSpec) -> Iterator[Path]:
    """Yield the files of the user's kernel that change whenever the kernel is built again.

    Raises: KernelError when one of them is missing.
    """
    if spec.tree is not None:
        wanted = [spec.tree / _IMAGE, spec.tree / _RELEASE, spec.tree / ".config"]
        optional = [spec.tree / "modules.order", spec.tree / "Module.symvers"]
        wanted += [file for file in optional if file.is_file()]
    else:
        wanted = [*spec.files, *([spec.image] if spec.image else [])]
    for file in wanted:
        if not file.is_file():
            hint = "build it first (make), or set build = true" if spec.tree else ""
            raise KernelError(f"{file} is not there", hint=hint)
        yield file


def _module_states(spec: KernelSpec) -> Iterator[str]:
    """Yield the name, time and size of each module that was built in a kernel's tree.

    They show that a module was built again, which may leave the kernel's image unchanged.
    """
    order = spec.tree / "modules.order" if spec.tree else None
    if spec.tree is None or order is None or not order.is_file():
        return
    for line in order.read_text().splitlines():
        # Before 6.3 a line names the module, since then its object.
        file = (spec.tree / line.removeprefix("kernel/")).with_suffix(".ko")
        if file.is_file():
            status = file.stat()
            yield f"{line} {status.st_mtime_ns} {status.st_size}"


def run_make(command: Sequence[str], *, what: str, log: Path, progress: Progress) -> None:
    """Build a kernel by a make command that names its folder; `what` is for messages.

    Raises: KernelError with the compiler's messages, or when it takes too long; Lost when the disk
        is full.
    """
    progress(f"building {what}")
    with cache.room(log.parent):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
    watch = Watch(what=f"building {what}", log=log, deadline_s=_MAKE_S, progress=progress)
    try:
        status = long_command.run(command, watch, cwd=log.parent)
    except FileNotFoundError as error:
        raise programs.not_installed("make", KernelError) from error
    except BuildError as error:
        raise KernelError(error.message, hint=f"its log: {log}") from error
    if status != 0:
        lines = log.read_text(errors="backslashreplace").splitlines()
        raise KernelError(
            f"the kernel {what} does not build",
            hint=f"all of it: {log}",
            evidence=compiler_words.telling(lines),
        )


def assemble(spec: KernelSpec, folder: Path) -> None:
    """Make the files that a guest boots from a user's kernel, and describe it, in a folder.

    Raises: KernelError when a part of the kernel is missing; Lost when the disk is full.
    """
    inside = folder / "tree"
    if spec.tree is not None:
        release = (spec.tree / _RELEASE).read_text().strip()
        shutil.copyfile(spec.tree / _IMAGE, folder / "vmlinuz")
        shutil.copyfile(spec.tree / ".config", folder / "config")
        _install_modules(spec.tree, inside)
    elif spec.files:
        release = _unpack(spec.files, inside, folder)
    else:
        image = spec.image or Path()
        release = release_of(image)
        shutil.copyfile(image, folder / "vmlinuz")
        (folder / "config").write_text("")
    modules = _modules(inside, release)
    kernel_parts.finish(folder, release, modules, busybox=_busybox(folder), version=release)
    shutil.rmtree(inside, ignore_errors=True)


def _install_modules(tree: Path, target: Path) -> None:
    """Install a tree's modules into a folder; nothing is done if the tree has none.

    Raises: KernelError when make fails.
    """
    if not (tree / "modules.order").is_file():
        return
    tool.run(
        [
            *("make", "-C", str(tree), "modules_install"),
            # No depmod here: `kernel_parts.finish` runs it.
            *(f"INSTALL_MOD_PATH={target}", "INSTALL_MOD_STRIP=1", "DEPMOD=true"),
        ],
        deadline_s=_STEP_S,
        error=KernelError,
    )


def _unpack(files: tuple[Path, ...], inside: Path, folder: Path) -> str:
    """Unpack packages into `inside`, and return the release of the kernel in them.

    The kernel's image, configuration and headers are put into `folder`.
    Raises: KernelError when no package contains a kernel image.
    """
    inside.mkdir()
    for file in files:
        _extract(file, inside)
    images = [*inside.glob("boot/vmlinuz-*"), *inside.glob("lib/modules/*/vmlinuz")]
    images += inside.glob("usr/lib/modules/*/vmlinuz")
    if not images:
        raise KernelError(
            "no package contains a kernel image", evidence=[str(one) for one in files]
        )
    image = images[0]
    named = image.name.removeprefix("vmlinuz-")
    release = image.parent.name if named == "vmlinuz" else named
    configs = [inside / "boot" / f"config-{release}", image.with_name("config")]
    found = next((file for file in configs if file.is_file()), None)
    (folder / "config").write_bytes(found.read_bytes() if found else b"")
    shutil.move(image, folder / "vmlinuz")
    kernel_parts.take_headers(inside, folder)
    of_rpm = folder / "src" / "kernels" / release
    if of_rpm.is_dir():
        of_rpm.rename(folder / "src" / f"linux-headers-{release}")
    return release


def _extract(file: Path, inside: Path) -> None:
    """Unpack a Debian package with dpkg-deb, or an rpm with bsdtar, which reads rpm files.

    Raises: KernelError when the program is missing or fails.
    """
    command: list[str | Path] = ["dpkg-deb", "--extract", file, inside]
    if file.suffix == ".rpm":
        command = [programs.find("bsdtar", error=KernelError), "-x", "-f", file, "-C", inside]
    tool.run(command, deadline_s=_STEP_S, error=KernelError)


def _modules(inside: Path, release: str) -> Path:
    """Return the folder of a kernel's modules; for a kernel without modules make an empty one."""
    for base in (inside / "lib", inside / "usr/lib"):
        if (base / "modules" / release).is_dir():
            return base / "modules" / release
    empty = inside / "lib" / "modules" / release
    empty.mkdir(parents=True)
    # A kernel without modules must have built in what its guest needs to find the disk.
    builtin = "".join(f"kernel/{name}.ko\n" for name in initrd.WANTED)
    (empty / "modules.builtin").write_text(builtin)
    (empty / "modules.order").write_text("")
    return empty


def _busybox(folder: Path) -> bytes:
    """Fetch the host distribution's busybox package, and return the bytes of the program.

    `folder` is used for temporary files.
    Raises: KernelError when the package cannot be fetched or unpacked, or contains no busybox.
    """
    place = folder / "busybox"
    place.mkdir()
    (file,) = apt.download([kernel_parts.BUSYBOX], place)
    tool.run(
        ["dpkg-deb", "--extract", str(file), str(place)], deadline_s=_STEP_S, error=KernelError
    )
    found = kernel_parts.busybox(place)
    shutil.rmtree(place)
    return found


def release_of(image: Path) -> str:
    """Return the kernel release that a bzImage's setup header names.

    Raises: KernelError for a file that is not a bzImage.
    """
    with image.open("rb") as file:
        head = file.read(0x10000)
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        raise KernelError(
            f"{image} is no bzImage",
            hint="a build of the kernel makes arch/x86/boot/bzImage; its vmlinux is no bzImage",
        )
    (offset,) = struct.unpack_from("<H", head, _VERSION_AT)
    text = head[offset + _SETUP_BYTES :].split(b"\0", 1)[0]
    return text.split(b" ", 1)[0].decode(errors="replace")
