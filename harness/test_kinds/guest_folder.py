# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""List the tests of a folder that is copied into the guest: selftests of the kernel, or blktests.

Each test is one command in the guest. A folder of selftests has one of three forms: installed
(with kselftest-list.txt), with a Makefile that includes the kernel's lib.mk, or plain programs.
"""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from harness.errors import TestsBroken
from harness.host import tool
from harness.model.listed import ListedSuite, ListedTest, plain_name
from harness.model.settings import PushSpec, TestSpec

_PLACE = "/var/tmp/harness-tests"  # noqa: S108 - a folder of the guest, where only root works
_LIST = "kselftest-list.txt"
_MAKE_S = 900.0
_EXECUTABLE = 0o111
# Folders that no test needs: git's own, and the results of earlier runs of blktests.
_NOT_COPIED = {".git", "results"}


@dataclass(frozen=True, kw_only=True)
class _Program:
    """One test of a folder: its name, the folder in which its command is run, and the command."""

    name: str
    folder: str
    command: str


def listed(spec: TestSpec, *, build: Path) -> ListedSuite:
    """Return a suite of kselftest or blktests with its tests.

    A folder with a Makefile for lib.mk is built and installed below `build` first. If `spec.only`
    has patterns, only the tests that match one of them are listed.
    Raises: TestsBroken when that fails, or when the folder has no test.
    """
    folder = spec.blktests or spec.kselftest or build
    if spec.blktests is not None:
        programs = tuple(_of_blktests(folder))
    elif (folder / _LIST).is_file():
        programs = tuple(_of_list((folder / _LIST).read_text().splitlines()))
    elif _is_for_lib_mk(folder):
        names = _made(folder, build / "kselftest" / spec.name)
        folder = build / "kselftest" / spec.name / "installed"
        programs = tuple(_program(name) for name in names)
    else:
        programs = tuple(_program(file.name) for file in sorted(folder.iterdir()) if _runs(file))
    if not programs:
        what = "numbered test" if spec.blktests else "program that may be executed"
        raise TestsBroken(f"{spec.name}: no {what} in {folder}")
    place = f"{_PLACE}/{spec.name}"
    tests = (
        ListedTest(
            name=plain_name(one.name),
            command=f"cd {shlex.quote(f'{place}/{one.folder}')} && {one.command}",
        )
        for one in programs
        if not spec.only or any(fnmatch(one.name, pattern) for pattern in spec.only)
    )
    return ListedSuite(spec=spec, tests=tuple(tests), folder=folder)


def files(suite: ListedSuite) -> tuple[PushSpec, ...]:
    """Return the files of a suite's folder with their places in the guest.

    Files of git and results of earlier runs are left out; a suite without a folder has no files.
    """
    folder = suite.folder
    if folder is None:
        return ()
    return tuple(
        PushSpec(
            source=file,
            target=f"{_PLACE}/{suite.spec.name}/{file.relative_to(folder).as_posix()}",
            mode=file.stat().st_mode & 0o777,
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not _NOT_COPIED.intersection(file.relative_to(folder).parts)
    )


def _of_blktests(folder: Path) -> Iterator[_Program]:
    for file in sorted(folder.glob("tests/*/[0-9][0-9][0-9]")):
        name = f"{file.parent.name}/{file.name}"
        yield _Program(name=name, folder=".", command=f"./check {shlex.quote(name)}")


def _of_list(lines: Iterable[str]) -> Iterator[_Program]:
    """Yield the tests of kselftest-list.txt, which has a line COLLECTION:PROGRAM for each."""
    for line in lines:
        collection, colon, program = line.strip().partition(":")
        if colon:
            command = f"./{shlex.quote(program)}"
            yield _Program(name=line.strip(), folder=collection, command=command)


def _program(name: str) -> _Program:
    return _Program(name=name, folder=".", command=f"./{shlex.quote(name)}")


def _runs(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & _EXECUTABLE)


def _is_for_lib_mk(folder: Path) -> bool:
    makefile = folder / "Makefile"
    return makefile.is_file() and "lib.mk" in makefile.read_text(errors="replace")


def _made(folder: Path, place: Path) -> tuple[str, ...]:
    """Build a folder of kernel selftests by its Makefile, and install it below `place`.

    The Makefile includes the kernel's lib.mk. Return the names of its tests.
    """
    output, installed = place / "output", place / "installed"
    for path in (output, installed):
        path.mkdir(parents=True, exist_ok=True)
    # Without OUTPUT, lib.mk builds inside the user's folder.
    words = ["make", "-s", "--no-print-directory", "-C", str(folder), f"OUTPUT={output}"]
    tool.run(
        [*words, f"INSTALL_PATH={installed}", "install"], deadline_s=_MAKE_S, error=TestsBroken
    )
    done = tool.run([*words, "COLLECTION=", "emit_tests"], deadline_s=_MAKE_S, error=TestsBroken)
    # emit_tests of lib.mk prints a line COLLECTION:PROGRAM for each test.
    names = (line.partition(":") for line in done.text.splitlines())
    return tuple(name for _, colon, name in names if colon)
