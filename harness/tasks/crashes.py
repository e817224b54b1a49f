# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a crash says: a console log from anywhere, explained."""

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

    Exit code 3 when the log holds one, 0 when it holds none, 2 when it cannot be read.
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
