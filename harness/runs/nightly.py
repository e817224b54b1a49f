# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run kernel-test on every cell of the matrix, one after the other, and report all together.

A cell is a target with a kernel. Each cell is run by a command of its own, so a failure does not
affect other cells, and the printed command line repeats the cell alone. A cell that leaves no
report counts as lost.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import HarnessError
from harness.guest import registry
from harness.host import tool
from harness.model import build_folder
from harness.model.settings import Accel, RunReport, Settings, Verdict
from harness.report import run_report


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the matrix: a target, and a kernel if it is not the target's own."""

    target: str
    kernel: str | None = None

    @property
    def name(self) -> str:
        """The cell as the configuration writes it: TARGET or TARGET:KERNEL."""
        return f"{self.target}:{self.kernel}" if self.kernel else self.target

    def command(self, run_id: str, *, file: Path, long: bool) -> list[str]:
        """Return the command line that runs this cell alone, with the given configuration file."""
        line = [sys.executable, "-m", "harness.tasks", "kernel-test", f"--target={self.target}"]
        line += [f"--config={file}", *([f"--kernel={self.kernel}"] if self.kernel else [])]
        return [*line, f"--run-id={run_id}", *(["--long"] if long else [])]


def cells(settings: Settings) -> tuple[Cell, ...]:
    """Return the cells that the configuration lists, in its order."""
    parts = (name.partition(":") for name in settings.nightly)
    return tuple(Cell(target=target, kernel=kernel or None) for target, _, kernel in parts)


def run(settings: Settings, *, long: bool, deadline_s: float) -> Iterator[tuple[Cell, RunReport]]:
    """Run each cell and yield it with its report; a failed cell does not stop the others.

    Units: deadline_s is seconds for one cell, after which it is ended and counts as lost.
    """
    for cell in cells(settings):
        run_id = registry.new_run_id()
        folder = build_folder.runs(settings.root) / run_id
        line = cell.command(run_id, file=settings.file, long=long)
        status = tool.run_shown(line, deadline_s=deadline_s, cwd=settings.root)
        reason = f"the cell did not finish within {deadline_s:.0f} s" if status is None else ""
        yield cell, _load(cell, run_id, folder, reason)


def write(reports: tuple[RunReport, ...], folder: Path) -> tuple[Path, Path]:
    """Write one Markdown table and one JUnit file over all cells, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, junit = folder / "nightly.md", folder / "nightly.xml"
    markdown.write_text(run_report.nightly_markdown(reports))
    run_report.write_junit(reports, junit)
    return markdown, junit


def exit_code(reports: tuple[RunReport, ...]) -> int:
    """Return the worst exit code of all cells; without any cell the code of a lost run."""
    return max((one.verdict.exit_code for one in reports), default=Verdict.LOST.exit_code)


def _load(cell: Cell, run_id: str, folder: Path, reason: str) -> RunReport:
    try:
        return run_report.load(folder)
    except HarnessError as error:
        return RunReport(
            run_id=run_id,
            target=cell.name,
            verdict=Verdict.LOST,
            reason=reason or f"the cell left no report: {error.message}",
            accel=Accel.TCG,
            deadline_factor=1.0,
            started_at=datetime.now(UTC).isoformat("T", "seconds"),
            duration_s=0.0,
            folder=folder,
        )
