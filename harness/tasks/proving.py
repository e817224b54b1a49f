# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the host can do, and every check and test of the project itself."""

import time
from functools import partial

from invoke.context import Context
from invoke.tasks import task

from harness import c_checks, checks, kernel_test, report
from harness import doctor as host_doctor
from harness import nightly as matrix
from harness.tasks.common import (
    ROOT,
    RUN_HELP,
    command,
    current_environment,
    load_settings,
    request_from,
    view_for,
)


@task
@command
def doctor(_c: Context) -> int:
    """Say what this host can do, what it lacks, and what mends that."""
    findings = host_doctor.examine(current_environment().cache)
    for finding in findings:
        print("\n".join(host_doctor.lines(finding)))
    return 0 if host_doctor.usable(findings) else 2


@task(iterable=["only"], help={"only": "run only the step of this name (may be repeated)"})
@command
def check(_c: Context, only: list[str] | None = None) -> int:
    """Lint, types, import direction, C style, unit and core tests: all that needs no guest."""
    results = checks.run_checks(
        project=ROOT,
        only=tuple(only or ()),
        on_step=_say,
    )
    return 0 if all(step.passed for step in results) else 1


@task
@command
def checkpatch(_c: Context) -> int:
    """Run the kernel's checkpatch.pl over kernel/; the script is fetched once (140 MB)."""
    found = c_checks.checkpatch(
        ROOT, cache=current_environment().cache, progress=lambda text: print(text, flush=True)
    )
    print("\n".join(found) if found else "checkpatch: nothing to object to")
    return 1 if found else 0


@task(help={"long": "fuzz for minutes, more examples"})
@command
def core_test(_c: Context, long: bool = False) -> int:
    """Prove the driver's core in a process: tests, sanitizers, all states, mutants, fuzzing.

    Also the same stress on a model of the original's queue, which fails it. About 2 minutes.
    """
    results = checks.run_core_tests(project=ROOT, long=long, on_step=_say)
    bad = [step.name for step in results if not step.passed]
    print(f"verdict: {'failed: ' + ', '.join(bad) if bad else 'passed'}")
    return 1 if bad else 0


@task(help={"long": "kill the daemon 100 times, load it for 10 minutes"})
@command
def subscriber_test(_c: Context, long: bool = False) -> int:
    """Prove the subscriber on the driver's core in a process: store, queries, daemon, extension.

    About a minute; `check` runs it, too.
    """
    step = checks.run_subscriber_tests(project=ROOT, long=long)
    print(checks.lines(step))
    return 0 if step.passed else 1


@task(help={"k": RUN_HELP["k"]}, auto_shortflags=False)
@command
def debug_test(_c: Context, k: str = "") -> int:
    """Drive real debuggers on real guests: tests/debug, about 10 minutes.

    It takes the kernel's symbols (kernel-symbols), gdb and lldb; `./dev` installs the latter.
    """
    step = checks.run_debug_tests(project=ROOT, expression=k)
    print(checks.lines(step))
    return 0 if step.passed else 1


@task(help={"long": RUN_HELP["long"]})
@command
def test(_c: Context, long: bool = False) -> int:
    """Run check, the guest tests on the default target, the harness as a whole, the packages.

    The README's test command. The last parts are the short form of debug-test, tests/system (a
    foreign module, bad input, kills, a recorded crash gone back in) and tests/packages (made,
    checked, installed in a guest).
    """
    steps = checks.run_checks(project=ROOT, only=(), on_step=_say)
    with view_for(verbose=False) as view:
        found = kernel_test.run(request_from({"long": long}), view)
    print("\n".join(report.summary_lines(found)))
    parts = {
        "debug (about a minute)": partial(checks.run_debug_tests, short=not long),
        "system (some 5 to 10 minutes)": partial(checks.run_system_tests, long=long),
        "packages (2 minutes)": partial(checks.run_packages_tests, long=long),
    }
    all_steps = list(steps)
    for name, run in parts.items():
        print(f"begun   {name}", flush=True)
        all_steps.append(run(project=ROOT))
        _say(all_steps[-1])
    bad = sum(not step.passed for step in all_steps)
    counts = report.counts(found)
    print(f"{counts.passed + len(all_steps) - bad} passed, {counts.bad + bad} failed")
    return max(found.verdict.exit_code, 1 if bad else 0)


@task(help={"long": RUN_HELP["long"], "deadline": "seconds for one cell (default: an hour)"})
@command
def nightly(_c: Context, long: bool = False, deadline: float = 3600.0) -> int:
    """Run kernel-test on every target and kernel listed for the night, then debug-test."""
    reports = []
    for cell, found in matrix.run(load_settings(None), long=long, deadline_s=deadline):
        print(f"{cell.name}: {found.verdict.value} ({found.reason})", flush=True)
        reports.append(found)
    folder = ROOT / "build" / "nightly" / time.strftime("%Y%m%d-%H%M%S")
    print(*matrix.write(tuple(reports), folder), sep="\n")
    debug = checks.run_debug_tests(project=ROOT)
    print(checks.lines(debug))
    return max(matrix.exit_code(tuple(reports)), 0 if debug.passed else 1)


def _say(step: checks.StepResult) -> None:
    print(checks.lines(step), flush=True)
