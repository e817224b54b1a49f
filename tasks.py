# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commands: arguments in, one call of the library, exit code out.

`./dev TASK...` installs what is missing and then runs these; `invoke --help TASK` teaches one.
Exit codes: 0 passed, 1 failed, 2 usage or configuration, 3 the guest crashed, 4 lost.
"""

import functools
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from harness import checks, config, guests, image, kernel_test, live, report
from harness import doctor as host_doctor
from harness import nightly as matrix
from harness.errors import HarnessError, UsageError
from harness.model import Accel, Settings
from harness.suites import Selection

ROOT = Path(__file__).resolve().parent
RUN_HELP = {
    "k": "run only tests that match this pytest expression",
    "target": "target of [tool.harness.targets] to test on (default: default_target)",
    "kernel": "kernel of [tool.harness.kernels] to use instead of the target's own",
    "accel": "kvm or tcg; without it KVM is used where it truly works",
    "uri": "libvirt URI to use as it is, instead of a private daemon",
    "fresh": "boot the guest instead of restoring it",
    "keep": "leave the guest up at the end and print how to reach it",
    "share": "host folder that the guest mounts read-only at /mnt/share",
    "long": "run tests in their long form",
    "config": "pyproject.toml to go by (default: the nearest one with [tool.harness])",
    "run-id": "name of the run's folder (default: made from the time)",
    "verbose": "show every console line",
}
VARIANT_HELP = {"variant": "build this one of [tool.harness.module.variants] instead"}


def _help(*names: str) -> dict[str, str]:
    return {name: RUN_HELP[name] for name in names}


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Turn errors into a message with a hint, and the returned number into the exit code."""

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _terminate)
        try:
            code = function(*arguments, **options)
        except HarnessError as error:
            _print_error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            code = 130
        raise Exit(code=code)

    return wrapped


def _print_error(error: HarnessError) -> None:
    for line in error.evidence:
        print(f"  | {line}", file=sys.stderr)
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def _view(*, verbose: bool) -> live.LiveView:
    environment = config.environment()
    plain = environment.ci or verbose or not sys.stdout.isatty()
    return live.PlainView(verbose=verbose) if plain else live.RichView(color=environment.color)


def _environment() -> config.Environment:
    return config.environment()


def _settings(file: str | None) -> Settings:
    return config.load(Path(file) if file else config.find_file(Path.cwd()))


def _request(options: dict[str, Any]) -> kernel_test.KernelTestRequest:
    accel = options.get("accel")
    if accel not in {None, "kvm", "tcg"}:
        raise UsageError(f"--accel {accel}: kvm or tcg is expected")
    share = options.get("share")
    if share is not None and not Path(share).is_dir():
        raise UsageError(f"--share {share}: no such folder")
    return kernel_test.KernelTestRequest(
        settings=_settings(options.get("config")),
        environment=config.environment(),
        target_name=options.get("target"),
        kernel_name=options.get("kernel"),
        selection=Selection(expression=options.get("k") or "", long=bool(options.get("long"))),
        accel=Accel(accel) if accel else None,
        uri=options.get("uri"),
        fresh=bool(options.get("fresh")),
        keep=bool(options.get("keep")),
        share=Path(share).resolve() if share else None,
        run_id=options.get("run_id"),
        variant=options.get("variant"),
    )


# --- the documented workflow ---------------------------------------------------------------------


@task(help=RUN_HELP, auto_shortflags=False, name="kernel-test")
@command
def run_kernel_test(  # noqa: PLR0913, PLR0917
    _c: Context,
    k: str = "",
    target: str | None = None,
    kernel: str | None = None,
    accel: str | None = None,
    uri: str | None = None,
    fresh: bool = False,
    keep: bool = False,
    share: str | None = None,
    long: bool = False,
    config: str | None = None,
    run_id: str | None = None,
    verbose: bool = False,
) -> int:
    """Build the module, boot a guest, load it, run the tests, end in a verdict.

    The second time the guest is restored, not booted. Everything found lies in build/runs/RUN.
    """
    with _view(verbose=verbose) as view:
        found = kernel_test.run(_request(locals()), view)
    print("\n".join((*guests.if_kept(_environment(), found.run_id), *report.summary_lines(found))))
    return found.verdict.exit_code


@task(help=_help("target", "kernel", "config") | VARIANT_HELP, auto_shortflags=False)
@command
def kernel_build(
    _c: Context,
    target: str | None = None,
    kernel: str | None = None,
    variant: str | None = None,
    config: str | None = None,
) -> int:
    """Build the module for a target's kernel; KDIR, ARCH, CROSS_COMPILE, LLVM, CC, W, C, V pass.

    Prints the path of the module with symbols.
    """
    with _view(verbose=False) as view:
        built = kernel_test.built_module(_request(locals()), view)
    print(built.debug)
    return 0


@task(help=_help("target", "kernel", "accel", "uri", "fresh", "share", "config"))
@command
def kernel_test_load(  # noqa: PLR0913, PLR0917
    _c: Context,
    target: str | None = None,
    kernel: str | None = None,
    accel: str | None = None,
    uri: str | None = None,
    fresh: bool = False,
    share: str | None = None,
    config: str | None = None,
) -> int:
    """Start a guest with the module loaded, and leave it up."""
    request = replace(_request(locals()), keep=True)
    with _view(verbose=False) as view, kernel_test.standing_guest(request, view) as standing:
        life = standing.session.life
    print("\n".join(guests.how_to_reach(life)))
    return 0


@task(positional=["target"], help=_help("target", "kernel", "config"))
@command
def kernel_load(
    c: Context, target: str, kernel: str | None = None, config: str | None = None
) -> int:
    """Load the module on TARGET and leave it loaded (kernel-test-load, by the target's name)."""
    request = replace(_request(locals()), keep=True)
    with _view(verbose=False) as view, kernel_test.standing_guest(request, view) as standing:
        life = standing.session.life
    print("\n".join(guests.how_to_reach(life)))
    return 0


@task(
    positional=["run"],
    help={"run": "the guest's run (default: the only one)", "config": RUN_HELP["config"]},
)
@command
def kernel_test_unload(_c: Context, run: str = "", config: str | None = None) -> int:
    """Unload the module in a guest that was left up, again and again while it is busy."""
    guests.unload(_environment(), _settings(config), run)
    print("unloaded")
    return 0


# --- guests and images ---------------------------------------------------------------------------


@task
@command
def guest_list(_c: Context) -> int:
    """List the guests that runs of this user have now."""
    rows = guests.table(_environment())
    print("\n".join(rows) if rows else "no guest")
    return 0


@task(help={"run": "which guest", "command": "run this"})
@command
def guest_ssh(_c: Context, run: str = "", command: str = "") -> int:
    """Open a shell in a guest, or run one command there."""
    line = guests.ssh_command(guests.chosen(_environment(), run), command)
    return subprocess.run(line, check=False).returncode


@task(help={"run": "which guest"})
@command
def guest_console(_c: Context, run: str = "") -> int:
    """Show a guest's console from its first byte and go on with it; Ctrl-C leaves."""
    for text in guests.console(guests.chosen(_environment(), run)):
        print(text, flush=True)
    return 0


@task(help={"run": "which guest", "all": "every guest"})
@command
def guest_stop(_c: Context, run: str = "", all: bool = False) -> int:  # noqa: A002
    """Stop a guest that was left up, and remove its files."""
    for line in guests.stop(_environment(), run, every=all):
        print(line)
    return 0


@task(help={"name": "image (default: every target's)"})
@command
def image_build(_c: Context, name: str = "", config: str | None = None) -> int:
    """Bootstrap a guest image into the cache, where it is not there already."""
    settings = _settings(config)
    names = (name,) if name else sorted({target.image for target in settings.targets.values()})
    with _view(verbose=False) as view:
        for one in names:
            spec = image.load_spec(settings.images, one)
            print(image.ensure(spec, root=_environment().cache, progress=view.note).disk)
    return 0


@task
@command
def image_list(_c: Context) -> int:
    """List what the cache holds: images, kernels, snapshots, their sizes and last use."""
    print("\n".join(guests.cache_table(_environment())))
    return 0


@task(help={"all": "images, kernels and snapshots too", "runs": "folders of finished runs too"})
@command
def clean(_c: Context, all: bool = False, runs: bool = False) -> int:  # noqa: A002
    """Remove what killed runs left behind; with --all the whole cache, with --runs old results."""
    for line in guests.clean(_environment(), _settings(None).root, cache=all, runs=runs):
        print(line)
    return 0


# --- checks --------------------------------------------------------------------------------------


@task
@command
def doctor(_c: Context) -> int:
    """Say what this host can do, what it lacks, and what mends that."""
    findings = host_doctor.examine(_environment().cache)
    for finding in findings:
        print("\n".join(host_doctor.lines(finding)))
    return 0 if host_doctor.usable(findings) else 2


@task(iterable=["only"], help={"only": "run only the step of this name (may be repeated)"})
@command
def check(_c: Context, only: list[str] | None = None) -> int:
    """Lint, types, import direction, C style, unit and core tests: all that needs no guest."""
    results = checks.run_checks(
        project=ROOT, only=tuple(only or ()), on_step=lambda step: print(checks.lines(step))
    )
    return 0 if all(step.passed for step in results) else 1


@task(help={"long": "fuzz for minutes, more examples"})
@command
def core_test(_c: Context, long: bool = False) -> int:
    """Prove the driver's core in a process: tests, sanitizers, all states, mutants, fuzzing.

    Also the same stress on a model of the original's queue, which fails it. About 2 minutes.
    """
    results = checks.run_core_tests(
        project=ROOT, long=long, on_step=lambda step: print(checks.lines(step), flush=True)
    )
    bad = [step.name for step in results if not step.passed]
    print(f"verdict: {'failed: ' + ', '.join(bad) if bad else 'passed'}")
    return 1 if bad else 0


@task(help={"long": RUN_HELP["long"]})
@command
def test(_c: Context, long: bool = False) -> int:
    """Run check, the guest tests on the default target, then the harness itself as a whole.

    The README's test command. The last part is tests/system: a foreign module, bad input, kills.
    """
    steps = checks.run_checks(project=ROOT, only=(), on_step=lambda s: print(checks.lines(s)))
    with _view(verbose=False) as view:
        found = kernel_test.run(_request({"long": long}), view)
    print("\n".join(report.summary_lines(found)))
    whole = checks.run_system_tests(project=ROOT, long=long)
    print(checks.lines(whole))
    all_steps = (*steps, whole)
    bad = sum(not step.passed for step in all_steps)
    counts = report.counts(found)
    print(f"{counts.passed + len(all_steps) - bad} passed, {counts.bad + bad} failed")
    return max(found.verdict.exit_code, 1 if bad else 0)


@task(help={"long": RUN_HELP["long"], "deadline": "seconds for one cell (default: an hour)"})
@command
def nightly(_c: Context, long: bool = False, deadline: float = 3600.0) -> int:
    """Run kernel-test on every target and kernel that the configuration lists for the night."""
    reports = []
    for cell, found in matrix.run(_settings(None), long=long, deadline_s=deadline):
        print(f"{cell.name}: {found.verdict.value} ({found.reason})", flush=True)
        reports.append(found)
    folder = ROOT / "build" / "nightly" / time.strftime("%Y%m%d-%H%M%S")
    print(*matrix.write(tuple(reports), folder), sep="\n")
    return matrix.exit_code(tuple(reports))
