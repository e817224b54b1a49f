# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Packages of the driver and its tools, for machines that are no guests."""

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from harness.errors import UsageError
from harness.model.settings import Settings
from harness.release import kext_release, signing
from harness.release import packages as release
from harness.release.kext_release import KextReleaseRequest
from harness.tasks.common import (
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
    "target": "macos: the kext and its installer as an archive, instead of Debian packages",
    "file": "with --target macos: pack this kext, which a Mac has linked, as it is",
    "identity": "with --target macos: whom Apple's codesign signs for (on a Mac)",
    "config": RUN_HELP["config"],
}


@task(iterable=["kernel"], help=_HELP, auto_shortflags=False)
@command
def packages(  # noqa: PLR0913, PLR0917
    _c: Context,
    kernel: list[str] | None = None,
    skip_kernel: bool = False,
    key: str = "",
    certificate: str = "",
    out: str = "",
    target: str = "",
    file: str = "",
    identity: str = "",
    config: str | None = None,
) -> int:
    """Make a release: Debian packages, the source, an rpm spec; signed, checked, reproducible.

    DKMS source, a signed module for each kernel, the tools, the library and its headers. A file
    with a trace of the test build is refused. SKIP_KERNEL=1 leaves out what is for the kernel.
    With --target macos: an archive of the kext with its installer, built here, and its symbols.
    """
    settings = load_settings(config)
    folder = Path(out).absolute() if out else None
    if target:
        _only_for_linux(settings, target, kernel or key or certificate or skip_kernel)
        given = Path(file).absolute() if file else None
        return _kext(
            KextReleaseRequest(settings=settings, given=given, identity=identity, out=folder)
        )
    if file or identity:
        raise UsageError("--file and --identity are for a kext", hint="add --target macos")
    if bool(key) != bool(certificate):
        raise UsageError("--key and --certificate belong together")
    environment = current_environment()
    request = release.PackagesRequest(
        settings=settings,
        environment=environment,
        kernels=tuple(kernel or ()),
        skip_kernel=skip_kernel or environment.skip_kernel,
        key=signing.key_from_files(Path(key), Path(certificate)) if key else None,
        out=folder,
    )
    with view_for(verbose=False) as view:
        made = release.make(request, view.note)
    print(*made.files, sep="\n")
    if made.certificate is not None:
        print(*signing.enrolment(made.certificate), sep="\n")
    return 0


def _only_for_linux(settings: Settings, target: str, given: object) -> None:
    """Return when a target is the kext's and no option of the module's is given with it."""
    known = settings.kext.target if settings.kext else "none is configured"
    if target != known:
        raise UsageError(
            f"--target {target}: packages for a target are those of the kext: {known}"
        )
    if given:
        raise UsageError(
            "--kernel, --skip-kernel, --key and --certificate are for Linux",
            hint="a kext is signed for an --identity, on a Mac",
        )


def _kext(request: KextReleaseRequest) -> int:
    with view_for(verbose=False) as view:
        made = kext_release.make(request, view.note)
    print(*made.files, *made.left, sep="\n")
    return 0
