# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""From a module to a project that is tested."""

from pathlib import Path

from harness.tasks.common import TaskContext, task
from harness.tasks.execution import print_error

WHAT = "folder, dkms.conf, or a package NAME-dkms of Debian (default: the current folder)"


@task(word="module", options_help={"module": WHAT})
def init(context: TaskContext, module: str = "") -> int:
    """Write a configuration and a first test for a module, and say what was concluded.

    The module is built once. A package is fetched and unpacked into the current folder, and
    not installed.
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
