# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks about this host and a new project: doctor, setup, init."""

import sys
from pathlib import Path

from harness.errors import UsageError
from harness.tasks.common import TaskContext, task
from harness.tasks.execution import print_error

_MODULE_HELP = "folder, dkms.conf, or a package NAME-dkms of Debian (default: the current folder)"


@task()
def doctor(context: TaskContext) -> int:
    """Report what this host can do, what it lacks, and how to fix that."""
    from harness.host import doctor as host_doctor

    findings = host_doctor.examine(context.environment.cache)
    for finding in findings:
        print("\n".join(host_doctor.lines(finding)))
    return 0 if host_doctor.usable(findings) else 2


@task(
    word="task",
    options_help={
        "task": "install what this task needs, too (for example debug-attach)",
        "yes": "do not ask",
    },
)
def setup(_context: TaskContext, task: str = "", yes: bool = False) -> int:
    """Install the missing system packages; on a terminal, ask first."""
    from harness.host import system_packages

    groups = system_packages.groups_of(task)
    wanted = [one for one in system_packages.listed() if one.group in groups]
    missing = system_packages.missing(wanted)
    for one in missing:
        print(f"missing  {one.name:28} {one.reason}")
    if not missing:
        print("nothing is missing")
        return 0
    if not yes and not _agreed():
        raise UsageError("nothing was installed")
    system_packages.install(missing, print)
    return 0


def _agreed() -> bool:
    """Return whether the user agrees to an installation; without a terminal, return True."""
    if not sys.stdin.isatty():
        print("there is no terminal to ask on: they will be installed")
        return True
    return input("install them? [y/N] ").lower().startswith("y")


@task(word="module", options_help={"module": _MODULE_HELP})
def init(context: TaskContext, module: str = "") -> int:
    """Write a configuration and a first test for a module, and report how it is built.

    The module is built to try the configuration. If MODULE is a package NAME-dkms, its source is
    unpacked into the current folder, and the package is not installed.
    """
    from harness.artefacts import project_init

    with context.view() as view:
        found = project_init.init(
            module, here=Path.cwd(), environment=context.environment, progress=view.note
        )
    print("\n".join(found.lines))
    if found.error is not None:
        print_error(found.error)
        return found.error.exit_code
    return 0
