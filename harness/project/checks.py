# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The steps of `invoke check`: all checks that need no guest.

Every step runs, even after another one has failed; two run at a time. A step is a command, or a
function such as those of `tree_checks`. A command that is not installed counts as a failure.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness import hints
from harness.errors import UsageError
from harness.host import process
from harness.project import c_checks, cut_release, site, text_checks, tree_checks, wheel_check
from harness.project.bench import instructions

# Several times what the longest step takes on two cores; the nightly forms get more.
_STEP_DEADLINE_S = 1800.0
_PART_DEADLINE_S = 4 * 3600.0
# One test that hangs fails by itself, and the others still run. The slowest test of `check` takes
# a minute on two idle cores; one of a part takes some minutes, since it boots several guests.
_TEST_DEADLINE_S = 600
_PART_TEST_DEADLINE_S = 1800
# The end of a tool's output has the failure; the beginning has only progress.
_MOST_LINES = 60
_CORE = ("make", "-s", "-C", "tests/core", "O=../../build/core")


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The result of one step: a check of `invoke check`, or a part of a test task.

    `output` has the objections, which are shown after a failure, and `notes` measured figures.
    """

    name: str
    passed: bool
    duration_s: float
    output: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Finding = Callable[[Path], Iterable[str]]


def _commands() -> dict[str, tuple[str, ...]]:
    """Return the steps of `invoke check` that run a program, with its command line, by name."""
    python = sys.executable
    return {
        "unit": _pytest("tests/unit", "tests/libvirt"),
        "macos-target": _pytest("tests/macos"),
        "fuzz": _pytest("tests/fuzz"),
        "mypy": (python, "-m", "mypy"),
        # Two seconds show that the fuzzers still build and run; core-test and the night fuzz
        # longer.
        "core": (*_CORE, "FUZZ_S=2", "check"),
        "core-property": _pytest("tests/core"),
        "kext": _pytest("tests/kext"),
        "builds": _pytest("tests/builds"),
        "subscriber": _pytest("tests/subscriber"),
        "ruff": (python, "-m", "ruff", "check", "--quiet"),
        "format": (python, "-m", "ruff", "format", "--check", "--quiet"),
        "imports": (_beside(python, "lint-imports"), "--no-logo", "--no-cache"),
        "licences": (_beside(python, "reuse"), "lint", "--lines"),
    }


def _steps() -> dict[str, Finding]:
    """Return every step of `invoke check` by its name, as a function that yields objections.

    A step that yields none has passed.
    """
    steps: dict[str, Finding] = {
        name: partial(_command, command) for name, command in _commands().items()
    }
    steps["sparse"] = c_checks.sparse
    steps["c-style"] = c_checks.style
    steps["clang-tidy"] = c_checks.clang_tidy
    steps["core-headers"] = c_checks.core_is_pure
    steps["compat"] = c_checks.compat_is_one_file
    steps["instructions"] = instructions.instructions
    steps["shell"] = tree_checks.shell_syntax
    steps["host-paths"] = tree_checks.host_paths
    steps["size"] = tree_checks.size
    steps["folders"] = tree_checks.crowded_folders
    steps["driver-names"] = tree_checks.driver_names
    steps["habits"] = tree_checks.habits
    steps["one-way"] = tree_checks.second_ways
    steps["spelling"] = text_checks.spelling
    steps["words"] = text_checks.clipped_words
    steps["links"] = text_checks.links
    steps["version"] = cut_release.copies_of_version
    steps["site"] = site.site
    steps["pinned-actions"] = text_checks.pinned_actions
    steps["workflows"] = text_checks.workflows
    steps["wheel"] = wheel_check.wheel
    return steps


def _pytest(*arguments: str, deadline_s: int = _TEST_DEADLINE_S) -> tuple[str, ...]:
    """Return the command that runs pytest; a test that exceeds the deadline fails."""
    options = ("-q", "--color=no", f"--timeout={deadline_s}")
    return (sys.executable, "-m", "pytest", *options, *arguments)


def _beside(python: str, tool: str) -> str:
    """Return the path of a tool in the virtual environment to which `python` belongs."""
    return str(Path(python).with_name(tool))


def run_checks(
    *, project: Path, only: tuple[str, ...] = (), on_step: Callable[[StepResult], None]
) -> tuple[StepResult, ...]:
    """Run every step, or the named ones, and return the results; `on_step` gets each at its end.

    Raises: UsageError for an unknown name.
    """
    steps = _steps()
    unknown = [name for name in only if name not in steps]
    if unknown:
        raise UsageError(
            f"there is no check {unknown[0]!r}{hints.did_you_mean(unknown[0], tuple(steps))}",
            hint=f"the checks are {', '.join(steps)}",
        )
    chosen = {name: step for name, step in steps.items() if not only or name in only}

    def run(name: str) -> StepResult:
        begun = time.monotonic()
        output = tuple(chosen[name](project))
        took = round(time.monotonic() - begun, 1)
        result = StepResult(name=name, passed=not output, duration_s=took, output=output)
        on_step(result)
        return result

    with parallel(2) as pool:
        return tuple(pool.map(run, chosen))


@contextlib.contextmanager
def parallel(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads for the block.

    When the block raises, processes that the pool's threads run are interrupted, and waiting tasks
    of the pool are cancelled.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            process.interrupt_running()
            raise


def run_core_tests(
    *, project: Path, long: bool, on_step: Callable[[StepResult], None]
) -> tuple[StepResult, ...]:
    """Run each test of the driver's core and return the results; `on_step` gets each of them.

    The long form fuzzes for minutes and gives the property test more examples.
    """
    fuzz_s, examples = ("300", "5000") if long else ("15", "400")
    targets = ("run-plain", "run-asan", "run-tsan", "layout", "mutants", "wakeup", "fuzz")
    steps: dict[str, tuple[str, ...]] = {
        target: (*_CORE, f"FUZZ_S={fuzz_s}", target) for target in targets
    }
    property_test = _pytest("tests/core", deadline_s=_PART_TEST_DEADLINE_S)
    steps["property"] = ("env", f"OSQ_EXAMPLES={examples}", *property_test)
    results = []
    for name, command in steps.items():
        begun = time.monotonic()
        written: list[str] = []
        output = tuple(_command(command, project, notes=written))
        took = round(time.monotonic() - begun, 1)
        figures = tuple(
            line for line in written if line.startswith(("# ", "ok - ", "ok 1 wakeup"))
        )
        results.append(
            StepResult(name=name, passed=not output, duration_s=took, output=output, notes=figures)
        )
        on_step(results[-1])
    return tuple(results)


def run_system_tests(*, project: Path, long: bool) -> StepResult:
    """Run tests/system (whole runs of the harness, some minutes), and return the result.

    `long` runs the tests in their long form, and those that take longest.
    """
    return _pytest_step("system", project, ("--long",) if long else ())


def run_debug_tests(*, project: Path, expression: str = "", short: bool = False) -> StepResult:
    """Run tests/debug, which attach real debuggers to real guests, and return the result.

    All tests take many minutes. The short form runs only the marked ones: each debugger once on
    one guest, which takes about a minute. `expression` selects tests as pytest's -k does.
    """
    options = ("-k", expression) if expression else ()
    return _pytest_step("debug", project, (*options, *(("-m", "short") if short else ())))


def run_packages_tests(*, project: Path, long: bool, expression: str = "") -> StepResult:
    """Run tests/packages, which makes, checks and installs packages, and return the result.

    `long` runs the tests in their long form, and those that take longest. `expression` selects
    tests as pytest's -k does.
    """
    options = (*(("--long",) if long else ()), *(("-k", expression) if expression else ()))
    return _pytest_step("packages", project, options)


def run_kvm_host_tests(*, project: Path) -> StepResult:
    """Run tests/kvm_host, the harness under KVM on an emulated host, and return the result."""
    return _pytest_step("kvm_host", project, ())


def run_kext_tests(*, project: Path, expression: str, long: bool) -> StepResult:
    """Run tests/kext, the kext's machine code under the emulator, and return the result.

    `expression` selects tests as pytest's -k does. `long` runs the tests in their long form.
    """
    options = (*(("-k", expression) if expression else ()), *(("--long",) if long else ()))
    return _pytest_step("kext", project, options)


def run_subscriber_tests(*, project: Path, long: bool) -> StepResult:
    """Run tests/subscriber, the subscriber on the driver's core, and return the result.

    The long form kills the subscriber a hundred times, and puts it under load for ten minutes.
    """
    return _pytest_step("subscriber", project, ("--long",) if long else ())


def _pytest_step(name: str, project: Path, options: tuple[str, ...]) -> StepResult:
    command = _pytest(f"tests/{name}", *options, deadline_s=_PART_TEST_DEADLINE_S)
    begun = time.monotonic()
    written: list[str] = []
    output = tuple(_command(command, project, notes=written, deadline_s=_PART_DEADLINE_S))
    took = round(time.monotonic() - begun, 1)
    return StepResult(
        name=name, passed=not output, duration_s=took, output=output, notes=tuple(written[-1:])
    )


def lines(step: StepResult) -> str:
    """Return a step's result as text: one line, and below it the end of its objections.

    A step without objections shows its measured figures instead, if it has any.
    """
    head = f"{'ok' if step.passed else 'FAILED':7} {step.name:14} {step.duration_s:6.1f} s"
    shown = step.output[-_MOST_LINES:] or step.notes
    return "\n".join((head, *(f"        {line}" for line in shown)))


def summary(steps: tuple[StepResult, ...], *, duration_s: float) -> str:
    """Return one line: the numbers of passed and failed steps, and the slowest steps."""
    bad = sum(not step.passed for step in steps)
    slowest = sorted(steps, key=lambda step: step.duration_s, reverse=True)[:3]
    named = ", ".join(f"{step.name} {step.duration_s:.0f} s" for step in slowest)
    counts = f"{len(steps) - bad} checks passed, {bad} failed"
    return f"{counts} in {duration_s:.0f} s (slowest: {named})"


def _command(
    command: tuple[str, ...],
    project: Path,
    *,
    notes: list[str] | None = None,
    deadline_s: float = _STEP_DEADLINE_S,
) -> Iterable[str]:
    """Run a command; return nothing if it succeeded, else its output or why it has not ended.

    Every line of its output is also added to `notes`.
    """
    try:
        ended = process.run(command, cwd=project, deadline_s=deadline_s)
    except FileNotFoundError:
        return [f"{command[0]} is not installed; ./dev installs it"]
    if notes is not None:
        notes += ended.lines
    if ended.status is None:
        return [*ended.lines, f"it did not finish within {deadline_s:.0f} s: {' '.join(command)}"]
    if ended.status == 0:
        return []
    return ended.lines or [f"{' '.join(command)} ended with status {ended.status}"]
