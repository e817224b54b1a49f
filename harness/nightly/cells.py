# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the cells of the nightly matrix from the configuration, and the command line of each cell.

A cell is one combination of target, kernel, flavour and test set, or one build of the module. Each
cell is run by a command of its own, so a failure does not affect other cells, and the printed
command line repeats the cell alone.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from harness import hints
from harness.model.machines import ImageChange
from harness.model.nights import ALL, PLAIN, CellPattern, CellSpec, MatrixSpec, TestSetSpec
from harness.model.settings import Settings
from harness.nightly import pairwise
from harness.nightly.values import Cell, CellKind

# What a test set is called whose tests run in their long form.
_LONG = "-long"
# Debian's names of architectures, and those of the kernel and QEMU.
_ARCHITECTURES = {"amd64": "x86_64"}


def cells(settings: Settings, matrix: MatrixSpec, *, long: bool) -> tuple[Cell, ...]:
    """Return the cells that a matrix of the configuration describes, without duplicates.

    With `long`, the cells run their tests in the long form that `kernel-test --long` selects.
    """
    product = [spec for spec in _product(settings, matrix) if not _excluded(spec, matrix.exclude)]
    if matrix.pairwise:
        axes = [(one.target, one.kernel, one.flavour, one.tests) for one in product]
        product = [product[at] for at in pairwise.reduced(axes)]
    # Cells of `include` are added after the reduction, which would drop those whose pairs occur
    # elsewhere.
    included = (_with_kernel(settings, one) for one in matrix.include)
    found = [of_spec(settings, spec, long=long) for spec in (*product, *included)]
    found += [build_cell(settings, name) for name in matrix.builds]
    return tuple({cell.id: cell for cell in found}.values())


def _product(settings: Settings, matrix: MatrixSpec) -> Iterator[CellSpec]:
    for target in matrix.targets:
        kernels = matrix.kernels or (settings.targets[target].kernel,)
        for kernel, flavour, tests in itertools.product(kernels, matrix.flavours, matrix.tests):
            yield CellSpec(target=target, kernel=kernel, flavour=flavour, tests=tests)


def _excluded(spec: CellSpec, patterns: Sequence[CellPattern]) -> bool:
    return any(
        all(
            fnmatchcase(getattr(spec, axis), getattr(pattern, axis))
            for axis in ("target", "kernel", "flavour", "tests")
        )
        for pattern in patterns
    )


def _with_kernel(settings: Settings, spec: CellSpec) -> CellSpec:
    kernel = spec.kernel or settings.targets[spec.target].kernel
    return CellSpec(target=spec.target, kernel=kernel, flavour=spec.flavour, tests=spec.tests)


def of_spec(settings: Settings, spec: CellSpec, *, long: bool) -> Cell:
    """Return the nightly cell that a CellSpec describes: target, kernel, flavour and test set.

    With `long`, "-long" is added to the name of the test set.
    """
    target = settings.targets[spec.target]
    image = target.image.extends if isinstance(target.image, ImageChange) else target.image
    return Cell(
        kind=CellKind.TEST,
        target=spec.target,
        kernel=spec.kernel,
        flavour=spec.flavour,
        arch=target.arch,
        image=image,
        tests=spec.tests + (_LONG if long else ""),
        module=settings.module.name,
    )


def build_cell(settings: Settings, name: str) -> Cell:
    """Return the nightly cell that builds the module for a kernel of the table `builds`."""
    arch = settings.builds[name].arch
    return Cell(
        kind=CellKind.BUILD,
        kernel=name,
        arch=_ARCHITECTURES.get(arch, arch),
        module=settings.module.name,
    )


def task_words(settings: Settings, cell: Cell) -> tuple[str, ...]:
    """Return the task that runs a cell, `kernel-test` or `kernel-build`, and its options."""
    if cell.kind is CellKind.BUILD:
        return ("kernel-build", f"--kernel={cell.kernel}")
    words = ["kernel-test", f"--target={cell.target}", f"--kernel={cell.kernel}"]
    if cell.flavour != PLAIN:
        words.append(f"--append={settings.nightly.flavours[cell.flavour]}")
    name = cell.tests.removesuffix(_LONG)
    chosen = settings.nightly.sets[name] if name != ALL else TestSetSpec()
    words += [f"--test={test}" for test in chosen.tests]
    words += ["-k", chosen.k] if chosen.k else []
    words += ["--crash-tests"] if chosen.crash else []
    words += ["--long"] if chosen.long or name != cell.tests else []
    return tuple(words)


def printed_command(settings: Settings, cell: Cell) -> str:
    """Return the command line that runs only this cell, ready to be pasted into a shell."""
    return hints.command(*task_words(settings, cell))


def command(settings: Settings, cell: Cell, run_id: str) -> tuple[str, ...]:
    """Return the arguments of the process that runs a cell and reports it as run `run_id`."""
    # The process is started with this Python, so that it does not depend on the PATH or on
    # `./dev`.
    program = (sys.executable, "-m", "harness.tasks")
    options = (f"--config={settings.file}", f"--run-id={run_id}")
    return (*settings.nightly.wrapper, *program, *task_words(settings, cell), *options)
