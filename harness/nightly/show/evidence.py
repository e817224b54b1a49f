# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Collect what explains the failures of a cell for a night's report: source, console, commands."""

from collections.abc import Iterator

from harness import hints
from harness.crash import crash_text
from harness.model.crash import Crash
from harness.nightly.judge.nights import BAD, Command, Evidence
from harness.nightly.values import Cell, CellResult
from harness.panic.causes import main_report

# A page shows the end of long outputs; the files of the run have the rest.
_MOST_LINES = 40


def of_result(result: CellResult, cell: Cell) -> tuple[Evidence, ...]:
    """Return what explains the failures of one cell's result, one piece for each failure.

    They are the crashes, then the failed tests without a crash, then the cell itself if it failed
    before its tests.
    """
    return tuple(_found(result, cell))


def _found(result: CellResult, cell: Cell) -> Iterator[Evidence]:
    for crash in result.crashes:
        yield _of_crash(crash, result, cell)
    crashed = {crash.test for crash in result.crashes}
    for test in result.tests:
        if test.verdict in BAD and test.name not in crashed:
            yield Evidence(
                test=test.name,
                title=test.reason or test.verdict.value,
                console=test.diagnostics[-_MOST_LINES:],
                commands=_commands(test.name, result, cell),
            )
    if result.verdict in BAD and not result.tests and "" not in crashed:
        yield Evidence(
            test="",
            title=result.reason,
            why=result.hint,
            console=result.evidence[-_MOST_LINES:],
            commands=(Command(purpose="repeat it", line=result.command),)
            if result.command
            else (),
        )


def _of_crash(crash: Crash, result: CellResult, cell: Cell) -> Evidence:
    report = main_report(crash.reports)
    console = crash_text.decoded(report) if report is not None else crash.last_lines
    number = str(crash.number)
    debug = [Command(purpose="debug it", line=_kernel_test(cell, crash.test, "--debug-on-crash"))]
    if crash.vmcore:
        line = hints.command("vmcore-open", result.run_id, "--crash", number)
        debug.append(Command(purpose="open its memory", line=line))
    replay = hints.command("replay", result.run_id, "--crash", number)
    return Evidence(
        test=crash.test,
        title=crash.title,
        place=crash.place,
        why=f"{crash.blame.value}: {crash.blame_why}" if crash.blame_why else "",
        source=crash.source,
        console=console[:_MOST_LINES],
        commands=(
            *_commands(crash.test, result, cell),
            Command(purpose="repeat it with the same module", line=replay),
            *(debug if cell.target else ()),
        ),
    )


def _commands(test: str, result: CellResult, cell: Cell) -> tuple[Command, ...]:
    line = _kernel_test(cell, test) if cell.target else result.command
    return (Command(purpose="repeat it", line=line),) if line else ()


def _kernel_test(cell: Cell, test: str, *options: str) -> str:
    words = ["kernel-test", "--target", cell.target, "--kernel", cell.kernel, *options]
    return hints.command(*words, *([test] if test else []))
