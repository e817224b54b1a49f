# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a crash says: a console log from anywhere, or a guest that was left up, explained."""

import sys
from pathlib import Path

from harness.tasks.common import TaskContext, task


@task(
    name="panic-explain",
    aliases=["explain"],
    positional=["file"],
    iterable=["module"],
    short_flags=True,
    options_help={
        "file": "console log, plain or .gz, .xz, .zst; a .panic or .ips of macOS; - is stdin",
        "vmlinux": "the kernel's vmlinux with debug information, of the very build that ran",
        "module": "a module's .ko with debug information, a kext's .dSYM (may be repeated)",
        "json": "print the reports as JSON",
    },
)
def explain(
    _context: TaskContext,
    file: str,
    vmlinux: str | None = None,
    module: list[str] | None = None,
    json: bool = False,
) -> int:
    """Explain every crash and hang in a console log: what, where, in which task, from what.

    Exit code 3 when the log holds one, 0 when it holds none, 5 when it has words of one that
    are not understood, 2 when it cannot be read.
    """
    from harness.crash import explain_log

    found, notes = explain_log.explain_with_symbols(
        Path(file),
        modules=tuple(map(Path, module or ())),
        vmlinux=Path(vmlinux) if vmlinux else None,
    )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(explain_log.to_json(found) if json else "\n".join(explain_log.to_lines(found)))
    return found.exit_code


@task(
    name="explain-guest",
    aliases=["guest-explain"],
    word="run",
    options_help={
        "run": "which guest: the name of its run, or the end of it (default: the only one)"
    },
)
def explain_guest(context: TaskContext, run: str = "") -> int:
    """Explain a guest that was left up and has crashed, hangs, or whose kernel has complained.

    Its files are in build/runs/RUN/crashes/N. Exit code 3 for a crash or a hang, 1 for a
    complaint, 0 for a guest that is well.
    """
    from harness.model.crash import Cause
    from harness.runs import explain_guest as guests

    with context.view() as view:
        crash = guests.explain(context.environment, run, view)
    if crash is None:
        print("the guest is well: its kernel beats and has reported nothing")
        return 0
    print(f"files: {crash.folder}")
    return 1 if crash.cause is Cause.REPORT else 3
