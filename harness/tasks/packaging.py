# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The task that packages the driver and its tools for machines that are not guests."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.tasks.common import TaskContext, task
from harness.tasks.options import Mode, check_options

if TYPE_CHECKING:
    from harness.model.settings import Settings
    from harness.release import packages as release
    from harness.release.kext_release import KextReleaseRequest

_HELP = {
    "kernel": "kernel of [tool.harness.kernels] to build the module for (may be repeated)",
    "skip-kernel": "make the user-land packages alone, as SKIP_KERNEL=1 does",
    "key": "private key (PEM, mode 0600) to sign modules with; without it, one of your own",
    "certificate": "its certificate (DER)",
    "out": "folder for the files, emptied first (default: build/packages/VERSION)",
    "target": "macos: the kext and its installer as an archive, instead of Debian packages",
    "file": "with --target macos: pack this kext, which a Mac has linked, as it is",
    "identity": "with --target macos: whom Apple's codesign signs for (on a Mac)",
}
FOR_LINUX = Mode(
    when="to packages for Linux",
    takes="kernel skip-kernel key certificate out",
    refuses={"it is for a kext: add --target macos": "file identity target"},
)
FOR_MACOS = Mode(
    when="to the archive of a kext",
    takes="target file identity out",
    refuses={
        "it is for Linux; a kext is signed for an --identity, on a Mac": "kernel skip-kernel key "
        "certificate"
    },
)


@task(iterable=["kernel"], options_help=_HELP)
def packages(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    kernel: list[str] | None = None,
    skip_kernel: bool = False,
    key: str = "",
    certificate: str = "",
    out: str = "",
    target: str = "",
    file: str = "",
    identity: str = "",
) -> int:
    """Make a release: Debian packages, the source, an rpm spec; signed, checked, reproducible.

    DKMS source, a signed module for each kernel, the tools, the library and its headers. A file
    with a trace of the test build is refused. SKIP_KERNEL=1 leaves out what is for the kernel.
    With --target macos: an archive of the kext with its installer, built here, and its symbols.
    """
    from harness.release import packages as release
    from harness.release import signing
    from harness.release.kext_release import KextReleaseRequest

    settings, environment = context.settings, context.environment
    folder = Path(out).absolute() if out else None
    check_options(FOR_MACOS if target else FOR_LINUX, context.given)
    if target:
        _check_kext_target(settings, target)
        given = Path(file).absolute() if file else None
        return _kext(
            context,
            KextReleaseRequest(settings=settings, given=given, identity=identity, out=folder),
        )
    if bool(key) != bool(certificate):
        raise UsageError("--key and --certificate belong together")
    request = release.PackagesRequest(
        settings=settings,
        environment=environment,
        kernels=tuple(kernel or ()),
        skip_kernel=skip_kernel or environment.skip_kernel,
        key=signing.key_from_files(Path(key), Path(certificate)) if key else None,
        out=folder,
    )
    return _make(context, request)


def _make(context: TaskContext, request: "release.PackagesRequest") -> int:
    """Make the release, and print its files and how to enrol its certificate."""
    from harness.release import packages as release
    from harness.release import signing

    with context.view() as view:
        made = release.make(request, view.note)
    print(*made.files, sep="\n")
    if made.certificate is not None:
        print(*signing.enrolment(made.certificate), sep="\n")
    return 0


def _check_kext_target(settings: "Settings", target: str) -> None:
    """Raise UsageError unless kexts are built for this target."""
    known = settings.kext.target if settings.kext else "none is configured"
    if target != known:
        raise UsageError(
            f"--target {target}: packages for a target are those of the kext: {known}"
        )


def _kext(context: TaskContext, request: "KextReleaseRequest") -> int:
    from harness.release import kext_release

    with context.view() as view:
        made = kext_release.make(request, view.note)
    print(*made.files, *made.left, sep="\n")
    return 0
