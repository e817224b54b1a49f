# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""List the Debian packages that tasks need, find the missing ones, and install them.

The list is `debian-packages.txt` beside this file. The shell script `dev` of a checkout reads the
same file, because it runs before any Python is installed.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Lost, UsageError
from harness.host import tool

LIST = Path(__file__).with_name("debian-packages.txt")
BASE = "base"
_ASK_S = 60.0
_FETCH_S = 600.0
_INSTALL_S = 3600.0
_LISTS = Path("/var/lib/apt/lists")
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SystemPackage:
    """A Debian package that tasks need: its name, its group in the list, and its purpose."""

    name: str
    group: str
    reason: str


def listed(text: str | None = None) -> tuple[SystemPackage, ...]:
    """Return every package of the list in debian-packages.txt, or in `text` if it is given."""
    rows = (line.split(maxsplit=3) for line in _lines(text) if line.startswith("package "))
    return tuple(SystemPackage(group=row[1], name=row[2], reason=row[3]) for row in rows)


def groups_of(task: str, text: str | None = None) -> tuple[str, ...]:
    """Return the groups in the list of Debian packages that a task needs, the base group first.

    When `task` is "", only the base group is returned. `text` replaces debian-packages.txt.
    Raises: UsageError for a task for which the list names no group.
    """
    known = {
        words[1]: words[2:]
        for words in map(str.split, _lines(text))
        if words and words[0] == "task"
    }
    if task and task not in known:
        raise UsageError(
            f"{task} needs no packages of its own", hint=f"these tasks do: {', '.join(known)}"
        )
    return (BASE, *known.get(task, ()))


def _lines(text: str | None) -> list[str]:
    return (LIST.read_text(encoding="utf-8") if text is None else text).splitlines()


def missing(wanted: Iterable[SystemPackage]) -> tuple[SystemPackage, ...]:
    """Return those of the given packages that dpkg does not report as installed.

    Raises: UsageError on a system without dpkg or apt-get; its evidence lists the given packages.
    """
    packages = tuple(wanted)
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise UsageError(
            "this is no Debian: install what these packages of Debian hold",
            evidence=[f"{one.name:28} {one.reason}" for one in packages],
        )
    names = [one.name for one in packages]
    form = "${Package} ${db:Status-Status}\n"
    # dpkg-query fails when it does not know one of the names, but still lists the others.
    asked = tool.run(
        ["dpkg-query", "-W", "-f", form, *names], deadline_s=_ASK_S, error=Lost, check=False
    )
    states = (line.split() for line in asked.text.splitlines())
    there = {words[0] for words in states if words[1:] == ["installed"]}
    return tuple(one for one in packages if one.name not in there)


def install(packages: Iterable[SystemPackage], progress: Progress) -> None:
    """Install packages, as root or through sudo; if apt has no package lists, fetch them first.

    Raises: UsageError when neither root nor sudo is available; Lost with apt's last lines when apt
        fails, and Lost when apt does not end in time.
    """
    if not any(_LISTS.glob("*Packages*")):
        progress("fetching package lists")
        _apt(["update"], deadline_s=_FETCH_S)
    names = [one.name for one in packages]
    progress(f"installing {' '.join(names)}")
    _apt(["install", "-y", "--no-install-recommends", *names], deadline_s=_INSTALL_S)


def _apt(words: list[str], *, deadline_s: float) -> None:
    # sudo does not pass the environment on, so env sets the variables after it.
    line = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", *words]
    if os.getuid() != 0:
        if shutil.which("sudo") is None:
            raise UsageError("root is needed to install packages", hint=f"as root: {words!r}")
        line = ["sudo", *line]
    done = tool.run(line, deadline_s=deadline_s, error=Lost, check=False)
    if done.status is None:
        raise Lost(f"apt-get {words[0]} did not end in {deadline_s:.0f} s")
    if done.status != 0:
        raise Lost(f"apt-get {words[0]} failed", evidence=done.lines[-10:])
