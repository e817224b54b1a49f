# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.show.from_history, evidence and files: from a database to the page."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model.settings import TestResult, Verdict
from harness.nightly.database import History, open_history
from harness.nightly.judge.findings import Kind, Suspect
from harness.nightly.show import files, from_history
from harness.nightly.values import Cell, CellKind, CellResult, Night, PlannedCell
from tests.unit.crashes import crash

GUEST = Cell(
    kind=CellKind.TEST,
    target="debian-12",
    kernel="6.12",
    arch="x86_64",
    image="debian-12",
    tests="guest",
    module="greeter",
)
BUILD = Cell(kind=CellKind.BUILD, kernel="7.x", arch="arm64", module="greeter")
P, F, C = Verdict.PASSED, Verdict.FAILED, Verdict.CRASHED


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Give an empty history."""
    with open_history(tmp_path / "history.db") as found:
        yield found


def add_night(history: History, number: int, *results: CellResult, left_out: str = "") -> str:
    """Write a night of January with these results, and return its id."""
    name = f"202601{number:02}-220000-ab12"
    begin = f"2026-01-{number:02}T22:00:00+00:00"
    plan = [
        PlannedCell(cell=cell, position=position, expected_s=60.0, left_out=left_out)
        for position, cell in enumerate((GUEST, BUILD))
    ]
    history.begin_night(Night(id=name, started_at=begin), plan)
    for one in results:
        run = f"{name}-{one.cell.partition('/')[0]}-{one.attempt}"
        assert history.record(replace(one, night=name, run_id=run, started_at=begin))
    history.end_night(name, begin.replace("T22", "T23"))
    return name


def result(cell: Cell, verdict: Verdict, **changes: object) -> CellResult:
    """Return the result of a cell."""
    plain = CellResult(
        night="",
        cell=cell.id,
        run_id="",
        verdict=verdict,
        reason=verdict.value,
        started_at="",
        duration_s=60.0,
        commit="a" * 40,
        kernel_version="6.12.57-1",
        command="./dev kernel-build 7.x",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def both(verdict: Verdict) -> tuple[TestResult, ...]:
    """Return the results of two tests, of which the first has this verdict."""
    output = ("E  assert 1 == 2",) if verdict is F else ()
    one = TestResult(name="test_a", suite="guest", verdict=verdict, diagnostics=output)
    return (one, TestResult(name="test_b", suite="guest", verdict=P, duration_s=1.0))


def test_a_crash_of_the_history_is_news_with_its_place_suspect_and_commands(
    history: History, tmp_path: Path
) -> None:
    """From the database alone: the new crash, its source line, the suspect, commands to rerun."""
    add_night(history, 1, result(GUEST, P, tests=both(P), measures={"boot_s": 9.0}))
    bad = replace(crash(tmp_path), test="test_a")
    last = result(GUEST, C, commit="b" * 40, tests=both(C), crashes=(bad,))
    add_night(history, 2, last)

    morning = from_history.morning(history, project="greeter")
    files.write(morning, tmp_path / "out")

    (found,) = morning.news
    assert (found.kind, found.signature) == (Kind.NEW, bad.signature)
    assert found.cause is not None
    assert found.cause.suspect is Suspect.COMMITS
    page = (tmp_path / "out" / "nightly.html").read_text()
    assert bad.place in page
    assert "kernel-test --target debian-12 --kernel 6.12 test_a" in page
    assert "--debug-on-crash" in page
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "annotations.txt",
        "chat.txt",
        "feed.xml",
        "nightly.html",
        "nightly.md",
    ]


def test_the_reruns_of_a_cell_make_its_failed_test_flaky(history: History) -> None:
    """A test that fails in a night's first run and passes in its rerun counts as flaky."""
    again = result(GUEST, P, attempt=1, tests=both(P))
    add_night(history, 1, result(GUEST, F, tests=both(F)), again)

    (found,) = from_history.morning(history, project="greeter").news

    assert found.kind is Kind.FLAKY
    assert found.rate is not None
    assert (found.rate.bad, found.rate.runs, found.rate.reruns_passed) == (1, 1, 1)


def test_a_broken_build_ended_in_the_build_and_names_the_versions(history: History) -> None:
    """A failed kernel-build and a test run that failed in its build are one finding."""
    stages = {"stage_kernel_s": 1.0, "stage_build_s": 2.0}
    good = (result(GUEST, P, tests=both(P)), result(BUILD, P))
    changed = {"kernel_version": "6.12.63-1", "evidence": ("hooks.c:57: error",)}
    add_night(history, 1, *good)
    add_night(
        history,
        2,
        result(GUEST, F, measures=stages, **changed),
        result(BUILD, F, **changed),
    )

    morning = from_history.morning(history, project="greeter")

    (found,) = morning.news
    assert (found.subject.area, found.subject.name, len(found.cells)) == ("stage", "build", 2)
    assert found.cause is not None
    assert found.cause.versions == ("6.12.57-1", "6.12.63-1")
    (evidence,) = morning.cells_of(found)[0].evidence
    assert evidence.console == ("hooks.c:57: error",)


def test_the_cells_that_were_left_out_are_those_of_the_plan(history: History) -> None:
    """The night's report names what the plan had no time for: target, kernel, tests, reason."""
    add_night(history, 1, left_out="the budget is used up")

    morning = from_history.morning(history, project="greeter")

    reason = "the budget is used up"
    assert morning.night.left_over == (f"{GUEST.id}: {reason}", f"{BUILD.id}: {reason}")


def test_an_earlier_night_can_be_reported_and_an_unknown_one_is_refused(history: History) -> None:
    """A report of an earlier night reads no later ones; an unknown night is a UsageError."""
    first = add_night(history, 1, result(GUEST, P, tests=both(P)))
    add_night(history, 2, result(GUEST, F, commit="b" * 40, tests=both(F)))

    found = from_history.morning(history, project="greeter", night_id=first)

    assert [night.name for night in found.nights] == ["2026-01-01 22:00"]
    with pytest.raises(UsageError, match="the history has no night 20260103"):
        from_history.morning(history, project="greeter", night_id="20260103")


def test_the_worker_of_a_cell_is_named_only_when_there_are_several(history: History) -> None:
    """A night's report says on which host each run was, if there were two hosts."""
    one, two = (result(cell, P, worker="kvm-1") for cell in (GUEST, BUILD))
    add_night(history, 1, one, two)
    alone = from_history.morning(history, project="greeter")

    add_night(history, 2, one, replace(two, worker="kvm-2"))
    both_workers = from_history.morning(history, project="greeter")

    assert {cell.worker for cell in alone.night.cells} == {""}
    assert {cell.worker for cell in both_workers.night.cells} == {"kvm-1", "kvm-2"}
