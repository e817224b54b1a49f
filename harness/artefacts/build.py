# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build a module on the host, in a copy of its source, for one kernel.

A module whose source lies in the tree of that kernel is built there, as `make M=drivers/foo` does.
The copy keeps the user's tree clean and lets builds for several kernels run side by side. Paths in
the debug information name the original source, so a debugger shows the file that the user edits.
`build_steps` has the commands, `build_box` runs them, `built_files` collects the built modules.
"""

import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts import build_steps, built_files, compiler_words, long_command, source_copy
from harness.artefacts.build_box import Box
from harness.artefacts.build_steps import Job, Step
from harness.errors import BuildError, UsageError
from harness.host import cache, programs, tool
from harness.model import build_folder
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec
from harness.model.words import filled
from harness.modules import dkms
from harness.symbols import elf

Progress = Callable[[str], None]

# Raise this number when a build leaves other files beside its modules, so that older results are
# built again.
_FORMAT = "2"
_COMPANION_S = 600.0
# Linux, Makefile: "source directory cannot contain spaces or colons".
_UNFIT = re.compile(r"[\s:]")
# objtool prints this when it gives up on a function; it then drops the unwind data of the whole
# module, and every frame of a later backtrace is a guess.
_OBJTOOL = re.compile(r"warning: objtool: .*can't find (jump|call) dest")


@dataclass(frozen=True, kw_only=True)
class _Site:
    """The folder for the results of a module's build, and the folder of the module's project."""

    folder: Path
    project: Path

    @property
    def log(self) -> Path:
        """The file to which the build's commands write their output."""
        return self.folder / "build.log"


def output_folder(project: Path, name: str, *, cache_root: Path) -> Path:
    """Return the folder for a project's built modules: in the project, or in the cache.

    It is in the cache when the project's path contains white space or a colon, because kbuild
    cannot work in such a folder.
    """
    if not _UNFIT.search(str(project)):
        return build_folder.within(project, name)
    return cache_root / "builds" / cache.key_of(str(project)) / name


def build_module(
    spec: ModuleSpec,
    kernel: Kernel,
    *,
    project: Path,
    out: Path,
    variables: Mapping[str, str],
    progress: Progress,
) -> ModuleBuild:
    """Return the module built for a kernel; nothing is compiled when nothing has changed.

    For a module in the kernel's tree make always runs, and decides what to compile. `variables`
    are passed to make and replace those of `spec`. KDIR is not passed on: it replaces the folder
    of the kernel's headers. When two processes build the same module at once, the second waits for
    the first.
    Raises: BuildError with the compiler's messages, for a kernel without headers or one that
        dkms.conf excludes, and when the build has lost unwind data or made no such module;
        CacheBusy when the wait is too long; ConfigError for a dkms.conf that cannot be read;
        UsageError for folders that kbuild cannot work in; Lost for a full disk.
    """
    with _turn(spec, kernel, out, progress):
        site = _Site(folder=out / kernel.release, project=project)
        job = _job(spec, kernel, site.folder, {**_own_variables(spec, kernel), **variables})
        with cache.room(project):
            site.folder.mkdir(parents=True, exist_ok=True)
            if not job.in_tree:
                source_copy.mirror(spec.source, job.source)
        stamp = site.folder / "inputs"
        inputs = _inputs(job)
        # For a module in a kernel's tree, only kbuild knows whether a changed header matters, so
        # it always runs.
        known = not job.in_tree and stamp.is_file() and stamp.read_text() == inputs
        fresh = not (known and _is_whole(job, site))
        if fresh:
            progress(f"building {spec.name} for {kernel.release}")
            # A build that is killed must not leave the stamp of an earlier one.
            stamp.unlink(missing_ok=True)
            _compile(job, site, progress)
            stamp.write_text(inputs)
        return _result(job, site, fresh=fresh)


def _turn(
    spec: ModuleSpec, kernel: Kernel, out: Path, progress: Progress
) -> AbstractContextManager[None]:
    """Return a lock, as a context manager, that lets one process at a time build this module.

    Raises: CacheBusy, on entry, when another process has it for longer than a build may take.
    """
    return cache.lock(
        out / f".{kernel.release}.lock",
        what=f"the build of {spec.name} for {kernel.release}",
        deadline_s=spec.build_deadline_s,
        progress=progress,
    )


def _own_variables(spec: ModuleSpec, kernel: Kernel) -> dict[str, str]:
    """Return the make variables that the configuration sets for a module.

    CC is added when the kernel needs a compiler of its own; the module's own CC is preferred.
    """
    return {**({"CC": kernel.cc} if kernel.cc else {}), **spec.variables}


def _job(spec: ModuleSpec, kernel: Kernel, folder: Path, variables: Mapping[str, str]) -> Job:
    """Return the job of building a module for a kernel, with the module's dkms.conf read.

    Raises: ConfigError for a dkms.conf that cannot be read, BuildError for one that is not for
        this kernel and for a kernel without headers, UsageError for folders that kbuild cannot
        work in.
    """
    kdir = Path(variables.get("KDIR", kernel.kdir)).absolute()
    if not kdir.is_dir():
        raise BuildError(
            f"the kernel {kernel.release} has no headers to build against: {kdir} is not there",
            hint="add its package of headers to files, or set KDIR to a built tree",
        )
    for place in (kdir, folder):
        if _UNFIT.search(str(place)):
            raise UsageError(
                f"kbuild cannot work in {place}: the path has white space or a colon",
                hint="HARNESS_CACHE=FOLDER names a folder without them for the cache",
            )
    of_tree = spec.dkms is None and spec.source.resolve().is_relative_to(kdir.resolve())
    source, conf = spec.source if of_tree else folder / "src", None
    if spec.dkms is not None:
        tree = folder / "dkms"
        conf = dkms.read(spec.dkms, release=kernel.release, kdir=kdir, tree=tree)
        source = tree / conf.package / conf.version / "build"
        if conf.excluded:
            raise BuildError(
                f"{spec.dkms.name} says that {spec.name} is not for {kernel.release}",
                hint="choose another kernel (--kernel); [tool.harness.kernels] defines them",
                evidence=[conf.excluded],
            )
    return Job(
        spec=spec, kernel=kernel, kdir=kdir, source=source, variables=dict(variables), conf=conf
    )


def finished(spec: ModuleSpec, kernel: Kernel, folder: Path) -> ModuleBuild:
    """Return the module that an earlier run has built and stored in a folder; nothing is built.

    Raises: BuildError when the folder does not contain it.
    """
    files = built_files.of_run(folder, spec.name)
    for file in (file for one in files for file in (one.debug, one.stripped)):
        if not file.is_file():
            raise BuildError(f"{file} is not there", hint="the run may have failed to build")
    debug, plan = folder / f"{spec.name}.ko", built_files.plan_file(folder, spec.name)
    return ModuleBuild(
        name=spec.name,
        release=kernel.release,
        stripped=folder / f"{spec.name}.stripped.ko",
        debug=debug,
        build_id=elf.build_id(debug),
        log=folder / "build.log",
        fresh=False,
        files=files,
        plan=plan if plan.is_file() else None,
    )


def _is_whole(job: Job, site: _Site) -> bool:
    """Return whether every module file that an earlier build stored still exists.

    The result is False, too, when there is no list of these files or it is damaged.
    """
    try:
        files, _ = built_files.loaded(job, site.folder)
    except (OSError, ValueError, KeyError):
        return False
    return all(one.stripped.is_file() and one.debug.is_file() for one in files)


def _result(job: Job, site: _Site, *, fresh: bool) -> ModuleBuild:
    files, firmware = built_files.loaded(job, site.folder)
    main = next(one for one in files if one.name.replace("-", "_") == _kernel_name(job.spec))
    return ModuleBuild(
        name=job.spec.name,
        release=job.kernel.release,
        stripped=main.stripped,
        debug=main.debug,
        build_id=elf.build_id(main.debug),
        log=site.log,
        fresh=fresh,
        files=files,
        plan=built_files.plan_file(site.folder, job.spec.name),
        firmware=firmware,
        words=job.words,
    )


def _kernel_name(spec: ModuleSpec) -> str:
    return spec.name.replace("-", "_")


def _compile(job: Job, site: _Site, progress: Progress) -> None:
    """Run the commands of a build, and collect the files that they made.

    Raises: BuildError when a command fails, an expected module is missing, or unwind data is lost.
    """
    if job.conf is not None and job.conf.patches:
        # An earlier build has patched this copy, and a patch applies only once.
        shutil.rmtree(job.source)
        job.source.with_name(f"{job.source.name}.manifest").unlink(missing_ok=True)
        source_copy.mirror(job.spec.source, job.source)
    built_files.clear(job)
    site.log.write_text("")
    end = time.monotonic() + job.spec.build_deadline_s
    for step in build_steps.steps(job):
        _run(job, site, step, max(end - time.monotonic(), 1.0), progress)
    _check_objtool(job, site, progress)
    built_files.collect(job, site.folder)


def _run(job: Job, site: _Site, step: Step, deadline_s: float, progress: Progress) -> None:
    command, env = list(step.command), None
    if job.kernel.build_root is not None or not job.by_kbuild:
        box = Box(
            release=job.kernel.release,
            kdir=job.kdir,
            scratch=site.folder / "box",
            root=job.kernel.build_root,
            shared=(site.folder, *_kernel_folders(job)),
        )
        command = box.command(command, cwd=step.cwd)
        compiler = {"CC": job.kernel.cc} if job.kernel.cc else {}
        # The commands are not the harness's, so kbuild gets its flags by the environment.
        env = box.environment(KCFLAGS=build_steps.prefix_flags(job), **compiler)
    watch = long_command.Watch(
        what=f"building {job.spec.name}: {step.what}",
        log=site.log,
        deadline_s=deadline_s,
        progress=progress,
    )
    try:
        status = long_command.run(command, watch, cwd=step.cwd, env=env)
    except FileNotFoundError as error:
        raise programs.not_installed(command[0], BuildError) from error
    if status != 0:
        lines = site.log.read_text(errors="backslashreplace").splitlines()
        raise BuildError(
            f"the module does not build ({step.what} ended with {status})",
            hint=f"the whole log: {site.log}",
            evidence=_shown(job, site, compiler_words.telling(lines)),
        )


def _kernel_folders(job: Job) -> tuple[Path, ...]:
    """Return the folders that hold a kernel's headers; a build box must make them visible.

    A kernel that was built outside of its source has two: the build's folder and the source's.
    """
    inside = job.kdir.is_relative_to(job.kernel.vmlinuz.parent)
    folder = job.kernel.vmlinuz.parent if inside else job.kdir
    # A kernel that was built in another folder than its source has a link to the source.
    source = job.kdir / "source"
    return (folder, source.resolve()) if source.is_symlink() else (folder,)


def _shown(job: Job, site: _Site, lines: list[str]) -> list[str]:
    """Return lines of a build's log with the source's paths in place of those of its copy."""
    name = compiler_words.shown_name(job.spec.source, site.project)
    return compiler_words.shown(lines, {job.source: name})


def _check_objtool(job: Job, site: _Site, progress: Progress) -> None:
    """Check that objtool kept the unwind data of a built module.

    Without that data, a module with build commands of its own only causes a line of progress.
    Raises: BuildError for a module without unwind data that kbuild alone has built.
    """
    lines = site.log.read_text(errors="backslashreplace").splitlines()
    dropped = [line for line in lines if _OBJTOOL.search(line)]
    if not dropped:
        return
    what = "objtool could not follow the module's code, so backtraces through it would be lost"
    if not job.by_kbuild:
        progress(f"{what}: {dropped[0]}")
        return
    raise BuildError(what, hint=f"the whole log: {site.log}", evidence=_shown(job, site, dropped))


def run_companions(
    spec: ModuleSpec, *, project: Path, known: Mapping[str, str] | None = None
) -> None:
    """Build the further programs that the module's tests need, with the configured commands.

    Then check that each file exists that is to be copied into the guest (`push`). `known` are the
    values that replace words in braces, such as {kdir}, in the commands.
    Raises: BuildError with the command's output, or with the file that should be copied and does
        not exist.
    """
    for words in spec.companions:
        command = [filled(word, known or {}) for word in words]
        made = tool.run(
            command, deadline_s=_COMPANION_S, error=BuildError, check=False, cwd=project
        )
        if made.status != 0:
            lines = compiler_words.telling(made.lines)
            raise BuildError(f"{' '.join(command)} failed", evidence=lines)
    for push in spec.push:
        if not push.source.is_file():
            raise BuildError(
                f"{push.source} is to be pushed into the guest, but no companion made it"
            )


def _inputs(job: Job) -> str:
    """Return a hash of all that a module's build depends on; an equal hash needs no build.

    It covers the module's sources, the kernel, the commands and the make variables.
    """
    spec = job.spec
    told = (spec.kbuild, spec.make, spec.before, spec.modules, spec.needs, spec.firmware)
    variables = [f"{name}={value}" for name, value in sorted(job.variables.items())]
    words = [
        _FORMAT,
        job.kernel.key,
        str(job.kdir),
        str(spec.known_as or ""),
        repr(told),
        repr(job.conf),
    ]
    words += [job.kernel.build_root.name if job.kernel.build_root else "", *variables]
    return cache.key_of(*words, *source_copy.contents(spec.source))
