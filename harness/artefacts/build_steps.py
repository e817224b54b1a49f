# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands of a module's build, in order, for dkms, a plain Makefile or kbuild. Pure.

A dkms.conf contains its own commands. A Makefile that is not a Kbuild file is run as it is. Every
other module is built by kbuild.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.model.settings import Kernel, ModuleSpec
from harness.model.words import filled
from harness.modules.dkms import DkmsConf


@dataclass(frozen=True, kw_only=True)
class Job:
    """The input of one build: a module, a kernel, and the folders for the build.

    `source` is the copy that is built, or the source itself if it lies in the kernel's tree.
    `kdir` is the folder of the kernel's headers; `conf` holds the module's dkms.conf, if it has
    one.
    """

    spec: ModuleSpec
    kernel: Kernel
    kdir: Path
    source: Path
    variables: Mapping[str, str]
    conf: DkmsConf | None = None

    @property
    def in_tree(self) -> bool:
        """Whether the module is built where its source lies, in the tree of its kernel."""
        return self.source == self.spec.source

    @property
    def by_kbuild(self) -> bool:
        """Whether kbuild alone builds the module.

        It does when the module has no dkms.conf, no make command of its own and no step before the
        build.
        """
        return self.conf is None and not self.spec.make and not self.spec.before

    @property
    def words(self) -> dict[str, str]:
        """The values that replace {kdir}, {release}, {build} and {source} in build commands."""
        return words(self.spec, self.kernel, kdir=self.kdir, build=self.source)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of a build, with its working directory and a description."""

    what: str
    command: tuple[str, ...]
    cwd: Path


def words(spec: ModuleSpec, kernel: Kernel, *, kdir: Path, build: Path) -> dict[str, str]:
    """Return the values that replace words in braces, such as {kdir}, in configured commands.

    `kdir` is the folder of the kernel's headers, `build` the folder in which the module is built.
    """
    return {
        "kdir": str(kdir),
        "release": kernel.release,
        "build": str(build),
        "source": str(spec.source),
    }


def steps(job: Job) -> Iterator[Step]:
    """Yield the commands that build the module of a job, in order."""
    conf = job.conf
    for name in conf.patches if conf else ():
        patch = ("patch", "-p1", "--forward", "-i", f"patches/{name}")
        yield Step(what=f"patch {name}", command=patch, cwd=job.source)
    for command in job.spec.before:
        yield _shell("a step before the build", filled(command, job.words), job.source)
    if conf is not None and not job.spec.make:
        yield from _of_dkms(job, conf)
    elif job.spec.make:
        command = filled(job.spec.make, job.words)
        yield _shell("make", _with_variables(command, job), job.source)
    else:
        yield Step(what="make", command=tuple(_kbuild(job)), cwd=job.source)


def prefix_flags(job: Job) -> str:
    """Return compiler flags that put the paths of the module's source into debug information.

    Without them it would have the paths of the copy of the source that is built.
    """
    moved = [shlex.quote(f"{here}={there}") for here, there in _renamed(job).items()]
    # -g: kbuild adds debug information only if the kernel has CONFIG_DEBUG_INFO.
    return "-g " + " ".join(f"-fdebug-prefix-map={one} -fmacro-prefix-map={one}" for one in moved)


def _of_dkms(job: Job, conf: DkmsConf) -> Iterator[Step]:
    """Yield the commands that dkms would run; dkms adds its own variables to a make command.

    Calls of make in the kernel's folder get -j, because kbuild can always compile in parallel.
    """
    if conf.before:
        yield _shell("PRE_BUILD of dkms.conf", f"exec {job.source}/{conf.before}", job.source)
    own = f"make -j{_jobs()} KERNELRELEASE={job.kernel.release}"
    command = re.sub(r"^make\b", lambda _: own, conf.make)
    there = f"make -C {job.kdir} "
    command = command.replace(f"; {there}", f"; {there}-j{_jobs()} ")
    command = command.replace(f"&& {there}", f"&& {there}-j{_jobs()} ")
    yield _shell("MAKE of dkms.conf", _with_variables(command, job), job.source)
    if conf.after:
        yield _shell("POST_BUILD of dkms.conf", f"exec {job.source}/{conf.after}", job.source)


def _shell(what: str, command: str, cwd: Path) -> Step:
    # dkms is a bash script, so what a dkms.conf says may need bash.
    return Step(what=what, command=("bash", "-c", command), cwd=cwd)


def _with_variables(command: str, job: Job) -> str:
    """Return a make command with the job's make variables added, any other command unchanged.

    KDIR is not added.
    """
    given = {name: text for name, text in job.variables.items() if name != "KDIR"}
    if not given or not command.startswith("make"):
        return command
    return " ".join([command, *(shlex.quote(f"{name}={text}") for name, text in given.items())])


def _kbuild(job: Job) -> Iterator[str]:
    yield from ("make", "-C", str(job.kdir), f"M={job.source / job.spec.kbuild}")
    yield f"-j{_jobs()}"
    # A tree keeps its own flags, because with others its next make would compile all this again.
    if not job.in_tree:
        yield f"KCFLAGS={prefix_flags(job)}"
    for name, value in job.variables.items():
        if name != "KDIR":
            yield f"{name}={value}"
    yield "modules"


def _renamed(job: Job) -> dict[Path, Path]:
    """Return the paths that the compiler replaces in debug information, and the replacements."""
    spec, kdir = job.spec, job.kdir
    if spec.known_as is None:
        return {job.source: spec.source}
    headers = {kdir.parent: Path("/usr/src"), kdir.parents[1] / "lib": Path("/usr/lib")}
    return {job.source: spec.known_as, **headers}


def _jobs() -> int:
    return os.cpu_count() or 1
