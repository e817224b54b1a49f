# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the host can do, and the runs of a night."""

import time

from harness.model import build_folder
from harness.tasks.common import RUN_HELP, TaskContext, task


@task()
def doctor(context: TaskContext) -> int:
    """Say what this host can do, what it lacks, and what mends that."""
    from harness.host import doctor as host_doctor

    findings = host_doctor.examine(context.environment.cache)
    for finding in findings:
        print("\n".join(host_doctor.lines(finding)))
    return 0 if host_doctor.usable(findings) else 2


@task(
    short_flags=True,
    options_help={
        "long": RUN_HELP["long"],
        "deadline": "seconds for one cell (default: an hour)",
    },
)
def nightly(context: TaskContext, long: bool = False, deadline: float = 3600.0) -> int:
    """Run kernel-test on every target and kernel that the configuration lists for the night."""
    from harness.runs import nightly as matrix

    reports = []
    settings = context.settings
    for cell, found in matrix.run(settings, long=long, deadline_s=deadline):
        print(f"{cell.name}: {found.verdict.value} ({found.reason})", flush=True)
        reports.append(found)
    folder = build_folder.within(settings.root, "nightly") / time.strftime("%Y%m%d-%H%M%S")
    print(*matrix.write(tuple(reports), folder), sep="\n")
    return matrix.exit_code(tuple(reports))
