# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Add defaults for values that a configuration leaves out: kernels, targets, tests, the build.

They come from the project's folder (`modules.recipe`) and from files that ship with the harness.
`config` checks the completed table as a whole.
"""

import functools
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.host import toml_file
from harness.modules import recipe
from harness.modules.dkms import CONF

Table = dict[str, Any]

FIRST_TEST = Path(__file__).resolve().parents[1] / "first_test"
_FILE = Path(__file__).with_name("defaults.toml")
_HOW = ("kbuild", "make", "dkms")


@functools.cache
def _shipped() -> Table:
    return toml_file.read(_FILE)


def completed(table: Table, root: Path) -> Table:
    """Return a project's table of settings with defaults added for missing keys.

    `root` is the project's folder. The project's `image` becomes that of its default target. A
    value of a wrong type is not changed, so that `config` reports it.
    Raises: ConfigError for a dkms.conf that is missing or cannot be read.
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
        done["module"] = _module(module, root)
    return _with_image(done)


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


def _module(table: Table, root: Path) -> Table:
    """Return the table [module], completed with values from the module's source folder."""
    if isinstance(table.get("dkms"), str):
        conf = root / table["dkms"]
        if not conf.is_file():
            raise ConfigError(root, "tool.harness.module.dkms", f"no such file: {conf}")
        return _with_recipe(recipe.of_dkms(conf), {"source": str(conf.parent), **table})
    source = table.get("source", ".")
    folder = root / Path(source).expanduser() if isinstance(source, str) else root
    if not isinstance(source, str) or not folder.is_dir():
        return table
    read = recipe.of_folder(folder)
    if read is None or any(key in table for key in _HOW):
        return table if read is None or "name" in table else {"name": read.name, **table}
    return _with_recipe(read, table)


def _with_recipe(read: recipe.Recipe, table: Table) -> Table:
    """Return the table [module], completed with the values of its folder's recipe.

    The recipe gives the way of building: a dkms.conf, a make command or a folder for kbuild. If
    the table has no `name`, the recipe also gives the module's name, and the modules to load
    unless the table lists them.
    """
    done = dict(table)
    if read.dkms is not None:
        done["dkms"] = str(read.dkms)
    elif read.make:
        done["make"] = read.make
    elif read.kbuild != ".":
        done["kbuild"] = read.kbuild
    if "name" not in table:
        done["name"] = read.name
        done.setdefault("modules", list(read.modules))
    return done


def has_module(folder: Path) -> bool:
    """Return whether a folder contains a module that can be built without a configuration."""
    names = (CONF, "Kbuild", "Makefile")
    return any((folder / name).is_file() for name in names) and (
        recipe.of_folder(folder) is not None
    )
