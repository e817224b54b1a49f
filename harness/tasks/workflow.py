# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tasks of the documented workflow: build, load, test, unload."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, UsageError
from harness.tasks.common import RUN_HELP, VARIANT_HELP, TaskContext, help_for, task
from harness.tasks.execution import print_error
from harness.tasks.options import (
    BUILD_ALL,
    BUILD_ALONE,
    BUILD_FOR_GUEST,
    BUILD_KEXT,
    LOAD_AGAIN,
    LOAD_IN_GUEST,
    LOAD_ON_TARGET,
    TEST_COMMAND,
    TEST_IN_GUEST,
    TEST_LISTED,
    TEST_ON_TARGET,
    TEST_RECORDED,
    UNLOAD_ON_TARGET,
    check_options,
)
from harness.tasks.requests import request_from
from harness.tasks.targets import REBOOT_HELP, found_target, loading

if TYPE_CHECKING:
    from harness.model.request import KernelTestRequest
    from harness.model.settings import RunReport
    from harness.report.live_view import LiveView
    from harness.targets.target_file import RemoteSpec

FILE_HELP = {
    "file": "on a target that you boot: module to load (.kext, .ko); a Mac gets ours, built first"
}
_BUILD_HELP = {
    **help_for("target", "kernel", "build", "run-id"),
    **VARIANT_HELP,
    "all": "build for every kernel of the configuration, and print a table of them",
}
# The time in seconds after which a recorded guest is ended.
_RECORD_S = 300.0


@task(
    options_help=RUN_HELP | FILE_HELP,
    name="kernel-test",
    word="test",
    iterable=["test"],
    command="command",
)
def run_kernel_test(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    k: str = "",
    test: list[str] | None = None,
    list: bool = False,  # noqa: A002 - the option's name
    command: str = "",
    target: str | None = None,
    kernel: str | None = None,
    build: bool = False,
    cpus: str | None = None,
    memory: str | None = None,
    append: str = "",
    accel: str | None = None,
    uri: str | None = None,
    fresh: bool = False,
    keep: bool = False,
    share: str | None = None,
    writable: bool = False,
    watch: bool = False,
    last_failed: bool = False,
    repeat: int = 1,
    until_fail: bool = False,
    long: bool = False,
    crash_tests: bool = False,
    maxcrash: int = 3,
    no_vmcore: bool = False,
    control: bool = False,
    debug_on_crash: bool = False,
    debugger: str = "auto",
    record: str = "",
    run_id: str | None = None,
    verbose: bool = False,
    file: str = "",
) -> int:
    """Build the module, boot a guest, load the module, run the tests, and report a verdict.

    A TEST is a name that --list prints, a file or a suite. A COMMAND runs in a guest of its own
    instead, and its exit code decides. The second time the guest is restored, not booted. A guest
    that crashes is explained on one screen and replaced, and the other tests go on. Everything
    found lies in build/runs/RUN.
    """
    # This line is the first one, so that the options are the only local variables.
    options = locals()
    if record:
        asked = request_from(context, options)
        check_options(TEST_RECORDED, context.given)
        return _recorded(asked, record, context.view(verbose=verbose))
    remote = found_target(context, target)
    if list:
        check_options(TEST_LISTED, context.given)
        return _print_tests(request_from(context, options), remote)
    in_guest = TEST_COMMAND if command else TEST_IN_GUEST
    check_options(TEST_ON_TARGET if remote else in_guest, context.given)
    if watch:
        return _watch(context, options)
    if repeat != 1:
        return _repeat(context, options, repeat, until_fail=until_fail)
    return _run_once(context, options)


def _run_once(context: TaskContext, options: dict[str, Any]) -> int:
    """Run the tests once, print the summary, and return the exit code."""
    asked = request_from(context, options)
    if options["last_failed"]:
        asked = _last_failed(asked)
    remote = found_target(context, options["target"])
    with context.view(verbose=options["verbose"]) as view:
        if remote is not None:
            found = _on_target(context, asked, remote, options["file"], view)
        else:
            found = _in_guest(asked, view, control=options["control"])
    print_summary(context, found)
    return found.verdict.exit_code


def _last_failed(asked: "KernelTestRequest") -> "KernelTestRequest":
    """Return the request, limited to the tests that failed last, if any, and print their names."""
    from harness.runs import rerun

    narrowed = rerun.only_failed(asked)
    names = narrowed.selection.tests
    print(f"last failed: {', '.join(names) or 'none, so all tests run'}", flush=True)
    return narrowed


def _watch(context: TaskContext, options: dict[str, Any]) -> int:
    """Run the tests again after each change of a file; each run reads the configuration first.

    An error of a run is printed, and the next change starts another run.
    """
    from harness.runs import again

    known = context.settings

    def run() -> int:
        nonlocal known
        # A copy has no cached settings, so each run reads the configuration again.
        now = replace(context)
        try:
            # While the configuration cannot be read, the files of the last good one are watched.
            known = now.settings
            return _run_once(now, options)
        except HarnessError as error:
            print_error(error)
            return error.exit_code

    return again.watch(run, lambda: again.state(known), _say)


def _repeat(context: TaskContext, options: dict[str, Any], count: int, *, until_fail: bool) -> int:
    """Run the tests `count` times, with `until_fail` only until a run fails.

    Return the highest exit code of the runs.
    """
    from harness.runs import again

    if count < 1:
        raise UsageError(f"--repeat {count}: a number of runs from 1 on is expected")
    return again.repeat(lambda: _run_once(context, options), count, _say, until_fail=until_fail)


def _say(text: str) -> None:
    """Print a line at once, so that a pipe shows it while the command goes on."""
    print(text, flush=True)


def _print_tests(asked: "KernelTestRequest", remote: "RemoteSpec | None") -> int:
    """Print the tests that would run in a guest, or on a target that the user boots."""
    from harness.test_kinds import chosen

    suites = asked.suites_for(remote.system) if remote else asked.suites
    listed = chosen.choose(suites, asked.selection, build=asked.build)
    print("\n".join(chosen.lines(listed)))
    return 0


def _in_guest(asked: "KernelTestRequest", view: "LiveView", *, control: bool) -> "RunReport":
    """Run the tests in a guest; with `control`, repeat undecided crashes without the module."""
    from harness.runs import control_run, kernel_test

    return control_run.run(asked, view) if control else kernel_test.run(asked, view)


def print_summary(context: TaskContext, found: "RunReport") -> None:
    """Print the verdict of a run, its bad tests and its folder, and how to reach a kept guest."""
    from harness.guest import manage
    from harness.report import run_report

    kept = manage.if_kept(context.environment, found.run_id)
    print("\n".join((*kept, *run_report.summary_lines(found))))


def _recorded(asked: "KernelTestRequest", test: str, shown: "LiveView") -> int:
    from harness.record import record_run, record_test

    with shown as view:
        found = record_test.run(asked, test, deadline_s=_RECORD_S, view=view)
        print("\n".join(record_run.summary(found.recorded)))
        print(f"{found.result.verdict.value}: {found.result.name}: {found.result.reason}")
    return found.exit_code


def _on_target(
    context: TaskContext,
    asked: "KernelTestRequest",
    target: "RemoteSpec",
    file: str,
    view: "LiveView",
) -> "RunReport":
    """Run the tests on a target that the user boots."""
    from harness.runs import on_target

    test = on_target.RemoteTest(
        loading=loading(context, target, file, reboot=False, say=view.note),
        settings=asked.settings,
        environment=asked.environment,
        suites=asked.suites_for(target.system),
        selection=asked.selection,
        run_id=asked.run_id,
    )
    return on_target.run(test, view)


@task(options_help=_BUILD_HELP)
def kernel_build(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    target: str | None = None,
    kernel: str | None = None,
    build: bool = False,
    variant: str | None = None,
    all: bool = False,  # noqa: A002
    run_id: str | None = None,
) -> int:
    """Build the module for a target's kernel, or for the macOS target the kext (on Linux).

    The variables KDIR, ARCH, CROSS_COMPILE, LLVM, CC, W, C and V of the environment apply. The
    path of the module with symbols is printed; with --all, a table of every configured kernel. A
    build for a kernel of [tool.harness.builds] leaves a report in build/runs/RUN, as tests do.
    """
    options = locals()
    if all:
        check_options(BUILD_ALL, context.given)
        return _build_all(context)
    from harness.kext import build as kext_build
    from harness.kext import kexts

    kext = context.settings.kext
    if kext and kext.target == target:
        check_options(BUILD_KEXT, context.given)
        print("\n".join(kext_build.lines(kexts.build_all(kext))))
        return 0
    if kernel in context.settings.builds:
        check_options(BUILD_ALONE, context.given)
        return _build_alone(context, kernel, request_from(context, options))
    check_options(BUILD_FOR_GUEST, context.given)
    from harness.runs import kernel_test

    with context.view() as view:
        built = kernel_test.built_module(request_from(context, options), view)
    print(built.debug)
    return 0


def _build_alone(context: TaskContext, kernel: str, asked: "KernelTestRequest") -> int:
    """Build the module for a kernel that no guest boots, print a summary, return the exit code."""
    from harness.runs import build_run

    with context.view() as view:
        found = build_run.run(asked, kernel, view)
    print_summary(context, found)
    return found.verdict.exit_code


def _build_all(context: TaskContext) -> int:
    """Build the module for every configured kernel, print the table, and return the exit code."""
    from harness.artefacts import build_matrix

    with context.view() as view:
        found = tuple(build_matrix.build_all(context.settings, context.environment, view.note))
    print(build_matrix.table(found), end="")
    return build_matrix.worst(found)


def _load(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    target: str | None = None,
    kernel: str | None = None,
    build: bool = False,
    cpus: str | None = None,
    memory: str | None = None,
    append: str = "",
    accel: str | None = None,
    uri: str | None = None,
    fresh: bool = False,
    share: str | None = None,
    writable: bool = False,
    run: str = "",
    file: str = "",
    reboot: bool = False,
) -> int:
    """Start a guest with the module loaded and leave it up, or load it on a target of the user's.

    With --run the module, as it is now, takes the place of the one in a guest that was left up.
    On a Mac the exit code is 2 when somebody has to approve the kext or restart the Mac.
    """
    from harness.guest import manage
    from harness.runs import kernel_test

    if run:
        check_options(LOAD_AGAIN, context.given)
        return _load_again(request_from(context, {}), run, context.view())
    remote = found_target(context, target)
    check_options(LOAD_ON_TARGET if remote else LOAD_IN_GUEST, context.given)
    if remote is not None:
        return _load_on(context, remote, file, reboot=reboot)
    request = replace(request_from(context, locals()), keep=True)
    with context.view() as view, kernel_test.load_guest(request, view) as loaded:
        entry = loaded.session.entry
    print("\n".join(manage.how_to_reach(entry)))
    return 0


_LOAD_HELP = {
    **help_for(
        *("target", "kernel", "build", "cpus", "memory", "append"),
        *("accel", "uri", "fresh", "share", "writable"),
    ),
    "run": "load into this guest that was left up: the name of its run, or the end of it",
    **FILE_HELP,
    **REBOOT_HELP,
}
kernel_test_load = task(
    name="kernel-test-load", aliases=["load"], word="target", options_help=_LOAD_HELP
)(_load)
# This is the task kernel-load with the target as a word, as the documented workflow writes it.
kernel_load = task(name="kernel-load", positional=["target"], options_help=_LOAD_HELP)(_load)


def _load_again(asked: "KernelTestRequest", run: str, shown: "LiveView") -> int:
    """Replace the module in a guest that was left up by one built now; print how to reach it."""
    from harness.guest import manage
    from harness.runs import reload

    with shown as view:
        entry = reload.load_again(asked, run, view)
    print("\n".join(manage.how_to_reach(entry)))
    return 0


def _load_on(context: TaskContext, target: "RemoteSpec", file: str, *, reboot: bool) -> int:
    """Load the module on a target that the user boots, and print where it lies in memory."""
    from harness.targets import workflow

    asked = loading(context, target, file, reboot=reboot, say=print)
    found = workflow.load(asked, print)
    places = ", ".join(f"{name} at {at:#x}" for name, at in found.sections.items())
    print(f"loaded {found.name} on {target.name}" + (f" ({places})" if places else ""))
    return 0


@task(
    word="run",
    short_flags=True,
    options_help={
        "run": "the guest's run: its name, or the end of it (default: the only one)",
        "target": "a target that you boot, instead of a guest that was left up",
    },
)
def kernel_test_unload(context: TaskContext, run: str = "", target: str = "") -> int:
    """Unload the module in a guest that was left up; while it is busy, try again."""
    from harness.guest import manage
    from harness.targets import workflow

    remote = found_target(context, target) if target else None
    if remote is not None:
        check_options(UNLOAD_ON_TARGET, context.given)
        workflow.unload(remote, context.settings.module)
        print("unloaded")
        return 0
    if target:
        raise UsageError(
            f"{target} is no target that you boot", hint="--run names a guest of the harness"
        )
    manage.unload(context.environment, context.settings, run)
    print("unloaded")
    return 0
