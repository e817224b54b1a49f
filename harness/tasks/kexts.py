# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""macOS kexts on Linux: judge a bundle."""

from pathlib import Path

from harness.tasks.common import TaskContext, task


@task(
    positional=["bundle"],
    short_flags=True,
    options_help={
        "bundle": "a folder NAME.kext",
        "last": "the last macOS that it claims (default: 15)",
    },
)
def kext_check(_context: TaskContext, bundle: str, last: str | None = None) -> int:
    """Say what the kernel's loader, or the builder of kernel collections, would refuse of BUNDLE.

    File type, load commands, kmod_info, relocations, and every symbol: in a library that
    Info.plist names, from the first macOS that it claims on. Exit code 1 for a refusal.
    """
    from harness.kext import check

    checked = check.check(Path(bundle), last=last)
    print("\n".join(check.lines(checked)))
    return 0 if checked.passed else 1
