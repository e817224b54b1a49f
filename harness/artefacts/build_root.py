# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make and cache small root file systems with a kernel's own compiler, for builds in them.

A kernel of another suite was built by another compiler, and its tools are linked against another C
library. A build root is bootstrapped from that suite once and cached like an image; nothing is
installed on this host. A build root also contains the packages that a module's build asks for.
"""

import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.artefacts import bootstrap
from harness.artefacts.bootstrap import Bootstrap
from harness.artefacts.cached import artefact
from harness.artefacts.cached.artefact import Artefact
from harness.errors import ImageError
from harness.host import apt, apt_suite, cache, tool
from harness.model.settings import Kernel

Progress = Callable[[str], None]

# Raise this number when this module makes a different build root from the same input.
_FORMAT = "1"
_LOCK_S = 1800.0
_QUERY_S = 60.0
_UNPACK_S = 600.0
# Packages that builds of modules use, beside the compiler.
_TOOLS = ("bc", "bison", "flex", "gawk", "gcc", "kmod", "libc6-dev", "make", "patch", "pkg-config")
_COMPILER = re.compile(r"\b((?:gcc|clang)(?:-\d+)?)\b")
_READY = "ready"


def fitted(
    kernel: Kernel,
    packages: Sequence[str],
    *,
    root: Path,
    shared: Path | None = None,
    progress: Progress,
) -> Kernel:
    """Return the kernel with a build root added if this host cannot build modules for it.

    This host can build if it has the kernel's compiler and the packages, and runs the same suite.
    On a host that is not Debian the kernel is returned unchanged.
    Raises: ImageError when the build root cannot be made, KernelError, CacheBusy, Lost.
    """
    own = apt.own_suite()
    suite = kernel.suite or own
    needed = compiler(kernel)
    here = shutil.which(needed) is not None and suite == own
    if not own or (here and not missing(packages)):
        return kernel
    wanted = _packages(kernel, needed, packages, root=root, progress=progress)
    found = ensure(suite, wanted, root=root, shared=shared, progress=progress)
    return replace(kernel, build_root=found)


def compiler(kernel: Kernel) -> str:
    """Return the name of the compiler with which modules for a kernel are built.

    It is "gcc" when neither the configuration nor the headers name a compiler.
    """
    if kernel.cc:
        return kernel.cc
    # Debian's packages of headers name their compiler in .kernelvariables, other trees in .config.
    texts = (
        (kernel.kdir / ".kernelvariables", r"^CC\s*[:?]?=.*$"),
        (kernel.kdir / ".config", r"^CONFIG_CC_VERSION_TEXT=.*$"),
    )
    for file, line in texts:
        text = file.read_text(errors="replace") if file.is_file() else ""
        for match in re.finditer(line, text, re.MULTILINE):
            found = _COMPILER.search(match[0])
            if found is not None:
                return found[1]
    return "gcc"


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Return those of the given Debian packages that are not installed on this host."""
    if not packages:
        return ()
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages]
    within = tool.Surroundings(environment=tool.PLAIN_ENVIRONMENT)
    found = tool.run(query, deadline_s=_QUERY_S, error=ImageError, check=False, within=within)
    lines = (line.split() for line in found.text.splitlines())
    installed = {words[0] for words in lines if words[1:] == ["installed"]}
    return tuple(name for name in packages if name not in installed)


def ensure(
    suite: str,
    packages: Sequence[str],
    *,
    root: Path,
    shared: Path | None = None,
    progress: Progress,
) -> Path:
    """Return a build root with these packages, from a cache or bootstrapped now.

    A build root is a small root file system of a Debian suite, in which modules are built. Common
    tools of builds, such as make, are added.
    Raises: ImageError when the bootstrap fails, CacheBusy, Lost when the disk is full or the
        host's apt has no lists.
    """
    sources = apt.debian_sources(suite)
    names = sorted({*_TOOLS, *packages})
    folder = root / "buildroots" / f"{suite}-{cache.key_of(_FORMAT, suite, *names, *sources)}"
    what = Bootstrap(suite=apt.base_suite(suite), packages=tuple(names), sources=tuple(sources))

    def make(folder: Path) -> None:
        progress(f"bootstrapping a build root of {suite}: {', '.join(packages)}")
        _make(what, folder)

    wanted = Artefact(folder=folder, what=f"build root of {suite}", lock_s=_LOCK_S, shared=shared)
    lack = artefact.lack_of(_READY)
    return artefact.ensure(wanted, make, problem=lack, progress=progress) / "root"


def _make(what: Bootstrap, folder: Path) -> None:
    archive = folder / "root.tar"
    bootstrap.run(what, ["--format=tar"], target=str(archive), log=folder / "bootstrap.log")
    (folder / "root").mkdir()
    # The user who builds must own the build root, since only that user is root in the namespace.
    # Such a user cannot make the device files in ./dev; the box shows those of this host.
    unpack = [
        "tar",
        "-x",
        "--no-same-owner",
        "--anchored",
        "--exclude=./dev/*",
        "-f",
        str(archive),
    ]
    within = tool.Surroundings(disk=folder)
    tool.run(
        [*unpack, "-C", str(folder / "root")],
        deadline_s=_UNPACK_S,
        error=ImageError,
        within=within,
    )
    archive.unlink()
    (folder / _READY).write_text(secrets.token_hex(4) + "\n")


def _packages(
    kernel: Kernel, needed: str, packages: Sequence[str], *, root: Path, progress: Progress
) -> tuple[str, ...]:
    """Return the Debian packages to install in the build root of a kernel.

    They are the compiler `needed`, the libraries that kbuild's programs are linked against, and
    the given `packages`. The suite's linux-kbuild package depends on those libraries; it is left
    out when the suite no longer has it.
    Raises: KernelError when the lists of another suite cannot be fetched; CacheBusy; Lost.
    """
    tools = kernel.vmlinuz.parent / "lib"
    kbuild = tuple(place.name for place in tools.glob("linux-kbuild-*"))
    if not kbuild:
        return tuple(sorted({needed, *packages}))
    own = kernel.suite in {"", apt.own_suite()}
    view = () if own else apt_suite.view(kernel.suite, root=root, progress=progress)
    return tuple(sorted({needed, *apt.versions(kbuild, *view), *packages}))
