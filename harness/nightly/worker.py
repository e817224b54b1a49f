# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one cell of a night and record its result: a process of its own for each cell.

The process outlives the planner when that is killed. When this process is killed, its cell is
ended, and the lock of the cell is free once both have gone. So a cell never runs twice at once,
and the next worker of the cell knows what the last one has left.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import INTERRUPTED, HarnessError, Lost
from harness.guest import registry
from harness.host import config, file_lock, tool
from harness.model import build_folder
from harness.model.settings import Settings
from harness.nightly import cells, folders, results
from harness.nightly.database import History, open_history
from harness.nightly.judge.nights import LostTry
from harness.nightly.results import Attempt
from harness.nightly.values import Cell, CellKind, CellResult, Start
from harness.report import night_runs, run_report

# How often a cell is started in one night while its processes are killed.
MOST_STARTS = 4
# The time in which a cell that was ended gives up its lock.
_ENDING_S = 60.0
# A shell reports a process that a signal ended with a status above this one.
_SIGNALLED = 128
_WORKER_LOST = "the worker was lost while it ran the cell, which was run again elsewhere"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The task of one worker process: one attempt at one cell of a night.

    `history` is the file that gets the result. `worker` is the name of this machine, and `lost_on`
    are the machines that were lost while they ran the cell.
    """

    night: str
    cell: str
    attempt: int
    deadline_s: float
    history: str
    worker: str
    lost_on: tuple[str, ...] = ()

    def arguments(self, settings: Settings) -> list[str]:
        """Return the command line that starts a worker process for this attempt."""
        words = [str(settings.file), json.dumps(asdict(self))]
        return [sys.executable, "-m", "harness.nightly.worker", *words]

    @property
    def lost_tries(self) -> tuple[LostTry, ...]:
        """The earlier tries of this cell on machines that were lost, for the night's report."""
        return tuple(LostTry(worker=name, reason=_WORKER_LOST) for name in self.lost_on)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """An attempt at a cell, with the settings and the open history that are needed to run it."""

    settings: Settings
    history: History
    work: Work
    cell: Cell

    @property
    def starts(self) -> tuple[Start, ...]:
        """The recorded starts of this attempt so far, in their order."""
        key = (self.work.cell, self.work.attempt)
        every = self.history.starts(self.work.night)
        return tuple(start for start in every if (start.cell, start.attempt) == key)

    def attempt(self, starts: int) -> Attempt:
        """Return the data of this attempt when it has been started `starts` times."""
        work = self.work
        return Attempt(
            night=work.night,
            cell=work.cell,
            attempt=work.attempt,
            starts=starts,
            command=cells.printed_command(self.settings, self.cell),
            log=folders.log(self.settings, work.night, self.cell, work.attempt, starts),
            worker=work.worker,
            lost_tries=work.lost_tries,
        )

    def folder(self, run_id: str) -> Path:
        """Return the folder build/runs/RUN of one run of this cell."""
        return build_folder.runs(self.settings.root) / run_id


def run(settings: Settings, work: Work) -> None:
    """Run an attempt at a cell in a process and record its result, unless it is recorded already.

    Nothing is recorded when a process of the cell was killed; another worker then starts it again.
    Raises: CacheBusy when another worker holds the cell's lock for longer than the deadline.
    """
    with open_history(Path(work.history)) as history:
        job = _Job(settings=settings, history=history, work=work, cell=history.cells()[work.cell])
        lock = folders.lock(settings, work.night, job.cell, work.attempt)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as file:
            file_lock.lock(file, deadline_s=work.deadline_s + _ENDING_S)
            if history.has_result(work.night, work.cell, work.attempt):
                return
            found = _earlier_result(job) or _new_result(job, file.fileno())
            if found is not None:
                history.record(found)
                night_runs.mark(found.folder, found.verdict)


def _earlier_result(job: _Job) -> CellResult | None:
    """Return the result of an earlier start whose worker was killed before recording it, or None.

    After four starts without a report, return a "lost" result.
    """
    starts = job.starts
    for number, start in enumerate(starts, start=1):
        report = results.finished_report(job.folder(start.run_id))
        if report is not None:
            return results.of_report(report, job.attempt(number))
    if len(starts) < MOST_STARTS:
        return None
    last = starts[-1].run_id
    reason = f"the cell was started {len(starts)} times, and a process of it was killed each time"
    return results.lost(job.attempt(len(starts)), last, job.folder(last), reason)


def _new_result(job: _Job, lock: int) -> CellResult | None:
    """Run the cell's command in a process, and return its result.

    The result is None when a signal killed the process before it came to a verdict. `lock` is the
    descriptor of the cell's locked file, which the cell inherits, so that the lock is held until
    it ends.
    """
    run_id = registry.new_run_id()
    work = job.work
    start = Start(
        night=work.night,
        cell=work.cell,
        attempt=work.attempt,
        number=len(job.starts) + 1,
        run_id=run_id,
        started_at=results.now(),
    )
    attempt = job.attempt(start.number)
    repeated = work.attempt > 0 and job.cell.kind is CellKind.TEST
    with _recorded_start(job, start):
        ended = tool.run(
            (*cells.command(job.settings, job.cell, run_id), *(["--fresh"] if repeated else [])),
            deadline_s=work.deadline_s,
            error=Lost,
            check=False,
            cwd=job.settings.root,
            within=tool.Surroundings(log=attempt.log, own_group=True, inherits=(lock,)),
        )
    return _judged(job, attempt, run_id, ended.status)


@contextmanager
def _recorded_start(job: _Job, start: Start) -> Iterator[None]:
    """Record the start of a cell's process before a `with` block that runs it.

    Ctrl-C in the block deletes the record, unless the run has come to a verdict.
    """
    try:
        job.history.start(start)
        yield
    except KeyboardInterrupt:
        if results.finished_report(job.folder(start.run_id)) is None:
            job.history.forget_start(start.run_id)
        raise


def _judged(job: _Job, attempt: Attempt, run_id: str, status: int | None) -> CellResult | None:
    """Return the result of a cell whose process ended, None when a signal killed it too early.

    `status` is the exit status, None when the deadline passed. A finished report is the result in
    any case. Without it, the result is None after a signal, and "lost" after the deadline or
    without a usable report.
    """
    folder = job.folder(run_id)
    report = results.finished_report(folder)
    if report is not None:
        return results.of_report(report, attempt)
    if status is None:
        reason = f"the cell did not finish within {job.work.deadline_s:.0f} s"
        return results.lost(attempt, run_id, folder, reason)
    if status < 0 or status > _SIGNALLED:
        return None
    try:
        return results.of_report(run_report.load(folder), attempt)
    except HarnessError as error:
        reason = f"the cell ended with exit code {status} and left no report: {error.message}"
        return results.lost(attempt, run_id, folder, reason)


def main(arguments: list[str]) -> None:
    """Run a worker process; the arguments are the configuration file and `Work` as JSON."""
    # SIGTERM is raised as Ctrl-C is, so that the cell is ended before this process ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    file, work = arguments
    try:
        run(config.load(Path(file)), Work(**json.loads(work)))
    except KeyboardInterrupt:
        # The planner tells it.
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main(sys.argv[1:])
