# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks for time travel: record a command in a guest, and debug the recording backwards."""

from harness.tasks.common import VARIANT_HELP, TaskContext, help_for, task


@task(
    name="record",
    positional=["line"],
    command="line",
    options_help={
        "line": "shell command to run in the guest, the module loaded",
        "deadline": "seconds for the guest (default: 300)",
        **help_for("target", "kernel", "accel", "run-id", "verbose"),
        **VARIANT_HELP,
    },
)
def record_command(  # noqa: PLR0913, PLR0917
    context: TaskContext,
    line: str,
    variant: str | None = None,
    target: str | None = None,
    kernel: str | None = None,
    accel: str | None = None,
    deadline: float = 300.0,
    run_id: str | None = None,
    verbose: bool = False,
) -> int:
    """Record a command in a guest without network and disk, for reverse debugging by replay-debug.

    One CPU, emulated; the module, or its VARIANT, is loaded first. Everything lies in
    build/runs/RUN. Exit code 3 when the kernel crashed.
    """
    from harness.record import record_run
    from harness.tasks.requests import request_from

    with context.view(verbose=verbose) as view:
        asked = request_from(context, locals())
        found = record_run.record(asked, line, deadline_s=deadline, view=view)
    print("\n".join(record_run.summary(found)))
    return found.exit_code


@task(
    name="replay-debug",
    positional=["run"],
    iterable=["command"],
    options_help={
        "run": "which recording: the name of its run, the end of it, or its folder",
        "command": "run this in gdb instead of a prompt (may be repeated)",
        "from-boot": "begin with the boot, not where the module is loaded",
    },
)
def replay_debug(
    context: TaskContext, run: str, command: list[str] | None = None, from_boot: bool = False
) -> int:
    """Open gdb on a recording: reverse-continue, reverse-stepi, to-panic, to-fault."""
    from harness.record import time_travel
    from harness.report import run_folders

    folder = run_folders.find(context.runs, run)
    return time_travel.debug(
        folder, context.environment, commands=tuple(command or ()), from_boot=from_boot
    )
