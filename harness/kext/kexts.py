# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the kext that the configuration names, and build it again before it is loaded."""

from collections.abc import Callable
from pathlib import Path

from harness import hints
from harness.errors import UsageError
from harness.kext import build
from harness.kext.build import KextBuild
from harness.model import build_folder
from harness.model.products import KextSpec

Progress = Callable[[str], None]
_FOLDER = "kext"


def folder_of(spec: KextSpec) -> Path:
    """Return the project's folder build/kext, into which its kext is built."""
    return build_folder.within(spec.project, _FOLDER)


def build_all(spec: KextSpec) -> KextBuild:
    """Build the kext for x86_64, and compile its sources for the other architectures too.

    The code for arm64 and arm64e is not linked and not in the bundle; it shows that the sources
    compile.
    Raises: BuildError, ConfigError.
    """
    return build.build(spec, folder_of(spec), arches=tuple(build.COMPILED_ARCHES))


def ensure(spec: KextSpec, progress: Progress) -> Path:
    """Build the kext from its present sources if this host has the tools, and return its bundle.

    On a host that cannot build the kext, return the existing bundle, and report that through
    `progress`.
    Raises: UsageError when the host cannot build the kext and no bundle exists; BuildError,
        ConfigError.
    """
    missing = build.missing_tools()
    if not missing:
        built = build.build(spec, folder_of(spec))
        progress(f"built {built.bundle.name} for {build.LINKED_ARCH}, UUID {built.uuid}")
        return built.bundle
    name, tools = build.name_of(spec), ", ".join(missing)
    bundle = folder_of(spec) / f"{name}.kext"
    if not bundle.is_dir():
        raise UsageError(
            f"{name}.kext cannot be built here, and none lies in {bundle.parent}: no {tools}",
            hint=f"{hints.command('setup', 'kext-build')} installs them; "
            "--file names one that a Mac has built",
        )
    progress(
        f"using the existing {name}.kext, which may be older than its sources (missing: {tools})"
    )
    return bundle
