# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The project's own kext: where it is built."""

from pathlib import Path

from harness.kext import build
from harness.kext.build import KextBuild
from harness.products import KextSpec

_FOLDER = Path("build") / "kext"


def folder_of(spec: KextSpec) -> Path:
    """Return the folder that a kext is built into."""
    return spec.project / _FOLDER


def build_all(spec: KextSpec) -> KextBuild:
    """Return the kext, built for every architecture that it can be built for here.

    Raises: BuildError, ConfigError.
    """
    return build.build(spec, folder_of(spec), arches=tuple(build.COMPILED_ARCHES))
