# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the table `nightly` of a configuration: its older form, and the names in it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.model.nights import ALL, PLAIN, CellSpec, MatrixSpec, NightSpec
from harness.model.settings import Settings

_KEY = "tool.harness.nightly"
_EXAMPLE = 'nightly = ["TARGET", "TARGET:KERNEL"], or a table [tool.harness.nightly]'


def completed(table: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return a configuration's table, in which a list of cells has become a table.

    The list was the only form of the key once: ["TARGET", "TARGET:KERNEL"].
    Raises: ConfigError for a list of anything else.
    """
    listed = table.get("nightly", {})
    if isinstance(listed, dict):
        return table
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigError(file, _KEY, f"a list of names or a table is expected: {_EXAMPLE}")
    parts = (name.partition(":") for name in listed)
    include = [{"target": target, "kernel": kernel} for target, _, kernel in parts]
    return {**table, "nightly": {"full": {"include": include}}}


def check(settings: Settings) -> None:
    """Check every name in the table `nightly`.

    Raises: ConfigError that names the key, the unknown name and the known ones.
    """
    night = settings.nightly
    for name in (*night.flavours, *night.sets):
        if name in {PLAIN, ALL} or "/" in name or not name:
            raise ConfigError(settings.file, f"{_KEY} ({name})", "another name is expected")
    for form, matrix in (("full", night.full), ("short", night.short)):
        for key, name, known in _names(settings, matrix):
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                where = f"{_KEY}.{form}.{key} ({name})"
                raise ConfigError(settings.file, where, f"known names are: {listed}")


def _names(settings: Settings, matrix: MatrixSpec) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each key of a matrix with a name in it and the names that the key may have."""
    known = _known(settings, settings.nightly)
    lists = {
        "targets": matrix.targets,
        "kernels": matrix.kernels,
        "flavours": matrix.flavours,
        "tests": matrix.tests,
        "builds": matrix.builds,
    }
    for key, names in lists.items():
        for name in names:
            yield key, name, known[key]
    for cell in matrix.include:
        for key, name in _included(cell):
            yield f"include.{key}", name, known[key if key in known else f"{key}s"]


def _included(cell: CellSpec) -> Iterator[tuple[str, str]]:
    yield "target", cell.target
    if cell.kernel:
        yield "kernel", cell.kernel
    yield "flavour", cell.flavour
    yield "tests", cell.tests


def _known(settings: Settings, night: NightSpec) -> dict[str, Mapping[str, Any]]:
    """Return the names that each list of a matrix may hold."""
    return {
        "targets": settings.targets,
        "kernels": settings.kernels,
        "flavours": {PLAIN: "", **night.flavours},
        "tests": {ALL: "", **night.sets},
        "builds": settings.builds,
    }
