# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a configuration need not say: kernels, targets, a first test, how the module is built.

What the project's folder tells (`modules.recipe`) and what ships with the harness is added to the
table of the file; `config` then checks the whole.
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
    """Return the table of a project in the folder `root`, with what it need not say.

    What has a wrong type is left as it is, for whoever checks it.
    Raises: ConfigError for a dkms.conf that cannot be read.
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
    """Return the table with an image of the project's given to its default target."""
    if "image" not in done:
        return done
    wanted, targets, name = done.pop("image"), done["targets"], done.get("default_target")
    if isinstance(targets, dict) and isinstance(targets.get(name), dict):
        done["targets"] = {**targets, name: {**targets[name], "image": wanted}}
    return done


def _module(table: Table, root: Path) -> Table:
    """Return the module's table with what the source folder says of it."""
    if isinstance(table.get("dkms"), str):
        conf = root / table["dkms"]
        if not conf.is_file():
            raise ConfigError(root, "tool.harness.module.dkms", f"no such file: {conf}")
        return _told(recipe.of_dkms(conf), {"source": str(conf.parent), **table})
    source = table.get("source", ".")
    if not isinstance(source, str) or not (root / source).is_dir():
        return table
    told = recipe.of_folder(root / source)
    if told is None or any(key in table for key in _HOW):
        return table if told is None or "name" in table else {"name": told.name, **table}
    return _told(told, table)


def _told(told: recipe.Recipe, table: Table) -> Table:
    done = dict(table)
    if told.dkms is not None:
        done["dkms"] = str(told.dkms)
    elif told.make:
        done["make"] = told.make
    elif told.kbuild != ".":
        done["kbuild"] = told.kbuild
    if "name" not in table:
        done["name"] = told.name
        done.setdefault("modules", list(told.modules))
    return done


def has_module(folder: Path) -> bool:
    """Return whether a folder without a configuration holds a module that can be built."""
    names = (CONF, "Kbuild", "Makefile")
    return any((folder / name).is_file() for name in names) and (
        recipe.of_folder(folder) is not None
    )
