# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.cells and pairwise: which cells a matrix has, and what runs each of them."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

from harness.model.nights import CellPattern, CellSpec, MatrixSpec
from harness.nightly import cells, pairwise
from harness.nightly.values import Cell
from tests.unit.nightly.projects import MATRIX, settings


def ids(root: Path, matrix: MatrixSpec, *, long: bool = False) -> list[str]:
    """Return the ids of a matrix's cells."""
    return [cell.id for cell in cells.cells(settings(root), matrix, long=long)]


def one(root: Path, cell_id: str) -> Cell:
    """Return the cell with an id."""
    every = cells.cells(settings(root), MATRIX, long=False)
    return next(cell for cell in every if cell.id == cell_id)


def test_a_matrix_has_each_combination_once_and_a_cell_for_each_build(tmp_path: Path) -> None:
    """A cell is a value of each axis: target, kernel, arguments, tests; a build is one, too."""
    found = ids(tmp_path, MATRIX)

    assert len(found) == len(set(found)) == 17
    assert found[0] == "test/small/6.1/plain/x86_64/all/greeter"
    assert found[-1] == "build/arm/arm64/greeter"


def test_a_matrix_without_kernels_has_the_kernel_of_each_target(tmp_path: Path) -> None:
    """Cells of a night's matrix without the key `kernels` use their target's kernel."""
    assert ids(tmp_path, MatrixSpec(targets=("small", "large"))) == [
        "test/small/6.1/plain/x86_64/all/greeter",
        "test/large/6.12/plain/x86_64/all/greeter",
    ]


def test_excluded_cells_are_left_out_and_included_ones_are_added_once(tmp_path: Path) -> None:
    """A night's matrix adds an included combination even if a pattern excludes it."""
    matrix = replace(
        MATRIX,
        exclude=(CellPattern(kernel="6.1*", tests="smoke"), CellPattern(target="large")),
        include=(
            CellSpec(target="large", tests="smoke"),
            CellSpec(target="small", kernel="6.12"),
        ),
        builds=(),
    )

    found = ids(tmp_path, matrix)

    assert found == [
        "test/small/6.1/plain/x86_64/all/greeter",
        "test/small/6.1/slub/x86_64/all/greeter",
        "test/small/6.12/plain/x86_64/all/greeter",
        "test/small/6.12/slub/x86_64/all/greeter",
        "test/large/6.12/plain/x86_64/smoke/greeter",
    ]


def test_pairwise_keeps_every_pair_of_values_in_fewer_cells(tmp_path: Path) -> None:
    """The option pairwise cuts a night's 16 combinations of four axes to at most six."""
    rows = list(itertools.product("ab", "cd", "ef", "gh"))

    kept = [rows[at] for at in pairwise.reduced(rows)]

    assert len(kept) <= 6
    for first, second in itertools.combinations(range(4), 2):
        wanted = {(row[first], row[second]) for row in rows}
        assert {(row[first], row[second]) for row in kept} == wanted
    assert len(ids(tmp_path, replace(MATRIX, pairwise=True))) == len(kept) + 1


def test_pairwise_does_not_want_pairs_that_no_row_has() -> None:
    """If the pairs a-d and b-c are in no row, the four rows are kept, but not a repeated one."""
    rows = [("a", "c", "e"), ("a", "c", "f"), ("b", "d", "e"), ("b", "d", "f"), ("a", "c", "e")]

    assert pairwise.reduced(rows) == (0, 1, 2, 3)
    assert pairwise.reduced([]) == ()


def test_a_night_in_the_long_form_has_other_cells(tmp_path: Path) -> None:
    """Ids of cells that run long tests differ, so their results are not compared to short ones."""
    assert ids(tmp_path, MatrixSpec(targets=("small",)), long=True) == [
        "test/small/6.1/plain/x86_64/all-long/greeter"
    ]
    cell = cells.cells(settings(tmp_path), MatrixSpec(targets=("small",)), long=True)[0]
    assert cells.task_words(settings(tmp_path), cell)[-1] == "--long"


def test_the_command_of_a_cell_is_a_task_with_its_options(tmp_path: Path) -> None:
    """A kernel-test command line repeats one combination of a night's target, kernel, tests."""
    cell = one(tmp_path, "test/large/6.12/slub/x86_64/smoke/greeter")

    assert cells.task_words(settings(tmp_path), cell) == (
        "kernel-test",
        "--target=large",
        "--kernel=6.12",
        "--append=slub_debug=FZP",
        "--test=test_one",
        "--test=test_two",
        "-k",
        "quick",
        "--crash-tests",
    )
    line = cells.command(settings(tmp_path), one(tmp_path, "build/arm/arm64/greeter"), "run-1")
    assert line == (
        *(sys.executable, "-m", "harness.tasks", "kernel-build", "--kernel=arm"),
        *(f"--config={tmp_path}/pyproject.toml", "--run-id=run-1"),
    )


def test_the_wrapper_comes_before_the_command(tmp_path: Path) -> None:
    """The words of `wrapper`, such as nice -n5, start the command of each cell of a night."""
    plain = settings(tmp_path)
    wrapped = replace(plain, nightly=replace(plain.nightly, wrapper=("nice", "-n5")))
    cell = one(tmp_path, "build/arm/arm64/greeter")

    assert cells.command(wrapped, cell, "r") == ("nice", "-n5", *cells.command(plain, cell, "r"))
