# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The project's own kext: where it is built, and that it is up to date before it is loaded."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.kext import build
from harness.kext.build import KextBuild
from harness.model import build_folder
from harness.model.products import KextSpec

Progress = Callable[[str], None]
_FOLDER = "kext"


def folder_of(spec: KextSpec) -> Path:
    """Return the folder that a kext is built into."""
    return build_folder.within(spec.project, _FOLDER)


def build_all(spec: KextSpec) -> KextBuild:
    """Return the kext, built for every architecture that it can be built for here.

    Raises: BuildError, ConfigError.
    """
    return build.build(spec, folder_of(spec), arches=tuple(build.COMPILED_ARCHES))


def ensure(spec: KextSpec, progress: Progress) -> Path:
    """Return the bundle, built from the sources as they are now where this host can build it.

    Where it cannot, one that lies there already is taken, and that is said.
    Raises: UsageError when there is none; BuildError, ConfigError.
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
            hint="./dev installs them; --file names one that a Mac has built",
        )
    progress(f"{name}.kext as it lies there, maybe older than its sources: no {tools}")
    return bundle
