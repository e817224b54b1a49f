# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the files of a release (the task `packages`).

version -> source -> kernels -> modules (built, checked, signed) -> Debian -> rpm -> publish

Each module and each file in a Debian package is checked before anything is published: if a binary
contains a trace of the test build, or any of these files a private key, nothing is published. The
source archive, the rpm spec file and the symbols are not checked.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artefacts import build, kernels
from harness.errors import UsageError
from harness.host import cache
from harness.model import build_folder
from harness.model.environment import Environment
from harness.model.products import PackagesSpec
from harness.model.settings import Settings
from harness.release import debian_packages, folders, gate, signing, sources, versions
from harness.release.signing import SigningKey
from harness.release.versions import ReleaseVersion

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PackagesRequest:
    """The kernels, the signing key and the folder of one release.

    `kernels` are names of [tool.harness.kernels]; () means those that
    [tool.harness.packages] lists. Without `key` the user's own key is used, and created if there
    is none. Without `out` the folder is below build/packages, and without `version` the version is
    that of the tree.
    """

    settings: Settings
    environment: Environment
    kernels: tuple[str, ...] = ()
    skip_kernel: bool = False
    key: SigningKey | None = None
    out: Path | None = None
    version: ReleaseVersion | None = None


@dataclass(frozen=True, kw_only=True)
class Release:
    """A finished release: its files in one folder, and the certificate of the modules' signatures.

    An administrator enrols the certificate on each machine; it is None for a release without
    modules. `symbols` are the modules with debugging information, which panic-explain needs.
    """

    version: ReleaseVersion
    folder: Path
    files: tuple[Path, ...]
    symbols: tuple[Path, ...]
    certificate: Path | None


@dataclass(frozen=True, kw_only=True)
class _Module:
    """The module built for one kernel: `debug` with debugging information, `files` to be packaged.

    `files` are the signed module and the certificate; `release` is the kernel's release.
    """

    release: str
    debug: Path
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A release that is being built; all its files are in the temporary folder `work`."""

    request: PackagesRequest
    spec: PackagesSpec
    version: ReleaseVersion
    work: Path
    progress: Progress

    @property
    def source(self) -> Path:
        """The folder with a copy of the project's source files, made for this release."""
        return self.work / "source"

    @property
    def made(self) -> Path:
        """The folder, in the temporary one, with the finished files that will be published."""
        return self.work / "made"


def make(request: PackagesRequest, progress: Progress) -> Release:
    """Build a release of the working tree and return it; its folder contains no other files.

    Raises: UsageError for a wrong request or configuration, BuildError when a part does not build
        or must not be released, KernelError, Lost when the disk is full. After an error the folder
        is unchanged.
    """
    spec = _spec(request)
    root = request.settings.root
    version = request.version or versions.of_tree(root)
    final = request.out or build_folder.within(root, "packages", version.text)
    folders.check_free(final)
    if not version.is_clean:
        progress("the tree differs from its commit, so this release cannot be built again")
    with cache.room(root), tempfile.TemporaryDirectory(prefix="harness-packages-") as name:
        work = Path(name)
        job = _Job(request=request, spec=spec, version=version, work=work, progress=progress)
        job.made.mkdir()
        sources.stage(root, spec.sources, without=spec.without, target=job.source)
        key = None if request.skip_kernel else _key(request, spec)
        modules: tuple[_Module, ...] = ()
        if key is not None:
            modules = tuple(_module(job, one, key) for one in _kernels(request, spec))
        _debian(job, modules)
        _rpm(job)
        _publish(job, modules, final)
    return Release(
        version=version,
        folder=final,
        files=tuple(sorted(path for path in final.iterdir() if path.is_file())),
        symbols=tuple(sorted(final.glob("symbols/*/*.ko"))),
        certificate=key.certificate if key is not None else None,
    )


def _spec(request: PackagesRequest) -> PackagesSpec:
    if request.settings.packages is None:
        raise UsageError(
            f"{request.settings.file} has no [tool.harness.packages]",
            hint="docs/packages.md describes it",
        )
    return request.settings.packages


def _key(request: PackagesRequest, spec: PackagesSpec) -> SigningKey:
    return request.key or signing.own(
        request.environment.keys, name=f"{spec.name} module signing key"
    )


def _kernels(request: PackagesRequest, spec: PackagesSpec) -> tuple[str, ...]:
    chosen = request.kernels or spec.kernels
    unknown = [name for name in chosen if name not in request.settings.kernels]
    if unknown:
        known = ", ".join(sorted(request.settings.kernels))
        raise UsageError(
            f"--kernel {unknown[0]} is not configured; the configured kernels are: {known}"
        )
    return chosen


def _module(job: _Job, name: str, key: SigningKey) -> _Module:
    """Build the module for the kernel `name` from the copied source, check it and sign it."""
    settings, root = job.request.settings, job.request.environment.cache
    # Not from the shared cache: what is released depends on no other host.
    kernel = kernels.ensure(name, settings.kernels[name], root=root, progress=job.progress)
    module = settings.module
    inside = module.source.relative_to(settings.root)
    # The module's debugging information names its sources where DKMS puts them, not where they
    # were built.
    place = Path(f"/usr/src/{job.spec.name}-{job.version.text}")
    built = build.build_module(
        replace(module, source=job.source / inside, known_as=place),
        kernel,
        project=settings.root,
        out=build.output_folder(settings.root, "packages-kernel", cache_root=root),
        # Variables of the environment must not change a release.
        variables={},
        progress=job.progress,
    )
    gate.check_module(built.stripped, gate.rules_of(job.spec))
    folder = job.work / "signed" / kernel.release
    folder.mkdir(parents=True)
    target = folder / f"{module.name}.ko"
    shutil.copyfile(built.stripped, target)
    signing.sign(target, key, kdir=kernel.kdir)
    certificate = folder / f"{job.spec.name}-signing.der"
    shutil.copyfile(key.certificate, certificate)
    return _Module(release=kernel.release, debug=built.debug, files=(target, certificate))


def _debian(job: _Job, modules: tuple[_Module, ...]) -> None:
    job.progress(f"building Debian packages of {job.spec.name} {job.version.text}")
    work = job.work / "debian"
    work.mkdir()
    packages = debian_packages.build(
        debian_packages.DebianRequest(
            name=job.spec.name,
            version=job.version,
            maintainer=job.spec.maintainer,
            source=job.source,
            debian=job.spec.debian,
            modules={one.release: one.files for one in modules},
            skip_kernel=job.request.skip_kernel,
            work=work,
        )
    )
    gate.check_packages(packages, gate.rules_of(job.spec))
    for package in packages:
        shutil.copyfile(package, job.made / package.name)


def _rpm(job: _Job) -> None:
    """Write the source archive and, if one is configured, the spec file for rpmbuild.

    They are written into the folder of the files that will be published.
    """
    top = f"{job.spec.name}-{job.version.text}"
    archive = job.made / f"{top}.tar.gz"
    sources.pack(job.source, archive, top=top, epoch_s=job.version.epoch_s)
    if job.spec.rpm is not None:
        text = job.spec.rpm.read_text().replace("@VERSION@", job.version.text)
        (job.made / job.spec.rpm.name).write_text(text)


def _publish(job: _Job, modules: tuple[_Module, ...], final: Path) -> None:
    """Write the checksums, add the modules' debug files, and copy everything to `final`.

    The checksums do not cover the debug files.
    """
    folders.write_sums(job.made)
    for one in modules:
        folder = job.made / "symbols" / one.release
        folder.mkdir(parents=True)
        shutil.copyfile(one.debug, folder / one.debug.name)
    folders.publish(job.made, final)
