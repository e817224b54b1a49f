# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Add defaults for values that a configuration leaves out: kernels, targets, tests, the build.

They come from the project's folder (`modules.recipe`) and from files that ship with the harness.
`config` checks the completed table as a whole.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.host import toml_file
from harness.modules import recipe
from harness.modules.dkms import CONF

Table = dict[str, Any]

FIRST_TEST = Path(__file__).resolve().parents[1] / "first_test"
_FILE = Path(__file__).with_name("defaults.toml")
# Fragments of kernel configurations, NAME.config; every kernel that is built has the base.
_FRAGMENTS = Path(__file__).resolve().parents[1] / "artefacts" / "images" / "kernels"
_BASE = "base"
_HOW = ("kbuild", "make", "dkms")


@functools.cache
def _shipped() -> Table:
    return toml_file.read(_FILE)


def completed(table: Table, file: Path, root: Path) -> Table:
    """Return a project's table of settings with defaults added for missing keys.

    `file` contains the table, and `root` is the project's folder. The project's `image` becomes
    that of its default target. A value of a wrong type is not changed; `config` reports it.
    Raises: ConfigError for a source folder that is missing, and for a dkms.conf that is missing or
        cannot be read.
    """
    shipped = _shipped()
    done = {"targets": shipped["targets"], **table}
    kernels = table.get("kernels", {})
    if isinstance(kernels, dict):
        done["kernels"] = {**shipped["kernels"], **kernels}
    done.setdefault("default_target", _default_target(done["targets"]))
    done.setdefault("tests", [{"name": "first", "pytest": str(FIRST_TEST)}])
    module = table.get("module", {})
    if isinstance(module, dict):
        done["module"] = _module(module, file, root)
    return _with_image(done)


def fragments(names: Sequence[Path], own: Path) -> tuple[Path, ...]:
    """Return the files with a kernel's configuration fragments of these names, the base first.

    A file in the folder `own` is preferred to one that ships. Where both are missing, the result
    has the file in `own`, and `config` reports it.
    """
    pairs = [(own / f"{name}.config", _FRAGMENTS / f"{name}.config") for name in (_BASE, *names)]
    return tuple(
        mine if toml_file.is_file(mine) or not toml_file.is_file(ships) else ships
        for mine, ships in pairs
    )


def fragment_names(own: Path) -> list[str]:
    """Return the names of the kernel configuration fragments that ship or are in `own`, sorted.

    The base, which every kernel has, is left out.
    """
    files = (file for folder in (_FRAGMENTS, own) for file in folder.glob("*.config"))
    return sorted({file.stem for file in files} - {_BASE})


def _default_target(targets: object) -> str:
    name: str = _shipped()["default_target"]
    if not isinstance(targets, dict) or name in targets:
        return name
    return next(iter(targets), name)


def _with_image(done: Table) -> Table:
    """Return the settings with the project's image set in the default target."""
    if "image" not in done:
        return done
    wanted, targets, name = done.pop("image"), done["targets"], done.get("default_target")
    if isinstance(targets, dict) and isinstance(targets.get(name), dict):
        done["targets"] = {**targets, name: {**targets[name], "image": wanted}}
    return done


def _module(table: Table, file: Path, root: Path) -> Table:
    """Return the table [module], completed with values from the module's source folder.

    A table with a source of a wrong type is returned unchanged.
    Raises: ConfigError for a source folder that is missing, and for a dkms.conf that is missing or
        cannot be read.
    """
    if isinstance(table.get("dkms"), str):
        conf = root / table["dkms"]
        if not toml_file.is_file(conf):
            raise ConfigError(file, "tool.harness.module.dkms", f"no such file: {conf}")
        source = str(_within(conf.parent, root))
        return _with_recipe(recipe.of_dkms(conf), {"source": source, **table}, root)
    source = table.get("source", ".")
    if not isinstance(source, str):
        return table
    folder = toml_file.located(root, Path(source))
    if not toml_file.is_folder(folder):
        raise ConfigError(file, "tool.harness.module.source", f"no such folder: {folder}")
    read = recipe.of_folder(folder)
    if read is None or any(key in table for key in _HOW):
        return table if read is None or "name" in table else {"name": read.name, **table}
    return _with_recipe(read, table, root)


def _with_recipe(read: recipe.Recipe, table: Table, root: Path) -> Table:
    """Return the table [module], completed with the values of its folder's recipe.

    The recipe gives the way of building: a dkms.conf, a make command or a folder for kbuild. If
    the table has no `name`, the recipe also gives the module's name, and the modules to load
    unless the table lists them.
    """
    done = dict(table)
    if read.dkms is not None:
        done["dkms"] = str(_within(read.dkms, root))
    elif read.make:
        done["make"] = read.make
    elif read.kbuild != ".":
        done["kbuild"] = read.kbuild
    if "name" not in table:
        done["name"] = read.name
        done.setdefault("modules", list(read.modules))
    return done


def _within(path: Path, root: Path) -> Path:
    """Return a path relative to the project's folder `root` if it is inside, else unchanged.

    The settings are text, and the name of the project's folder may be any bytes.
    """
    return path.relative_to(root) if path.is_relative_to(root) else path


def has_module(folder: Path) -> bool:
    """Return whether a folder has a module's source that can be built without a configuration.

    Raises: ConfigError for a dkms.conf that cannot be read or that builds no module.
    """
    names = (CONF, "Kbuild", "Makefile")
    return any((folder / name).is_file() for name in names) and (
        recipe.of_folder(folder) is not None
    )
