# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide from a folder's files how its kernel module is built.

A dkms.conf is read first, since it describes the build. Next comes a Kbuild file or Makefile that
names modules. Any other Makefile is run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.modules import dkms, makefiles

ALL = ("*",)
_DEPTH = 3
_ENTRY = re.compile(r"^\s*(?:module_init|module_\w*driver|module_\w+)\s*\(", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a kernel module is built, and from which evidence this follows.

    Configured parameters and symbols are those of the module `name`. `dkms` (a dkms.conf) or
    `make` (a command) gives the way of building, if it is set. Otherwise kbuild builds in the
    folder `kbuild`. `modules` are patterns of the modules to load, () for `name` alone. `because`
    gives the reasons in sentences for the user.
    """

    name: str
    modules: tuple[str, ...] = ()
    kbuild: str = "."
    dkms: Path | None = None
    make: str = ""
    because: tuple[str, ...] = ()


def of_folder(folder: Path) -> Recipe | None:
    """Return how the module in a folder is built; None when no build file says so.

    Raises: ConfigError for a dkms.conf that cannot be read or that builds no module.
    """
    if (folder / dkms.CONF).is_file():
        return of_dkms(folder / dkms.CONF)
    if makefiles.kbuild_file(folder) is not None:
        return _of_kbuild(folder, ".")
    file = makefiles.makefile(folder)
    if file is not None:
        return _of_makefile(folder, file)
    for below in _folders(folder):
        if (below / dkms.CONF).is_file():
            return of_dkms(below / dkms.CONF)
        if makefiles.kbuild_file(below) is not None:
            return _of_kbuild(folder, below.relative_to(folder).as_posix())
    return None


def of_dkms(conf: Path) -> Recipe:
    """Return how the modules that a dkms.conf names are built.

    Raises: ConfigError for a dkms.conf that cannot be read or that builds no module.
    """
    found = dkms.read(conf)
    names = tuple(one.name for one in found.modules)
    if not names:
        raise ConfigError(conf, "BUILT_MODULE_NAME", "at least one module is expected")
    name = main_module(names, found.package.removesuffix("-dkms"))
    said = f"{conf.name} of {found.package} {found.version} builds {_listed(names)}"
    return Recipe(name=name, dkms=conf, because=(said,))


def main_module(names: tuple[str, ...], like: str) -> str:
    """Return the module that is named like the package or folder, or else the first one."""
    wanted = plain(like)
    same = [name for name in names if plain(name) == wanted]
    return (same or list(names))[0]


def plain(name: str) -> str:
    """Return a module's name with underscores instead of hyphens, as the kernel writes it."""
    return name.replace("-", "_")


def _of_kbuild(folder: Path, place: str) -> Recipe | None:
    file = makefiles.kbuild_file(folder / place)
    names = makefiles.modules(folder / place)
    if file is None or not names:
        return None
    shown = file.relative_to(folder)
    name = main_module(names, folder.name)
    several = ALL if len(names) > 1 else ()
    said = f"{shown} sets obj-m: kbuild builds {_listed(names)}"
    return Recipe(name=name, modules=several, kbuild=place, because=(said,))


def _of_makefile(folder: Path, file: Path) -> Recipe | None:
    names = _named_below(folder) or tuple(_with_an_entry(folder))
    if not names:
        return None
    command = makefiles.make_command(file)
    said = f"{file.name} is no Kbuild, so it is run as it is: {command}"
    name = main_module(names, folder.name)
    also = f"the modules that it makes are found after the build; {name} is the one in question"
    return Recipe(name=name, modules=ALL, make=command, because=(said, also))


def _named_below(folder: Path) -> tuple[str, ...]:
    """Return the modules that Kbuild files in folders below this one make."""
    found: list[str] = []
    for below in _folders(folder):
        found += makefiles.modules(below)
    return tuple(dict.fromkeys(found))


def _with_an_entry(folder: Path) -> Iterator[str]:
    """Yield the names without .c of the source files that call module_init() or the like.

    Each is probably a module of that name.
    """
    for below in (folder, *_folders(folder)):
        for file in sorted(below.glob("*.c")):
            # A pipe would never end, and a link may lead nowhere.
            if file.is_file() and _ENTRY.search(file.read_text(errors="replace")):
                yield file.stem


def _folders(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Yield the folders below this one, nearest first, down to `depth` levels.

    Hidden folders and build, debian, test and tests are left out.
    """
    level = [folder]
    for _ in range(depth):
        level = sorted(
            one
            for above in level
            for one in above.iterdir()
            if one.is_dir() and not one.is_symlink() and not _is_aside(one)
        )
        yield from level


def _is_aside(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in {"build", "debian", "tests", "test"}


def _listed(names: tuple[str, ...], *, most: int = 4) -> str:
    shown = ", ".join(f"{name}.ko" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
