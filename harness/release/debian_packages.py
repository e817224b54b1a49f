# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build Debian packages of a staged source with dpkg-buildpackage and debhelper.

Three things depend on the release, so they are written next to the project's debian/ before the
build: the changelog of this version, one stanza of the control file for each kernel, and the
built and signed modules.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from harness import hints
from harness.errors import BuildError
from harness.host import tool
from harness.release.versions import ReleaseVersion

_DEADLINE_S = 600.0
_STANZA = "control.module"
# In this build profile debian/control omits everything that belongs to the kernel.
_PROFILE = "pkg.{name}.nokernel"


@dataclass(frozen=True, kw_only=True)
class DebianRequest:
    """The input of a build: the release's source in a folder, the project's debian/, the modules.

    Shape: `modules` are files (the module and its certificate) by the kernel's release. With
        `skip_kernel` neither packages of modules nor the package of the module's source are built.
        `work` is the folder in which the packages are built.
    """

    name: str
    version: ReleaseVersion
    maintainer: str
    source: Path
    debian: Path
    modules: Mapping[str, tuple[Path, ...]]
    skip_kernel: bool
    work: Path


def build(request: DebianRequest) -> tuple[Path, ...]:
    """Build the packages and return them (.deb), sorted; the whole log is next to them in `work`.

    Raises: BuildError with the end of the log, or with the missing build dependencies.
    """
    tree = request.work / f"{request.name}-{request.version.text}"
    shutil.copytree(request.source, tree)
    _write_debian(request, tree / "debian")
    log = request.work / "build.log"
    command = ["dpkg-buildpackage", "--build=binary", "--no-sign"]
    if request.skip_kernel:
        command += [f"--build-profiles={_PROFILE.format(name=request.name)}"]
    # The modes of the packaged files must not depend on the user's umask.
    within = tool.Surroundings(environment=_environment(request.version), log=log, umask=0o022)
    built = tool.run(
        command, deadline_s=_DEADLINE_S, error=BuildError, check=False, cwd=tree, within=within
    )
    if built.status != 0:
        raise BuildError(
            "the Debian packages do not build",
            hint=f"the whole log: {log}; {hints.command('setup', 'packages')} adds missing tools",
            evidence=built.lines[-20:],
        )
    return tuple(sorted(request.work.glob("*.deb")))


def control(request: DebianRequest) -> str:
    """Return the text of debian/control: the project's, and a stanza for each kernel's module."""
    text = (request.debian / "control").read_text()
    stanza = request.debian / _STANZA
    for release in sorted(request.modules):
        text += stanza.read_text().replace("@RELEASE@", release)
    return text.replace("@MAINTAINER@", request.maintainer)


def changelog(request: DebianRequest) -> str:
    """Return a Debian changelog of one entry that names the commit and has the commit's date.

    Debian's tools give that date to all packaged files.
    """
    date = format_datetime(datetime.fromtimestamp(request.version.epoch_s, tz=UTC))
    return (
        f"{request.name} ({request.version.text}) unstable; urgency=medium\n\n"
        f"  * Built from commit {request.version.commit}.\n\n"
        f" -- {request.maintainer}  {date}\n"
    )


def _write_debian(request: DebianRequest, folder: Path) -> None:
    # dpkg-deb resets times that are later than the commit and keeps older ones. So the files are
    # copied without their times.
    shutil.copytree(request.debian, folder, copy_function=shutil.copy)
    (folder / "control").write_text(control(request))
    (folder / _STANZA).unlink(missing_ok=True)
    (folder / "changelog").write_text(changelog(request))
    for release, files in request.modules.items():
        place = folder / "modules" / release
        place.mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, place / file.name)


def _environment(version: ReleaseVersion) -> dict[str, str]:
    """Return the environment for dpkg-buildpackage, with which every host makes the same bytes."""
    return {
        "PATH": f"{os.defpath}:/usr/sbin:/sbin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(version.epoch_s),
        "DEB_BUILD_OPTIONS": "noautodbgsym nocheck",
    }
