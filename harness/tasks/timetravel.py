# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Time travel: record a command in a guest, replay it under a debugger that can go back."""

from invoke.context import Context
from invoke.tasks import task

from harness.record import record_run
from harness.record import time_travel as travel
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


@task(
    name="record",
    positional=["line"],
    auto_shortflags=False,
    help={
        "line": "shell command to run in the guest, the module loaded",
        "deadline": "seconds for the guest (default: 300)",
        **help_for("target", "kernel", "accel", "config", "run-id", "verbose"),
        **VARIANT_HELP,
    },
)
@command
def record_command(  # noqa: PLR0913, PLR0917
    _c: Context,
    line: str,
    variant: str | None = None,
    target: str | None = None,
    kernel: str | None = None,
    accel: str | None = None,
    deadline: float = 300.0,
    config: str | None = None,
    run_id: str | None = None,
    verbose: bool = False,
) -> int:
    """Record a command in a guest without network and disk: replay-debug goes back in its time.

    One CPU, emulated. Everything lies in build/runs/RUN. Exit code 3 when the kernel crashed.
    """
    with view_for(verbose=verbose) as view:
        found = record_run.record(request_from(locals()), line, deadline_s=deadline, view=view)
    print("\n".join(record_run.summary(found)))
    return found.exit_code


@task(
    name="replay-debug",
    positional=["run"],
    iterable=["command"],
    auto_shortflags=False,
    help={
        "run": "which recording: the name of its folder in build/runs",
        "command": "run this in gdb instead of a prompt (may be repeated)",
        "from-boot": "begin with the boot, not where the module is loaded",
        "config": RUN_HELP["config"],
    },
)
@command
def replay_debug(
    _c: Context,
    run: str,
    command: list[str] | None = None,
    from_boot: bool = False,
    config: str | None = None,
) -> int:
    """Open gdb on a recording: reverse-continue, reverse-stepi, to-panic, to-fault."""
    folder = load_settings(config).root / "build" / "runs" / run
    return travel.debug(
        folder, current_environment(), commands=tuple(command or ()), from_boot=from_boot
    )
