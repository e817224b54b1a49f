# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build releases of this tree, and read their packages."""

import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from harness.host import config
from harness.model.products import PackagesSpec
from harness.model.settings import Settings
from harness.release import packages
from harness.release.packages import PackagesRequest, Release
from harness.release.signing import SigningKey
from harness.release.versions import ReleaseVersion

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = config.load(ROOT / "pyproject.toml")
ENVIRONMENT = config.environment()
KERNEL = SETTINGS.targets[SETTINGS.default_target].kernel


def spec() -> PackagesSpec:
    """Return the packages section of the configuration."""
    assert SETTINGS.packages is not None
    return SETTINGS.packages


def make_release(
    out: Path,
    *,
    key: SigningKey | None,
    settings: Settings = SETTINGS,
    version: ReleaseVersion | None = None,
    skip_kernel: bool = False,
    kernels: tuple[str, ...] = (KERNEL,),
) -> Release:
    """Build a release into a folder, with a module for the default target's kernel."""
    only = replace(settings.packages, kernels=kernels) if settings.packages else None
    request = PackagesRequest(
        settings=replace(settings, packages=only),
        environment=ENVIRONMENT,
        skip_kernel=skip_kernel,
        key=key,
        out=out,
        version=version,
    )
    return packages.make(request, lambda text: print(text, flush=True))  # noqa: T201


def package(release: Release, name: str) -> Path:
    """Return the .deb of a release that has this package name."""
    (found,) = release.folder.glob(f"{name}_*.deb")
    return found


def package_names(release: Release) -> set[str]:
    """Return the names of all Debian packages of a release."""
    return {file.name.partition("_")[0] for file in release.files if file.suffix == ".deb"}


def contents(deb: Path) -> dict[str, bytes]:
    """Return the content of the regular files of a .deb by absolute path."""
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        return {
            member.name.removeprefix("."): content.read()
            for member in tar
            if member.isreg() and (content := tar.extractfile(member)) is not None
        }
