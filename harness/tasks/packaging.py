# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Packages of the driver and its tools, for machines that are no guests."""

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from harness import checks, signing
from harness import packages as release
from harness.errors import UsageError
from harness.tasks.common import (
    ROOT,
    RUN_HELP,
    command,
    current_environment,
    load_settings,
    view_for,
)

_HELP = {
    "kernel": "kernel of [tool.harness.kernels] to build the module for (may be repeated)",
    "skip-kernel": "make the user-land packages alone, as SKIP_KERNEL=1 does",
    "key": "private key (PEM, mode 0600) to sign modules with; without it, one of your own",
    "certificate": "its certificate (DER)",
    "out": "folder for the files, emptied first (default: build/packages/VERSION)",
    "config": RUN_HELP["config"],
}


@task(iterable=["kernel"], help=_HELP, auto_shortflags=False)
@command
def packages(
    _c: Context,
    kernel: list[str] | None = None,
    skip_kernel: bool = False,
    key: str = "",
    certificate: str = "",
    out: str = "",
    config: str | None = None,
) -> int:
    """Make a release: Debian packages, the source, an rpm spec; signed, checked, reproducible.

    DKMS source, a signed module for each kernel, the tools, the library and its headers. A file
    with a trace of the test build is refused. SKIP_KERNEL=1 leaves out what is for the kernel.
    """
    if bool(key) != bool(certificate):
        raise UsageError("--key and --certificate belong together")
    environment = current_environment()
    request = release.PackagesRequest(
        settings=load_settings(config),
        environment=environment,
        kernels=tuple(kernel or ()),
        skip_kernel=skip_kernel or environment.skip_kernel,
        key=signing.given(Path(key), Path(certificate)) if key else None,
        out=Path(out).absolute() if out else None,
    )
    with view_for(verbose=False) as view:
        made = release.make(request, view.note)
    print(*made.files, sep="\n")
    if made.certificate is not None:
        print(*signing.enrolment(made.certificate), sep="\n")
    return 0


@task(help={"long": RUN_HELP["long"], "k": RUN_HELP["k"]}, auto_shortflags=False)
@command
def packages_test(_c: Context, long: bool = False, k: str = "") -> int:
    """Make packages, check them, and install them in a guest: tests/packages, about a minute.

    The long form installs, upgrades, changes the kernel and purges on Debian 12 and 13, half an
    hour when emulated; it needs lintian and rpmlint, too.
    """
    step = checks.run_packages_tests(project=ROOT, long=long, expression=k)
    print(checks.lines(step))
    return 0 if step.passed else 1
