# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The documented workflow: build, load, test, unload."""

from dataclasses import replace

from invoke.context import Context
from invoke.tasks import task

from harness.errors import UsageError
from harness.guest import manage
from harness.kext import build as kext_build
from harness.kext import kexts
from harness.model.request import KernelTestRequest
from harness.model.settings import RunReport
from harness.record import record_run, record_test
from harness.report import run_report
from harness.report.live_view import LiveView
from harness.runs import control_run as controlled
from harness.runs import kernel_test, on_target
from harness.targets import workflow
from harness.targets.target_file import RemoteSpec
from harness.tasks.common import (
    RUN_HELP,
    VARIANT_HELP,
    command,
    current_environment,
    help_for,
    load_settings,
    request_from,
    view_for,
)
from harness.tasks.targets import REBOOT_HELP, found_target, loading

FILE_HELP = {
    "file": "on a target that you boot: module to load (.kext, .ko); a Mac gets ours, built first"
}

# Of a guest that is recorded; one that goes on is ended there.
_RECORD_S = 300.0


@task(help=RUN_HELP | FILE_HELP, auto_shortflags=False, name="kernel-test")
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
    crash_tests: bool = False,
    maxcrash: int = 3,
    no_vmcore: bool = False,
    control: bool = False,
    debug_on_crash: bool = False,
    wait_crash: bool = False,
    debugger: str = "auto",
    record: str = "",
    config: str | None = None,
    run_id: str | None = None,
    verbose: bool = False,
    file: str = "",
) -> int:
    """Build the module, boot a guest, load it, run the tests, end in a verdict.

    The second time the guest is restored, not booted. A guest that crashes is explained on one
    screen and replaced, and the other tests go on. Everything found lies in build/runs/RUN.
    """
    with view_for(verbose=verbose) as view:
        asked = request_from(locals())
        if record:
            return _recorded(asked, record, view)
        remote = found_target(target, config)
        if remote is not None:
            found = _on_target(asked, remote, file, view)
        else:
            found = controlled.run(asked, view) if control else kernel_test.run(asked, view)
    print(
        "\n".join(
            (
                *manage.if_kept(current_environment(), found.run_id),
                *run_report.summary_lines(found),
            )
        )
    )
    return found.verdict.exit_code


def _recorded(asked: KernelTestRequest, test: str, view: LiveView) -> int:
    found = record_test.run(asked, test, deadline_s=_RECORD_S, view=view)
    print("\n".join(record_run.summary(found.recorded)))
    print(f"{found.result.verdict.value}: {found.result.name}: {found.result.reason}")
    return found.exit_code


def _on_target(
    asked: KernelTestRequest, target: RemoteSpec, file: str, view: LiveView
) -> RunReport:
    """Run the tests on a target that the user boots."""
    config = str(asked.settings.file)
    test = on_target.RemoteTest(
        loading=loading(target, config, file, reboot=False, say=view.note),
        settings=asked.settings,
        environment=asked.environment,
        suites=asked.suites_for(target.system),
        selection=asked.selection,
        run_id=asked.run_id,
    )
    return on_target.run(test, view)


def _load_on(target: RemoteSpec, file: str, config: str | None, *, reboot: bool) -> int:
    """Load the module on a target that the user boots, and say where it lies."""
    asked = loading(target, config, file, reboot=reboot, say=print)
    found = workflow.load(asked, print)
    places = ", ".join(f"{name} at {at:#x}" for name, at in found.sections.items())
    print(f"loaded {found.name} on {target.name}" + (f" ({places})" if places else ""))
    return 0


@task(help=help_for("target", "kernel", "config") | VARIANT_HELP, auto_shortflags=False)
@command
def kernel_build(
    _c: Context,
    target: str | None = None,
    kernel: str | None = None,
    variant: str | None = None,
    config: str | None = None,
) -> int:
    """Build the module for a target's kernel; KDIR, ARCH, CROSS_COMPILE, LLVM, CC, W, C, V pass.

    Prints the path of the module with symbols. With the macOS target: the kext, on Linux.
    """
    kext = load_settings(config).kext
    if kext and kext.target == target:
        print("\n".join(kext_build.lines(kexts.build_all(kext))))
        return 0
    with view_for(verbose=False) as view:
        built = kernel_test.built_module(request_from(locals()), view)
    print(built.debug)
    return 0


@task(
    help=help_for("target", "kernel", "accel", "uri", "fresh", "share", "config")
    | FILE_HELP
    | REBOOT_HELP,
    auto_shortflags=False,
)
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
    file: str = "",
    reboot: bool = False,
) -> int:
    """Start a guest with the module loaded, and leave it up; or load it on a target of yours.

    On a Mac the exit code is 2 when somebody has to approve the kext or restart it first.
    """
    remote = found_target(target, config)
    if remote is not None:
        return _load_on(remote, file, config, reboot=reboot)
    request = replace(request_from(locals()), keep=True)
    with view_for(verbose=False) as view, kernel_test.standing_guest(request, view) as standing:
        life = standing.session.life
    print("\n".join(manage.how_to_reach(life)))
    return 0


@task(
    positional=["target"],
    help=help_for("target", "kernel", "config") | FILE_HELP | REBOOT_HELP,
    auto_shortflags=False,
)
@command
def kernel_load(
    _c: Context,
    target: str,
    kernel: str | None = None,
    config: str | None = None,
    file: str = "",
    reboot: bool = False,
) -> int:
    """Load the module on TARGET and leave it loaded (kernel-test-load, by the target's name)."""
    remote = found_target(target, config)
    if remote is not None:
        return _load_on(remote, file, config, reboot=reboot)
    request = replace(request_from(locals()), keep=True)
    with view_for(verbose=False) as view, kernel_test.standing_guest(request, view) as standing:
        life = standing.session.life
    print("\n".join(manage.how_to_reach(life)))
    return 0


@task(
    positional=["run"],
    help={
        "run": "the guest's run (default: the only one)",
        "target": "a target that you boot, instead of a guest that was left up",
        "config": RUN_HELP["config"],
    },
)
@command
def kernel_test_unload(
    _c: Context, run: str = "", target: str = "", config: str | None = None
) -> int:
    """Unload the module in a guest that was left up, again and again while it is busy."""
    remote = found_target(target, config) if target else None
    if remote is not None:
        workflow.unload(remote, load_settings(config).module)
        print("unloaded")
        return 0
    if target:
        raise UsageError(
            f"{target} is no target that you boot", hint="--run names a guest of ours"
        )
    manage.unload(current_environment(), load_settings(config), run)
    print("unloaded")
    return 0
