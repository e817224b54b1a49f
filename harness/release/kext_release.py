# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build a release for macOS (`packages --target macos`): an archive of a kext and its installer.

version -> kext (built here and checked by kext-check, or given) -> archive -> symbols -> sums

A kext that was linked on a Mac is packed unchanged. The result lists the steps that only a Mac can
do. Not verified on hardware: the result has not been installed on a Mac.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import hints
from harness.errors import BuildError, UsageError
from harness.kext import build, check
from harness.model import build_folder
from harness.model.products import KextSpec, PackagesSpec
from harness.model.settings import Settings
from harness.release import folders, gate, kext_archive, versions
from harness.release.kext_archive import ArchiveRequest
from harness.release.versions import ReleaseVersion

Progress = Callable[[str], None]
_ARCHITECTURES = f"only {build.LINKED_ARCH}: a kext for Apple silicon must be linked on a Mac"


@dataclass(frozen=True, kw_only=True)
class KextReleaseRequest:
    """The request for a macOS release: of a kext built from the tree, or of the kext `given`.

    `identity` is the name with which codesign signs, '' for no signature. `out` is the folder for
    the files, by default one below build/packages. Without `version` the version is that of the
    tree.
    """

    settings: Settings
    given: Path | None = None
    identity: str = ""
    out: Path | None = None
    version: ReleaseVersion | None = None


@dataclass(frozen=True, kw_only=True)
class KextRelease:
    """A finished macOS release: its files in one folder, and the steps that only a Mac can do."""

    folder: Path
    files: tuple[Path, ...]
    left: tuple[str, ...]


def make(request: KextReleaseRequest, progress: Progress) -> KextRelease:
    """Build a release and return it; its folder contains these files and no others.

    Raises: UsageError for content that must not be released, such as a test build; BuildError when
        the kext does not build, or macOS would refuse it. After an error the folder is unchanged.
    """
    packages, spec = _configured(request.settings)
    root = request.settings.root
    version = request.version or versions.of_tree(root)
    final = request.out or build_folder.within(root, "packages", f"{version.text}-macos")
    folders.check_free(final)
    if not version.is_clean:
        progress("the tree differs from its commit, so this release cannot be built again")
    with tempfile.TemporaryDirectory(prefix="harness-packages-") as name:
        made = Path(name) / "made"
        kext, dsym = _kext(request, spec, Path(name) / "kext", progress)
        archive_request = ArchiveRequest(
            kext=kext,
            version=version.text,
            epoch_s=version.epoch_s,
            rules=gate.rules_of(packages),
            identity=request.identity,
        )
        archive = kext_archive.make(archive_request, made)
        if dsym is not None:
            kext_archive.make_symbols(archive_request, dsym, made)
        folders.write_sums(made)
        folders.publish(made, final)
    left = kext_archive.remaining_steps(archive, request.identity, kext=kext.name)
    return KextRelease(
        folder=final,
        files=tuple(sorted(final.iterdir())),
        left=left if request.given else (left[0], _ARCHITECTURES, *left[1:]),
    )


def _configured(settings: Settings) -> tuple[PackagesSpec, KextSpec]:
    packages, kext = settings.packages, settings.kext
    if packages is None or kext is None:
        missing = "packages" if packages is None else "kext"
        raise UsageError(
            f"{settings.file} has no [tool.harness.{missing}]",
            hint="docs/packages.md and the page 'Configuration keys' describe it",
        )
    return packages, kext


def _kext(
    request: KextReleaseRequest, spec: KextSpec, work: Path, progress: Progress
) -> tuple[Path, Path | None]:
    """Build the kext, or take the given one; return its bundle and its dSYM.

    The dSYM is None when a given kext has none beside it.
    Raises: BuildError when macOS would refuse the kext that was built.
    """
    if request.given is not None:
        progress(
            f"{request.given.name} is packed as it is given; "
            f"{hints.command('kext-check', str(request.given))} judges it"
        )
        dsym = request.given.with_name(f"{request.given.name}.dSYM")
        return request.given, dsym if dsym.is_dir() else None
    progress("building the kext")
    built = build.build(spec, work)
    checked = check.check(built.bundle, last=spec.last)
    if not checked.passed:
        raise BuildError(
            f"macOS would refuse {built.bundle.name}, so it is not released",
            evidence=check.lines(checked),
        )
    return built.bundle, built.dsym
