# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""macOS kexts on Linux: judge a bundle, and run the project's own under an emulator."""

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from harness import checks
from harness.kext import check
from harness.tasks.common import ROOT, RUN_HELP, command


@task(
    positional=["bundle"],
    help={"bundle": "a folder NAME.kext", "last": "the last macOS that it claims (default: 15)"},
)
@command
def kext_check(_c: Context, bundle: str, last: str | None = None) -> int:
    """Say what the kernel's loader, or the builder of kernel collections, would refuse of BUNDLE.

    File type, load commands, kmod_info, relocations, and every symbol: in a library that
    Info.plist names, from the first macOS that it claims on. Exit code 1 for a refusal.
    """
    checked = check.check(Path(bundle), last=last)
    print("\n".join(check.lines(checked)))
    return 0 if checked.passed else 1


@task(help={"k": RUN_HELP["k"], "long": RUN_HELP["long"]}, auto_shortflags=False)
@command
def kext_test(_c: Context, k: str = "", long: bool = False) -> int:
    """Run the kext's own machine code against modelled kernel functions that know their rules.

    tests/kext, a minute of processor time: device, accounting, reloads, each function failing,
    planted faults, x86_64 and arm64, real threads. Nothing of it is verified on hardware.
    """
    step = checks.run_kext_tests(project=ROOT, expression=k, long=long)
    print(checks.lines(step))
    return 0 if step.passed else 1
