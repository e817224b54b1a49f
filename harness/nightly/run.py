# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the cells of a night side by side, as far as the host has room, until all have a result.

Each cell is run and recorded by a worker, a process of its own. The planner in this module only
starts workers and looks into the history, so it may be killed and started again at any moment.
"""

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CacheBusy
from harness.guest import registry
from harness.host import file_lock
from harness.model import build_folder
from harness.model.settings import Settings, Verdict
from harness.nightly import folders, results, room
from harness.nightly.database import History
from harness.nightly.plan import OVER_BUDGET
from harness.nightly.results import Attempt
from harness.nightly.room import Room
from harness.nightly.values import CellResult, PlannedCell
from harness.nightly.worker import MOST_STARTS, Work
from harness.report import night_runs

_POLL_S = 0.2
# What a worker has to end its cell, and the cell its guest.
_ENDING_S = 60.0
# Workers that end without a result, for a cause that the history does not know: a full disk.
_MOST_WORKERS = 2 * MOST_STARTS
_WAITING_EVERY_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a night: seconds in all and for each cell, the host's processors and memory.

    `runtime` is the folder in which guests of this host are registered. `worker` is the name of
    this host in the results, and `lost_on` names the hosts that were lost with the cells before.
    """

    budget_s: float
    deadline_s: float
    host: Room
    runtime: Path
    worker: str
    lost_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Job:
    """An attempt at a planned cell of the night that waits to be started or runs.

    `attempt` is 0 for the cell's first attempt, and more for its repetitions.
    """

    planned: PlannedCell
    attempt: int = 0

    @property
    def name(self) -> str:
        cell = self.planned.cell.id
        return f"{cell} (repetition {self.attempt})" if self.attempt else cell


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A job with a running worker process: when it began, and which part of the host it takes.

    Units: `begun` is seconds on the monotonic clock.
    """

    job: _Job
    process: subprocess.Popen[bytes]
    room: Room
    begun: float


@contextmanager
def only_night(settings: Settings) -> Iterator[None]:
    """Hold the lock that keeps a project from running two nights at once, for a `with` block.

    Raises: CacheBusy when another night of the project runs.
    """
    path = folders.all_nights(settings) / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not file_lock.try_lock(file):
            raise CacheBusy(
                "another night of this project is running", hint="wait for its end, or end it"
            )
        yield


def run(settings: Settings, history: History, night_id: str, limits: Limits, say: Say) -> None:
    """Run every cell of a night that has no result yet, and then record that the night has ended.

    A cell that is running already, because its worker has outlived another planner, is waited for.
    A cell that failed or crashed is repeated, and one that would end after the budget is left out.
    At the end, runs of earlier nights may be removed to free disk space.
    Raises: KeyboardInterrupt, after the workers have ended; the night can then be resumed.
    """
    folders.of_night(settings, night_id).mkdir(parents=True, exist_ok=True)
    planner = _Planner(settings=settings, history=history, night=night_id, limits=limits, say=say)
    try:
        while not planner.is_done():
            planner.reap()
            planner.yield_memory()
            planner.start_what_fits()
            time.sleep(_POLL_S)
    except BaseException:
        planner.end_workers()
        raise
    history.end_night(night_id, results.now())
    _prune(settings, history, night_id, limits, say)


def _prune(settings: Settings, history: History, night_id: str, limits: Limits, say: Say) -> None:
    """Remove runs of earlier nights while all nights take more disk space than `runs_mib`."""
    own = {one.run_id for one in history.results(night_id)}
    alive = {entry.run_id for entry in registry.list_entries(limits.runtime)}
    removed = night_runs.prune(
        build_folder.runs(settings.root),
        most_bytes=settings.nightly.runs_mib << 20,
        keep=own | alive,
    )
    if removed:
        say(f"removed {len(removed)} runs of earlier nights: {removed[0]} to {removed[-1]}")


class _Planner:
    """The running night: which jobs wait, which run, and how many workers each job has had."""

    def __init__(
        self, *, settings: Settings, history: History, night: str, limits: Limits, say: Say
    ) -> None:
        self._settings = settings
        self._history = history
        self._night = night
        self._limits = limits
        self._say = say
        self._begun = time.monotonic()
        self._said_waiting = -_WAITING_EVERY_S
        self._running: list[_Running] = []
        self._yielding: _Running | None = None
        self._workers: Counter[_Job] = Counter()
        wanted = [one for one in history.planned(night) if not one.left_out]
        verdicts = history.verdicts(night)
        self._waiting = [_Job(planned=one) for one in wanted if one.cell.id not in verdicts]
        for one in wanted:
            if one.cell.id in verdicts:
                self._repeat(one, verdicts[one.cell.id])

    def is_done(self) -> bool:
        """Return whether no job of the night waits or runs any more."""
        return not self._waiting and not self._running

    def reap(self) -> None:
        """Take the workers that ended off the list; report the verdict of each one's cell.

        A cell that failed or crashed is queued again `nightly.retries` times. A cell without a
        result is queued again, too, as when its worker was killed; after too many it is "lost".
        """
        for one in [one for one in self._running if one.process.poll() is not None]:
            self._running.remove(one)
            job, cell = one.job, one.job.planned.cell
            verdict = self._history.verdicts(self._night, job.attempt).get(cell.id)
            if verdict is None and self._workers[job] >= _MOST_WORKERS:
                verdict = Verdict.LOST
                self._history.record(self._without_worker(job))
            if verdict is None:
                self._take_back(one)
                continue
            self._tell(f"{job.name}: {verdict.value} after {time.monotonic() - one.begun:.0f} s")
            if job.attempt == 0:
                self._repeat(job.planned, verdict)

    def _take_back(self, ended: _Running) -> None:
        """Have a job wait again whose worker has ended without a result."""
        self._waiting.insert(0, ended.job)
        if ended is self._yielding:
            self._yielding = None
            self._workers[ended.job] -= 1
            return
        self._say(f"{ended.job.name}: a process of it was killed; it is started again")

    def yield_memory(self) -> None:
        """End the youngest cell while the host's memory runs out; it is started again later.

        A cell that runs alone is ended only for a guest of another run. No second cell is ended
        before the first has given its memory back.
        """
        free_mib = room.free_memory_mib()
        if free_mib >= room.SPARE_MIB or self._yielding in self._running or not self._running:
            return
        if len(self._running) == 1 and self._others() == room.NO_ROOM:
            return
        self._yielding = max(self._running, key=lambda one: one.begun)
        self._say(
            f"{self._yielding.job.name}: ended, since {free_mib} MiB of memory are free; "
            "it is started again later"
        )
        self._yielding.process.terminate()

    def _repeat(self, planned: PlannedCell, verdict: Verdict) -> None:
        """Queue the repetitions of a cell that failed or crashed, after all other jobs."""
        if verdict not in {Verdict.FAILED, Verdict.CRASHED}:
            return
        for attempt in range(1, self._settings.nightly.retries + 1):
            if not self._history.has_result(self._night, planned.cell.id, attempt):
                self._waiting.append(_Job(planned=planned, attempt=attempt))

    def _tell(self, text: str) -> None:
        left = [*self._waiting, *(one.job for one in self._running)]
        rest_s = sum(job.planned.expected_s for job in left)
        more = f"; {len(left)} left, about {rest_s / 60:.0f} min of work" if left else ""
        self._say(f"{text}{more}")

    def _without_worker(self, job: _Job) -> CellResult:
        """Return the "lost" result of a job whose workers all ended without recording one."""
        cell = job.planned.cell
        attempt = Attempt(
            night=self._night,
            cell=cell.id,
            attempt=job.attempt,
            command=job.planned.command,
            log=folders.worker_log(self._settings, self._night, cell, job.attempt),
            worker=self._limits.worker,
        )
        name = f"{self._night}-{cell.file_name}-{job.attempt}"
        reason = f"{_MOST_WORKERS} workers ended without a result"
        return results.lost(attempt, name, Path(), reason)

    def start_what_fits(self) -> None:
        """Start the waiting jobs for which the host has room.

        A job that would end after the night's budget is left out of the night instead.
        """
        for job in list(self._waiting):
            if self._is_late(job):
                self._waiting.remove(job)
                if job.attempt == 0:
                    self._history.leave_out(self._night, job.planned.cell.id, OVER_BUDGET)
                self._say(f"{job.name}: left out: {OVER_BUDGET}")
                continue
            needed = room.needed(self._settings, job.planned.cell)
            if self._has_room(needed):
                self._waiting.remove(job)
                self._start(job, needed)

    def _is_late(self, job: _Job) -> bool:
        """Return whether a job that was never started would end after the night's budget."""
        ends_s = time.monotonic() - self._begun + job.planned.expected_s
        return ends_s > self._limits.budget_s and not self._workers[job]

    def _has_room(self, needed: Room) -> bool:
        """Return whether processors and memory are free for a cell beside all running guests.

        One cell always runs, as long as there is memory for it, however busy the host is. Beside
        something else, memory has to stay free, or `yield_memory` would end the cell again.
        """
        others = self._others()
        taken = room.total(one.room for one in self._running)
        if self._running and not (taken + others + needed).fits(self._limits.host):
            return False
        spare_mib = room.SPARE_MIB if self._running or others != room.NO_ROOM else 0
        return self._has_memory(needed.memory_mib + spare_mib)

    def _has_memory(self, needed_mib: int) -> bool:
        """Return whether the host has this much free memory now; another program may use it.

        If not, and no cell runs, the wait for memory is reported by `say`, at most once a minute.
        """
        free_mib = room.free_memory_mib()
        if needed_mib <= free_mib:
            return True
        if not self._running and time.monotonic() - self._said_waiting > _WAITING_EVERY_S:
            self._said_waiting = time.monotonic()
            self._say(f"waiting for memory: {free_mib} of {needed_mib} MiB are free")
        return False

    def _others(self) -> Room:
        """Return the room that guests of other runs take on this host."""
        own = {start.run_id for start in self._history.starts(self._night)}
        return room.of_others(self._limits.runtime, own)

    def _start(self, job: _Job, needed: Room) -> None:
        work = Work(
            night=self._night,
            cell=job.planned.cell.id,
            attempt=job.attempt,
            deadline_s=self._limits.deadline_s,
            history=str(self._history.file),
            worker=self._limits.worker,
            lost_on=self._limits.lost_on,
        )
        file = folders.worker_log(self._settings, self._night, job.planned.cell, job.attempt)
        with file.open("ab") as log:
            process = subprocess.Popen(
                work.arguments(self._settings),
                cwd=self._settings.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the planner alone, and the worker outlives a killed planner.
                start_new_session=True,
            )
        self._workers[job] += 1
        self._running.append(
            _Running(job=job, process=process, room=needed, begun=time.monotonic())
        )
        self._say(f"{job.name}: started")

    def end_workers(self) -> None:
        """Terminate every worker; each ends its cell first, and the cell its guest."""
        for one in self._running:
            one.process.terminate()
        end = time.monotonic() + _ENDING_S
        for one in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(max(0.0, end - time.monotonic()))
            one.process.kill()
            one.process.wait()
