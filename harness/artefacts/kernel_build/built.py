# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build a kernel for guests from a source and fragments of configurations, once for each content.

allnoconfig with the fragments -> compare -> make -> boot files -> symbols -> remove objects

The folder of a finished kernel holds what `kernel_parts` makes, and in `build` the files that
modules are built against. An interrupted build leaves nothing.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import kernel_parts, kernel_symbols, own_kernels
from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.artefacts.kernel_build import fragments, source
from harness.artefacts.kernel_build.fragments import Line
from harness.artefacts.kernel_build.source import Source
from harness.errors import KernelError
from harness.host import cache, programs, tool
from harness.model.machines import KernelSpec
from harness.model.settings import Kernel

Progress = Callable[[str], None]

# Raise this number when this module makes a different kernel from the same input.
_FORMAT = "1"
# Another process may be building the same kernel.
_LOCK_S = 7200.0
_CONFIG_S = 600.0
_BUILD = "build"
_EXPERT = "CONFIG_EXPERT"
_TOOLS = ("make", "flex", "bison", "bc")
# What modules are built with; everything else that a build leaves can go.
_KEPT = ("scripts", "tools", "include")
_OBJECTS = (".o", ".a", ".ko", ".mod", ".cmd", ".order", ".lds", ".d", ".S", ".c", ".bin", ".elf")


def ensure(
    name: str, spec: KernelSpec, *, root: Path, shared: Path | None = None, progress: Progress
) -> Kernel:
    """Return a kernel built from source, from a cache or built now; its vmlinux is cached, too.

    Raises: KernelError for a missing program of the build, for a line of a fragment that is
        malformed or that the source refuses, and for a source that does not build; CacheBusy;
        Lost when the disk is full.
    """
    compiler = spec.cc or "gcc"
    for one in (*_TOOLS, compiler):
        programs.find(one, error=KernelError)
    found = source.ensure(spec, root=root, progress=progress)
    lines = fragments.read(spec.fragments, found.version)
    words = (_version_of(compiler), fragments.text_of(lines), _suffix(spec))
    key = cache.key_of(_FORMAT, found.key, *words)
    shared = None if spec.tree else shared
    wanted = _artefact(name, key, spec, found, root=root, shared=shared)

    def make(folder: Path) -> None:
        _configure(found, lines, spec, folder)
        log = wanted.folder.with_name(f".{wanted.folder.name}.make.log")
        command = _make(found, folder, compiler)
        own_kernels.run_make(command, what=name, log=log, progress=progress)
        own_kernels.assemble(KernelSpec(tree=folder / _BUILD), folder)
        vmlinux = folder / _BUILD / "vmlinux"
        if vmlinux.is_file():
            made = _kernel(name, key, folder)
            kernel_symbols.keep(made, vmlinux, root=root, shared=shared, progress=progress)
            _remove_objects(folder / _BUILD)

    artefact.ensure(wanted, make, problem=kernel_parts.problem, progress=progress)
    made = _kernel(name, key, wanted.folder)
    if shared is not None and kernel_symbols.find(made, root) is None:
        _take_symbols(made, root=root, shared=shared, progress=progress)
    return made


def _artefact(
    name: str, key: str, spec: KernelSpec, found: Source, *, root: Path, shared: Path | None
) -> Artefact:
    """Return the place of a kernel in the caches.

    What modules are built against names the folder of the source. So another host can use it only
    if the source is in the same place there, and the shared name depends on this place.
    """
    folder = root / "kernels" / f"{found.release}{_suffix(spec)}-{key}"
    place = cache.key_of(str(found.folder))
    return Artefact(
        folder=folder,
        what=f"kernel {name}",
        lock_s=_LOCK_S,
        shared=shared,
        shared_name=f"{folder.name}-{place}",
    )


def _kernel(name: str, key: str, folder: Path) -> Kernel:
    """Return the description of the built kernel in a folder, of the cache or still being made.

    `key` is the hash of everything that the kernel was built from.
    """
    made = kernel_parts.kernel(name, key, folder)
    # The same version may be built with several fragments, each with symbols of its own.
    return replace(made, version=f"{made.release}-{key}", kdir=folder / _BUILD)


def _take_symbols(made: Kernel, *, root: Path, shared: Path, progress: Progress) -> None:
    """Take the symbols of a kernel that another host has built; report when there are none."""
    try:
        kernel_symbols.ensure(made, root=root, shared=shared, progress=progress)
    except KernelError as error:
        progress(error.message)


def _suffix(spec: KernelSpec) -> str:
    """Return the end of the built kernel's release: -NAME of each fragment after the first."""
    return "".join(f"-{file.stem}" for file in spec.fragments[1:])


def _version_of(compiler: str) -> str:
    text = tool.run([compiler, "--version"], deadline_s=60.0, error=KernelError).text
    return text.partition("\n")[0]


def _make(found: Source, folder: Path, compiler: str) -> list[str]:
    """Return a make command, still without a target, that builds a kernel's source in `folder`."""
    where = [f"O={folder / _BUILD}", f"CC={compiler}"]
    return ["make", f"-j{os.cpu_count() or 1}", "-C", str(found.folder), *where]


def _configure(found: Source, lines: Sequence[Line], spec: KernelSpec, folder: Path) -> None:
    """Write the kernel's .config from allnoconfig and the options of the fragments.

    Options that the fragments do not name are off if they can be.
    Raises: KernelError with each line that the source refuses, and the reason.
    """
    build = folder / _BUILD
    build.mkdir()
    make = _make(found, folder, spec.cc or "gcc")
    name = f'CONFIG_LOCALVERSION="{_suffix(spec)}"\n'
    wanted = folder / "fragments.config"
    # With EXPERT, allnoconfig would switch off what only experts can, such as printk. So that
    # option comes in a second step, which leaves such options on.
    wanted.write_text(f"{fragments.text_of(one for one in lines if one.name != _EXPERT)}{name}")
    _run_kconfig([*make, f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig"], build)
    if any(one.name == _EXPERT for one in lines):
        with (build / ".config").open("a") as file:
            file.write(fragments.text_of(lines))
        _run_kconfig([*make, "olddefconfig"], build)
    config = (build / ".config").read_text()
    refused = fragments.refused(lines, config)
    if refused:
        kconfigs = tuple(found.kconfigs())
        reasons = [f"{line}: {fragments.reason(line, kconfigs, config)}" for line in refused]
        raise KernelError(
            f"{refused[0].file}:{refused[0].number}: {found.release} refuses {refused[0].text}",
            hint="correct the fragment; a line for some kernels ends in '# before 6.9' "
            "or '# from 6.9'",
            evidence=reasons,
        )


def _run_kconfig(command: Sequence[str], build: Path) -> None:
    within = tool.Surroundings(disk=build)
    tool.run(command, deadline_s=_CONFIG_S, error=KernelError, within=within)


def _remove_objects(build: Path) -> None:
    """Remove what no module needs from the folder of a built kernel: some 2 GB of objects."""
    for folder, folders, files in os.walk(build):
        if Path(folder) == build:
            folders[:] = [one for one in folders if one not in _KEPT]
        for file in files:
            if file.endswith(_OBJECTS) or file.startswith(("vmlinux", ".tmp_", "bzImage")):
                (Path(folder) / file).unlink()
