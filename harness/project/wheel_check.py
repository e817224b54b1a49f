# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check the wheel as a stranger gets it: build it, install it afresh, call its command.

Nothing is compiled or fetched: the libraries are those of the environment that the check runs in.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.host import process
from harness.project.tree_checks import tracked

_BUILD_S = 300.0
_CALL_S = 120.0
_PACKAGE = "harness"
_EXAMPLE = Path("tests/data/example_module")
# The calls in a project's folder, with the exit code and the words to expect from each.
_CALLS: Mapping[tuple[str, ...], tuple[int, str]] = {
    ("--version",): (0, "modlab "),
    ("--list",): (0, "kernel-configure-target"),
    ("test", "--help"): (0, "Usage: modlab test"),
    ("target-list",): (0, ""),
    ("kernel-test", "--accel=warp"): (2, "kvm or tcg is expected"),
    ("kernel-build", "--target=nothing"): (2, "known names are: debian-12"),
    ("check",): (2, "no task 'check'"),
}


def wheel(project: Path) -> Iterator[str]:
    """Build and install the wheel; yield each missing file and each call that fails.

    If it cannot be built or installed, the tool's last lines are yielded.
    """
    with tempfile.TemporaryDirectory(prefix="modlab-wheel-") as place:
        folder = Path(place)
        source = _copy(project, folder / "source")
        line = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place)
        built = process.run((*line, str(source)), cwd=folder, deadline_s=_BUILD_S)
        wheels = sorted(folder.glob("*.whl"))
        if built.status != 0 or not wheels:
            yield from ("the wheel is not built", *built.lines[-20:])
            return
        yield from missing_files(source, wheels[0])
        yield from _installed(wheels[0], folder, project)


def _copy(project: Path, target: Path) -> Path:
    """Copy the sources of the wheel to `target`, and return `target`.

    Without the copy, setuptools would include files of an older build.
    """
    for file in tracked(project):
        name = file.relative_to(project)
        if name.parts[0] in {_PACKAGE, "LICENSES", "README.md", "pyproject.toml"}:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target / name)
    return target


def missing_files(source: Path, built: Path) -> Iterator[str]:
    """Yield every file of the package in `source` that the wheel `built` does not contain."""
    with zipfile.ZipFile(built) as archive:
        there = set(archive.namelist())
    for file in sorted((source / _PACKAGE).rglob("*")):
        name = file.relative_to(source).as_posix()
        if file.is_file() and name not in there and "__pycache__" not in name:
            yield f"the wheel does not have {name}"


def _installed(built: Path, folder: Path, project: Path) -> Iterator[str]:
    """Install a wheel into a new virtual environment, and yield what is wrong with `modlab` there.

    The command is called in a copy of an example module outside of this project.
    """
    place = folder / "environment"
    venv.create(place, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    # A .pth file makes the libraries of this environment visible; an editable install of this
    # project among them is not followed.
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    python = place / "bin" / "python"
    line = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet")
    done = process.run(
        (*line, "--no-deps", "--no-index", str(built)), cwd=folder, deadline_s=_BUILD_S
    )
    if done.status != 0:
        yield from ("the wheel cannot be installed", *done.lines[-20:])
        return
    elsewhere = folder / "a module"
    shutil.copytree(project / _EXAMPLE, elsewhere, ignore=shutil.ignore_patterns("build"))
    shutil.copytree(project / "vm-images", folder / "vm-images")
    file = elsewhere / "pyproject.toml"
    file.write_text(file.read_text().replace("../../../vm-images", "../vm-images"))
    yield from wrong_calls(place / "bin", elsewhere)


def wrong_calls(programs: Path, folder: Path) -> Iterator[str]:
    """Yield each call of `modlab` in _CALLS whose exit code or output is not the expected one.

    `programs` is the folder with the installed command, and `folder` is where it is called.
    """
    path = f"PATH={programs}{os.pathsep}{os.defpath}"
    # The check itself was called with variables of its own, which a stranger does not have.
    clean = ("env", "-u", "MODLAB_PROGRAM", "-u", "MODLAB_OPTIONS", "-u", "PYTHONPATH", path)
    for words, (status, expected) in _CALLS.items():
        done = process.run((*clean, "modlab", *words), cwd=folder, deadline_s=_CALL_S)
        if done.status != status or expected not in "\n".join(done.lines):
            yield f"modlab {' '.join(words)} ended with status {done.status}, not {status}:"
            yield from (f"  {line}" for line in done.lines[-5:])
