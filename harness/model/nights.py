# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the configuration says of the night: the axes of its matrix, its test sets, its limits."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

# As in `settings`, a key that is not a field is an error.
_STRICT: dict[str, Any] = {"extra": "forbid"}
# The flavour of a kernel that gets no further words on its command line.
PLAIN = "plain"
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
    """One cell that runs tests.

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
    """A pattern for cells that run tests: each of its texts may contain `*` and `?`.

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
    """A matrix of cells: every target with every kernel, flavour and test set.

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
    wrapper: tuple[str, ...] = ()
