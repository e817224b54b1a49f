# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The configuration of nightly runs: the axes of their matrix of cells, test sets and limits.

A cell is one combination of target, kernel, flavour and test set, or one build of the module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import ConfigError

# As in `settings`, a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}
# The flavour of a kernel that gets no further words on its command line.
PLAIN = "plain"
_KEY = "tool.harness.nightly"
_EXAMPLE = 'nightly = ["TARGET", "TARGET:KERNEL"], or a table [tool.harness.nightly]'
# The test set of everything that kernel-test runs by itself.
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class TestSetSpec:
    """A test set: which tests a cell of the night runs, as options of kernel-test.

    Attributes:
        tests: Names of tests, files or suites, as for --test; by default all.
        k: A pytest expression, as for -k.
        long: Run the tests in their long form.
        crash: Run the suites that crash the kernel on purpose, and only them.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    __test__: ClassVar[bool] = False

    tests: tuple[str, ...] = ()
    k: str = ""
    long: bool = False
    crash: bool = False


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One cell of the nightly matrix: a target and a kernel on which a test set runs.

    Attributes:
        target: The target, a name in `targets`.
        kernel: The kernel, a name in `kernels`; by default the target's own.
        flavour: The flavour, a name in `flavours`; by default the kernel as it is.
        tests: The test set, a name in `sets`; by default all tests.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    target: str
    kernel: str = ""
    flavour: str = PLAIN
    tests: str = ALL


@dataclass(frozen=True, kw_only=True)
class CellPattern:
    """A pattern for cells of the nightly matrix: each of its texts may contain `*` and `?`.

    Attributes:
        target: The name of the target.
        kernel: The name of the kernel.
        flavour: The name of the flavour.
        tests: The name of the test set.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    target: str = "*"
    kernel: str = "*"
    flavour: str = "*"
    tests: str = "*"


@dataclass(frozen=True, kw_only=True)
class MatrixSpec:
    """A nightly matrix of cells: every target with every kernel, flavour and test set.

    Attributes:
        targets: The targets, names in `targets`.
        kernels: The kernels, names in `kernels`; by default each target's own.
        flavours: The flavours: "plain", which is the kernel as it is, or names in `flavours`.
        tests: The test sets: "all", or names in `sets`.
        exclude: Patterns of cells to leave out.
        pairwise: Leave out cells as long as each pair of two values, such as a kernel with a test
            set, stays in some cell.
        include: Further cells, which neither `exclude` nor `pairwise` touches.
        builds: Kernels that the module is only built for, names in `builds`. Each is a cell.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    targets: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    flavours: tuple[str, ...] = (PLAIN,)
    tests: tuple[str, ...] = (ALL,)
    exclude: tuple[CellPattern, ...] = ()
    pairwise: bool = False
    include: tuple[CellSpec, ...] = ()
    builds: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NightSpec:
    """What the task nightly runs, and how long it may take.

    A list in the place of this table, such as ["debian-12", "debian-12:6.12"], stands for the key
    `include` of `full`, with these targets and kernels.

    Attributes:
        full: The matrix of a night.
        short: The matrix of `nightly --short`.
        flavours: The words that each flavour adds to the kernel's command line, by its name.
        sets: The test sets, by name.
        deadline_s: The longest that one cell may take, in seconds. Then it is ended, and lost.
        budget_s: The longest that a night may take, in seconds. What does not fit is named, and
            comes first in the next night.
        retries: How often a cell that failed or crashed is repeated in the same night, in fresh
            guests, as long as the budget allows it. The first verdict stands.
        runs_mib: The room that the runs of nights may take in build/runs, in MiB. When a night
            ends, the oldest runs that passed are removed first, and those that crashed last. The
            runs of that night stay, and so do those that a person has started.
        wrapper: Words before the command of each cell, for example ["nice"].
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    full: MatrixSpec = field(default_factory=MatrixSpec)
    short: MatrixSpec = field(default_factory=MatrixSpec)
    flavours: dict[str, str] = field(default_factory=dict)
    sets: dict[str, TestSetSpec] = field(default_factory=dict)
    deadline_s: float = 3600.0
    budget_s: float = 8 * 3600.0
    retries: int = 0
    runs_mib: int = 20480
    wrapper: tuple[str, ...] = ()


def completed(table: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return the configuration's table with the key `nightly` as a table, if it was a list.

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


def check(night: NightSpec, file: Path, configured: Mapping[str, Mapping[str, Any]]) -> None:
    """Check the names in the table `nightly` of a configuration file.

    A name in a matrix must be defined: targets, kernels and builds in `configured`, which has
    those tables of the configuration; flavours and test sets in `night` itself. The name of a
    flavour or a test set must not be empty, "plain" or "all", and must have no '/'.
    Raises: ConfigError that names the key and the name; for an undefined one also the known names.
    """
    known = {
        **configured,
        "flavours": {PLAIN: "", **night.flavours},
        "tests": {ALL: "", **night.sets},
    }
    for name in (*night.flavours, *night.sets):
        if name in {PLAIN, ALL} or "/" in name or not name:
            raise ConfigError(file, f"{_KEY} ({name})", "another name is expected")
    for form, matrix in (("full", night.full), ("short", night.short)):
        for key, name, table in _names(matrix):
            if name not in known[table]:
                listed = ", ".join(sorted(known[table])) or "none"
                where = f"{_KEY}.{form}.{key} ({name})"
                raise ConfigError(file, where, f"known names are: {listed}")


def _names(matrix: MatrixSpec) -> Iterator[tuple[str, str, str]]:
    """Yield each key of a nightly matrix, a name in it, and the table that must define it."""
    for table in ("targets", "kernels", "flavours", "tests", "builds"):
        for name in getattr(matrix, table):
            yield table, name, table
    for cell in matrix.include:
        yield "include.target", cell.target, "targets"
        if cell.kernel:
            yield "include.kernel", cell.kernel, "kernels"
        yield "include.flavour", cell.flavour, "flavours"
        yield "include.tests", cell.tests, "tests"
