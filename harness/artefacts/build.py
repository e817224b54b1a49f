# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build an out-of-tree module on the host, in a copy of its source, for one kernel.

The copy keeps the tree clean and lets several kernels be built side by side; paths in debug
information lead back to the source, so that a debugger shows the file that is edited.
"""

import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from harness.errors import BuildError
from harness.host import cache, tool
from harness.model import build_folder
from harness.model.settings import Kernel, ModuleBuild, ModuleSpec
from harness.symbols import elf

Progress = Callable[[str], None]

_BUILD_DEADLINE_S = 600.0
_STRIP_DEADLINE_S = 120.0
# objtool says so when it gives up on a function; it then drops the unwind data of the whole
# module, and every frame of a later backtrace is a guess.
_OBJTOOL = re.compile(r"warning: objtool: .*can't find (jump|call) dest")
_COMPILER = re.compile(r"\b(error|warning|undefined|fatal)\b", re.IGNORECASE)


def output_folder(project: Path, name: str, *, cache_root: Path) -> Path:
    """Return where modules of a project are built: in it, or in the cache.

    Kbuild cannot work below a path with white space in it.
    """
    if len(str(project).split()) == 1:
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

    `variables` are kbuild's own and go to make untouched, over those of `spec`, but KDIR, which
    replaces the folder of the kernel's headers. Of two builds at once one waits for the other.
    Raises: BuildError with the compiler's messages, CacheBusy.
    """
    with _turn(spec, kernel, out, progress):
        variables = {**spec.variables, **variables}
        folder = out / kernel.release
        source = folder / "src"
        kdir = Path(variables.get("KDIR", kernel.kdir)).absolute()
        with cache.room(project):
            folder.mkdir(parents=True, exist_ok=True)
            _mirror(spec.source, source)
        place = source / spec.kbuild
        built = ModuleBuild(
            name=spec.name,
            release=kernel.release,
            stripped=folder / f"{spec.name}.ko",
            debug=place / f"{spec.name}.ko",
            build_id="",
            log=folder / "build.log",
            fresh=False,
        )
        stamp = folder / "inputs"
        inputs = _inputs(spec, kernel, kdir, variables)
        if not (built.stripped.is_file() and stamp.is_file() and stamp.read_text() == inputs):
            progress(f"building {spec.name} for {kernel.release}")
            stamp.unlink(missing_ok=True)
            command = _command(place, kdir, variables, paths=_renamed(spec, source, kdir))
            _compile(spec, command, built, cwd=project)
            stamp.write_text(inputs)
            built = replace(built, fresh=True)
        return replace(built, build_id=elf.build_id(built.debug))


def _turn(
    spec: ModuleSpec, kernel: Kernel, out: Path, progress: Progress
) -> AbstractContextManager[None]:
    """Return a context that only one builder of a kernel's module is in at a time."""
    return cache.lock(
        out / f".{kernel.release}.lock",
        what=f"the build of {spec.name} for {kernel.release}",
        deadline_s=_BUILD_DEADLINE_S,
        progress=progress,
    )


def finished(spec: ModuleSpec, kernel: Kernel, folder: Path) -> ModuleBuild:
    """Return a module that an earlier run has kept: the same bytes, not the same source.

    Raises: BuildError when the folder does not hold it.
    """
    debug, stripped = folder / f"{spec.name}.ko", folder / f"{spec.name}.stripped.ko"
    for file in (debug, stripped):
        if not file.is_file():
            raise BuildError(f"{file} is not there", hint="the run may have failed to build")
    return ModuleBuild(
        name=spec.name,
        release=kernel.release,
        stripped=stripped,
        debug=debug,
        build_id=elf.build_id(debug),
        log=folder / "build.log",
        fresh=False,
    )


def _compile(spec: ModuleSpec, command: list[str], built: ModuleBuild, *, cwd: Path) -> None:
    _make(command, built.log, cwd=cwd)
    if not built.debug.is_file():
        raise BuildError(
            f"make succeeded, but there is no {spec.name}.ko",
            hint=f"does obj-m in {spec.kbuild}/Kbuild say {spec.name}.o?",
        )
    strip = ["objcopy", "--strip-debug", str(built.debug), str(built.stripped)]
    tool.run(strip, deadline_s=_STRIP_DEADLINE_S, error=BuildError)


def run_companions(spec: ModuleSpec, *, project: Path) -> None:
    """Build what the tests need beside the module, then check that every pushed file is there.

    Raises: BuildError with the command's output.
    """
    for command in spec.companions:
        made = tool.run(
            command, deadline_s=_BUILD_DEADLINE_S, error=BuildError, check=False, cwd=project
        )
        if made.status != 0:
            raise BuildError(f"{' '.join(command)} failed", evidence=_telling(made.lines))
    for push in spec.push:
        if not push.source.is_file():
            raise BuildError(
                f"{push.source} is to be pushed into the guest, but no companion made it"
            )


def _mirror(source: Path, target: Path) -> None:
    """Bring a copy up to date: changed files are written, vanished ones removed, objects kept."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    manifest = target.with_name("manifest")
    known = set(manifest.read_text().splitlines()) if manifest.is_file() else set()
    for name in known - {str(path) for path in wanted}:
        (target / name).unlink(missing_ok=True)
    for path in wanted:
        original, copy = source / path, target / path
        if copy.is_file() and copy.stat().st_mtime_ns == original.stat().st_mtime_ns:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(original, copy)
    manifest.write_text("".join(f"{path}\n" for path in sorted(wanted)))


def _inputs(spec: ModuleSpec, kernel: Kernel, kdir: Path, variables: Mapping[str, str]) -> str:
    files = sorted(path for path in spec.source.rglob("*") if path.is_file())
    names = "\n".join(str(path.relative_to(spec.source)) for path in files)
    words = [f"{name}={value}" for name, value in sorted(variables.items())]
    place = str(spec.known_as or "")
    return cache.key_of(kernel.key, str(kdir), spec.kbuild, place, names, *words, *files)


def _renamed(spec: ModuleSpec, source: Path, kdir: Path) -> dict[Path, Path]:
    """Return which folders of this host the compiler is to write down as which others."""
    if spec.known_as is None:
        return {source: spec.source}
    headers = {kdir.parent: Path("/usr/src"), kdir.parents[1] / "lib": Path("/usr/lib")}
    return {source: spec.known_as, **headers}


def _command(
    place: Path, kdir: Path, variables: Mapping[str, str], *, paths: Mapping[Path, Path]
) -> list[str]:
    moved = [shlex.quote(f"{here}={there}") for here, there in paths.items()]
    prefix = " ".join(f"-fdebug-prefix-map={one} -fmacro-prefix-map={one}" for one in moved)
    command = ["make", "-C", str(kdir), f"M={place}", f"-j{os.cpu_count() or 1}"]
    command += [f"KCFLAGS=-g {prefix}"]
    command += [f"{name}={value}" for name, value in variables.items() if name != "KDIR"]
    return [*command, "modules"]


def _make(command: list[str], log: Path, *, cwd: Path) -> None:
    made = tool.run(
        command,
        deadline_s=_BUILD_DEADLINE_S,
        error=BuildError,
        check=False,
        cwd=cwd,
        within=tool.Surroundings(log=log),
    )
    if made.status is None:
        raise BuildError(f"make took over {_BUILD_DEADLINE_S:.0f} s", hint=str(log))
    lines = made.lines
    if made.status != 0:
        raise BuildError(
            "the module does not build", hint=f"all of it: {log}", evidence=_telling(lines)
        )
    dropped = [line for line in lines if _OBJTOOL.search(line)]
    if dropped:
        raise BuildError(
            "objtool could not follow the module's code, so backtraces through it would be lost",
            hint=f"all of it: {log}",
            evidence=dropped,
        )


def _telling(lines: Sequence[str], *, context: int = 4, most: int = 40) -> Sequence[str]:
    """Return the first messages of the compiler with the lines that belong to them."""
    hits = [number for number, line in enumerate(lines) if _COMPILER.search(line)]
    if not hits:
        return lines[-most:]
    chosen = sorted({near for hit in hits for near in range(hit, hit + context)})
    return [lines[number] for number in chosen if number < len(lines)][:most]
