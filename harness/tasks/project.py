# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tasks that check and test this project itself; they do not exist in other projects.

They act on this checkout, whatever the folder from which they are called.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.tasks.common import RUN_HELP, TaskContext, task

if TYPE_CHECKING:
    from harness.project import checks

ROOT = Path(__file__).resolve().parents[2]


@task(
    iterable=["only"],
    short_flags=True,
    options_help={"only": "run only the step of this name (may be repeated)"},
)
def check(_context: TaskContext, only: list[str] | None = None) -> int:
    """Run every check that needs no guest: lint, types, C style, unit and core tests, text, site.

    Each line has the seconds that the check took; CONTRIBUTING.md lists what is usual.
    """
    from harness.project import checks

    begun = time.monotonic()
    results = checks.run_checks(project=ROOT, only=tuple(only or ()), on_step=_say)
    print(checks.summary(results, duration_s=time.monotonic() - begun))
    return 0 if all(step.passed for step in results) else 1


@task()
def checkpatch(context: TaskContext) -> int:
    """Run the kernel's checkpatch.pl over kernel/; the script is fetched once (140 MB)."""
    from harness.project import c_checks

    found = c_checks.checkpatch(
        ROOT, cache=context.environment.cache, progress=lambda text: print(text, flush=True)
    )
    print("\n".join(found) if found else "checkpatch: nothing to object to")
    return 1 if found else 0


@task(short_flags=True, options_help={"long": "fuzz for minutes, more examples"})
def core_test(_context: TaskContext, long: bool = False) -> int:
    """Test the driver's core in a process: tests, sanitizers, every state, mutants, fuzzing.

    The same stress must fail on a model of osquery's original queue. About 2 minutes.
    """
    from harness.project import checks

    results = checks.run_core_tests(project=ROOT, long=long, on_step=_say)
    bad = [step.name for step in results if not step.passed]
    print(f"verdict: {'failed: ' + ', '.join(bad) if bad else 'passed'}")
    return 1 if bad else 0


@task(
    short_flags=True,
    options_help={"full": "all rings, producers and sizes: some minutes instead of one"},
)
def bench_ring(context: TaskContext, full: bool = False) -> int:
    """Measure the ring beside its rivals in one run: ns for a record, losses, ratios with spread.

    The rivals are the original extension's queue, LTTng-UST, DPDK's rte_ring, and the floor: one
    copy, one clock read, two lock pairs. build/bench has the figures as JSON and a plot as SVG.
    """
    from harness.project.bench import ring

    results = ring.run(
        project=ROOT,
        form="full" if full else "short",
        cache=context.environment.cache,
        progress=lambda text: print(text, flush=True),
    )
    print("\n".join(ring.lines(results)))
    return 0 if ring.is_exact(results) else 1


@task(
    short_flags=True,
    options_help={"long": "kill the daemon 100 times, load it for 10 minutes"},
)
def subscriber_test(_context: TaskContext, long: bool = False) -> int:
    """Test the subscriber on the driver's core in one process: its database, queries and daemon.

    The extension that serves its tables to osquery is tested, too. About a minute; `check` runs it
    as well.
    """
    from harness.project import checks

    return _report(checks.run_subscriber_tests(project=ROOT, long=long))


@task(options_help={"k": RUN_HELP["k"]})
def debug_test(_context: TaskContext, k: str = "") -> int:
    """Drive real debuggers on real guests: tests/debug, about 10 minutes.

    It needs the kernel's symbols (kernel-symbols), gdb and lldb. `./dev` installs both debuggers.
    """
    from harness.project import checks

    return _report(checks.run_debug_tests(project=ROOT, expression=k))


@task(short_flags=True, options_help={"long": RUN_HELP["long"]})
def test(context: TaskContext, long: bool = False) -> int:
    """Run check, the guest tests on the default target, the harness as a whole, the packages.

    This is the README's test command. During the guest tests it runs tests/packages (made,
    checked, installed in a guest) and tests/system (a foreign module, bad input, kills, a
    recorded crash debugged backwards). After the guest tests it runs debug-test, in a short form
    without --long.
    """
    from harness.project import checks
    from harness.report import run_report
    from harness.runs import kernel_test
    from harness.tasks.requests import request_from

    if context.config is not None:
        raise UsageError("--config does not apply to the tests of this project itself")
    own = TaskContext(config=str(ROOT / "pyproject.toml"))
    steps = list(checks.run_checks(project=ROOT, only=(), on_step=_say))
    beside = {
        "packages (about 8 minutes)": partial(checks.run_packages_tests, long=long),
        "system (about 10 minutes)": partial(checks.run_system_tests, long=long),
    }
    # The guest tests leave a processor idle, so the parts without a live view run beside them.
    with checks.parallel(1) as pool:
        futures = [pool.submit(_part, name, run) for name, run in beside.items()]
        with own.view() as view:
            found = kernel_test.run(request_from(own, {"long": long}), view)
        print("\n".join(run_report.summary_lines(found)), flush=True)
        debug = partial(checks.run_debug_tests, short=not long)
        steps.append(_part("debug (about a minute)", debug))
        steps += [future.result() for future in futures]
    bad = sum(not step.passed for step in steps)
    counts = run_report.counts(found)
    print(f"{counts.passed + len(steps) - bad} passed, {counts.bad + bad} failed")
    return max(found.verdict.exit_code, 1 if bad else 0)


@task(options_help={"k": RUN_HELP["k"], "long": RUN_HELP["long"]})
def kext_test(_context: TaskContext, k: str = "", long: bool = False) -> int:
    """Run the kext's own machine code on a model of the kernel functions that checks their rules.

    tests/kext, a minute of processor time: device, accounting, reloads, each function failing,
    planted faults, x86_64 and arm64, real threads. Nothing of it is verified on hardware.
    """
    from harness.project import checks

    return _report(checks.run_kext_tests(project=ROOT, expression=k, long=long))


@task(options_help={"long": RUN_HELP["long"], "k": RUN_HELP["k"]})
def packages_test(_context: TaskContext, long: bool = False, k: str = "") -> int:
    """Make packages, check them, and install them in a guest: tests/packages, about a minute.

    The long form installs, upgrades, changes the kernel and purges on Debian 12 and 13, half an
    hour when emulated; it needs lintian and rpmlint, too.
    """
    from harness.project import checks

    return _report(checks.run_packages_tests(project=ROOT, long=long, expression=k))


@task()
def kvm_host_test(_context: TaskContext) -> int:
    """Run the installed harness under KVM on an emulated host: tests/kvm_host, half an hour.

    QEMU's emulator has AMD's virtualization, so this needs no KVM. The first call makes the image
    of that host, five minutes more.
    """
    from harness.project import checks

    return _report(checks.run_kvm_host_tests(project=ROOT))


def _part(name: str, run: "Callable[..., checks.StepResult]") -> "checks.StepResult":
    """Run one part of `test`, print its result and return it."""
    # A part prints nothing else before its end, which is minutes away.
    print(f"begun   {name}", flush=True)
    step = run(project=ROOT)
    _say(step)
    return step


def _report(step: "checks.StepResult") -> int:
    """Print how a step ended, and return the exit code."""
    _say(step)
    return 0 if step.passed else 1


def _say(step: "checks.StepResult") -> None:
    from harness.project import checks

    print(checks.lines(step), flush=True)


@task(
    positional=["number"],
    options_help={
        "number": "the version, three numbers with dots",
        "out": "folder for the files (default: build/release/NUMBER)",
        "skip-packages": "build the wheel and the source archive alone",
    },
)
def release(_context: TaskContext, number: str, out: str = "", skip_packages: bool = False) -> int:
    """Cut a release: version, changelog, commit and tag; then build everything from the tag.

    Nothing is pushed. If a step fails, the commit and the tag are taken back. Packages take some
    minutes, because a module is built for each kernel of [tool.harness.packages].
    """
    from harness.project import cut_release

    request = cut_release.ReleaseRequest(
        project=ROOT,
        number=number,
        out=Path(out).absolute() if out else ROOT / "build" / "release" / number,
        packages=not skip_packages,
    )
    files = cut_release.cut(request, lambda text: print(text, flush=True))
    print(*files, sep="\n")
    print(f"tagged v{number}; to publish it: git push origin HEAD v{number}")
    return 0
