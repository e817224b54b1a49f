# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A synthetic history of 60 nights and 40 cells, with five planted events.

Durations have the noise of emulated guests: each varies by several percent, each night has a
common factor, and single values are far off. Commits and kernel packages also change in nights
in which nothing breaks.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product

from harness.model.settings import Verdict
from harness.nightly.judge.nights import (
    CellOnce,
    Command,
    CrashOnce,
    Evidence,
    Night,
    TestOnce,
)

NIGHTS = 60
KERNELS = ("6.1", "6.1-rt", "6.12", "6.12-rt", "6.12-kasan")
TARGETS = ("debian-12", "debian-13")
ARCHITECTURES = ("amd64", "arm64")
SETS = ("guest", "crash")
NAMES = tuple(
    f"test_{file}::test_{what}"
    for file, ends in {
        "ring": ("wraps_at_its_end", "keeps_order", "counts_drops", "survives_a_full_ring"),
        "device": ("opens_once", "refuses_a_second_owner", "closes_cleanly", "maps_read_only"),
        "publishers": ("sees_exec", "sees_fork", "sees_exit", "sees_connect", "sees_unlink"),
        "load": ("loads_and_unloads", "leaves_no_memory", "reloads_under_load"),
        "stress": ("many_writers", "many_readers", "throughput", "random_order"),
    }.items()
    for what in ends
)
# The planted events, each with the night in which it begins, counted from 0.
REGRESSION, REGRESSION_NIGHT = "test_ring::test_wraps_at_its_end", 55
FLAKE, FLAKE_RATE = "test_stress::test_random_order", 0.08
DRIFT, DRIFT_NIGHT, DRIFT_SHARE_A_NIGHT = "test_stress::test_throughput", 20, 0.012
LOST_NIGHT, LOST_WORKER = 58, "kvm-3"
BUILD_NIGHT, BUILD_KERNEL = 59, "6.12-rt"
OLD_VERSION, NEW_VERSION = "6.12.57-1~bpo12+1", "6.12.63-1~bpo12+1"
SIGNATURE = "5d3c7a90e114"
TITLE = "BUG: kernel NULL pointer dereference in ring_reserve"
WORKERS = ("kvm-1", "kvm-2", "kvm-3", "kvm-4")
_LOST_REASON = "the worker did not answer for 120 s"
_BUILD_REASON = "the module does not build for 6.12.63-rt-amd64"


@dataclass(kw_only=True)
class Dice:
    """The random numbers of a history: the same seed gives the same history."""

    random: random.Random
    base_s: dict[tuple[str, str], float] = field(default_factory=dict)

    def duration(self, cell: str, test: str, factor: float) -> float:
        """Return how long a test takes in a night with this common factor."""
        key = (cell, test)
        base = self.base_s.setdefault(key, self.random.lognormvariate(0.5, 0.8))
        value = base * factor * self.random.lognormvariate(0.0, 0.05)
        return round(value * (2.5 if self.random.random() < 0.01 else 1.0), 3)


def commit_of(number: int) -> str:
    """Return the commit that is tested in a night; every third night tests that of the day before.

    The commit does not change in the night of the kernel update.
    """
    which = min(number, BUILD_NIGHT - 1)
    which -= which % 3 == 2
    return f"{random.Random(which).getrandbits(160):040x}"  # noqa: S311 - no secret


def version_of(kernel: str, number: int) -> str:
    """Return the version of a kernel's package in a night; harmless updates come in between."""
    if kernel.startswith("6.12"):
        last = NEW_VERSION if kernel == BUILD_KERNEL and number >= BUILD_NIGHT else OLD_VERSION
        return last if number >= 31 else "6.12.48-1~bpo12+1"
    return "6.1.158-1" if number >= 14 else "6.1.153-1"


def cells() -> Iterator[tuple[str, str, str, str]]:
    """Yield target, architecture, kernel and test set of the 40 cells."""
    yield from product(TARGETS, ARCHITECTURES, KERNELS, SETS)


def history(seed: int = 1, nights: int = NIGHTS) -> tuple[Night, ...]:
    """Return the nights, the oldest first."""
    dice = Dice(random=random.Random(seed))  # noqa: S311 - no secret
    return tuple(_night(number, dice) for number in range(nights))


def _night(number: int, dice: Dice) -> Night:
    begin = datetime(2026, 10, 1, 1, 0, tzinfo=UTC) + timedelta(days=number)
    factor = dice.random.lognormvariate(0.0, 0.03)
    found = tuple(_cell(number, place, parts, factor, dice) for place, parts in enumerate(cells()))
    return Night(
        name=begin.date().isoformat(),
        started_at=begin.isoformat("T", "seconds"),
        duration_s=sum(one.duration_s for one in found) / len(WORKERS),
        cells=found,
    )


def _cell(
    number: int, place: int, parts: tuple[str, str, str, str], factor: float, dice: Dice
) -> CellOnce:
    target, architecture, kernel, test_set = parts
    name = f"{target}/{architecture}/{kernel}/{test_set}"
    tests = tuple(_test(number, name, test, factor, dice) for test in NAMES)
    bad = [one for one in tests if one.verdict is not Verdict.PASSED]
    worst = max((one.verdict for one in tests), key=list(Verdict).index)
    cell = CellOnce(
        cell=name,
        target=target,
        architecture=architecture,
        flavour=kernel.partition("-")[2],
        kernel=kernel,
        kernel_version=version_of(kernel, number),
        test_set=test_set,
        commit=commit_of(number),
        verdict=worst,
        reason=f"{bad[0].name} {bad[0].verdict.value}" if bad else f"{len(tests)} tests passed",
        worker=WORKERS[(place + number) % len(WORKERS)],
        run=f"202610{number:02}-{place:04x}",
        boot_s=round(9.0 * factor * dice.random.lognormvariate(0.0, 0.06), 2),
        duration_s=sum(one.duration_s for one in tests) + 60.0,
        coverage_percent=round(81.0 + number * 0.04 + dice.random.gauss(0.0, 0.1), 1),
        tests=tests,
        crashes=tuple(
            CrashOnce(signature=SIGNATURE, title=TITLE, test=one.name)
            for one in bad
            if one.verdict is Verdict.CRASHED
        ),
        evidence=tuple(_evidence(one, name, kernel) for one in bad),
    )
    return _planted(cell, number)


def _planted(cell: CellOnce, number: int) -> CellOnce:
    """Return the cell with what befalls it as a whole: a lost worker, a broken build."""
    if number == LOST_NIGHT and cell.worker == LOST_WORKER:
        return replace(_without_results(cell, Verdict.LOST), reason=_LOST_REASON)
    if cell.kernel_version == NEW_VERSION:
        broken = _without_results(cell, Verdict.FAILED)
        return replace(
            broken, reason=_BUILD_REASON, ended_in="build", evidence=(_broken_build(cell),)
        )
    return cell


def _without_results(cell: CellOnce, verdict: Verdict) -> CellOnce:
    empty = replace(cell, tests=(), crashes=(), evidence=(), boot_s=None, coverage_percent=None)
    return replace(empty, verdict=verdict, duration_s=130.0)


def _test(number: int, cell: str, name: str, factor: float, dice: Dice) -> TestOnce:
    seconds = dice.duration(cell, name, factor)
    if name == DRIFT and number >= DRIFT_NIGHT:
        seconds *= 1.0 + DRIFT_SHARE_A_NIGHT * (number - DRIFT_NIGHT)
    test = TestOnce(suite="guest", name=name, verdict=Verdict.PASSED, duration_s=seconds)
    if name == REGRESSION and number >= REGRESSION_NIGHT:
        reruns = (Verdict.CRASHED,) * 2 if number == REGRESSION_NIGHT else ()
        return replace(test, verdict=Verdict.CRASHED, reason=TITLE, reruns=reruns)
    if name == FLAKE and dice.random.random() < FLAKE_RATE:
        reason = "AssertionError: 1023 records were read, 1024 were written"
        return replace(test, verdict=Verdict.FAILED, reason=reason, reruns=(Verdict.PASSED,) * 2)
    return test


def _evidence(test: TestOnce, cell: str, kernel: str) -> Evidence:
    crashed = test.verdict is Verdict.CRASHED
    target = cell.partition("/")[0]
    return Evidence(
        test=test.name,
        title=test.reason,
        place="core/ring.c:214" if crashed else "tests/guest/test_stress.py:88",
        why="module: ring_reserve is a function of the module under test" if crashed else "",
        source=_SOURCE if crashed else (),
        console=_CONSOLE if crashed else ("E  assert 1023 == 1024", "E  a record is missing"),
        commands=(
            Command(
                purpose="repeat it",
                line=f"./dev kernel-test --target {target} --kernel {kernel} {test.name}",
            ),
            Command(purpose="debug it", line="./dev replay 20261029-0004 --crash 1 --keep"),
        ),
    )


def _broken_build(cell: CellOnce) -> Evidence:
    return Evidence(
        test="",
        title=_BUILD_REASON,
        place="os/linux/hooks.c:57",
        why="the compiler ended with an error",
        console=_COMPILER,
        commands=(
            Command(
                purpose="repeat it",
                line=f"./dev kernel-build --target {cell.target} --kernel {cell.kernel}",
            ),
        ),
    )


_SOURCE = (
    "   212         slot = ring->head & ring->mask;",
    "   213         record = ring->records[slot];",
    " > 214         record->size = size;",
    "   215         return record->payload;",
)
_CONSOLE = (
    "[   41.118201] BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "[   41.118224] #PF: supervisor write access in kernel mode",
    "[   41.118301] Oops: 0002 [#1] PREEMPT SMP NOPTI",
    "[   41.118340] CPU: 1 PID: 412 Comm: writer Tainted: G           O       6.12.57-amd64",
    "[   41.118402] RIP: 0010:ring_reserve+0x4f/0x120 [ringmod]",
    "[   41.118530] Call Trace:",
    "[   41.118544]  <TASK>",
    "[   41.118551]  publish_exec+0x92/0x1c0 [ringmod]",
    "[   41.118577]  bprm_execve.part.0+0x5a1/0x6f0",
    "[   41.118601]  do_execveat_common.isra.0+0x1ad/0x220",
    "[   41.118622]  do_syscall_64+0x55/0xb0",
    "[   41.118640] Kernel panic - not syncing: Fatal exception",
)
_COMPILER = (
    "os/linux/hooks.c:57:9: error: implicit declaration of function 'get_task_exe' [-Werror]",
    "   57 |         exe = get_task_exe(task);",
    "      |               ^~~~~~~~~~~~",
    "cc1: all warnings being treated as errors",
)
