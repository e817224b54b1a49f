# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the memory of a paused guest, or of a dump, with drgn in a separate process.

drgn's failures are not raised, and reading has a deadline. If the process ends early, the view
contains the parts that were written before, and `problems` gives the reason.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import Lost
from harness.host import tool
from harness.memory.values import MemoryFrame, MemoryRequest, MemoryStack, MemoryView
from harness.symbols.paths import shown_place

_COMMAND = (sys.executable, "-m", "harness.memory.drgn_worker")
_ADAPTER = TypeAdapter(MemoryView)
_SIGNALLED = -1


def look(
    request: MemoryRequest,
    *,
    deadline_s: float,
    roots: Sequence[Path] = (),
    command: Sequence[str] = _COMMAND,
) -> MemoryView:
    """Return a guest's stacks, locks, modules and log, read from its memory by drgn in a process.

    In the result, a source file below one of `roots` is relative to it, and a path of the kernel
    to the kernel's tree. `command` is the command line of drgn's process.
    Units: deadline_s is seconds for everything. Measured for a 768 MiB guest: 1.1 s of CPU, most
        of it for the kernel's debug information.
    """
    begun = time.monotonic()
    within = tool.Surroundings(data=json.dumps(asdict(request)).encode())
    done = tool.run(command, deadline_s=deadline_s, error=Lost, check=False, within=within)
    end = _end(done, deadline_s)
    view = _join_parts(done.stdout)
    if end:
        view = replace(view, problems=(*view.problems, end))
    return replace(_with_places(view, roots), took_s=time.monotonic() - begun)


def _end(done: tool.Output, deadline_s: float) -> str:
    """Return the reason why drgn's process ended early, or "" when it finished."""
    if done.status is None:
        return f"drgn did not finish within {deadline_s:.0f} s"
    if done.status == 0:
        return ""
    if done.status <= _SIGNALLED:
        return f"drgn was ended by signal {-done.status}"
    lines = done.stderr.decode(errors="backslashreplace").strip().splitlines()
    return f"drgn failed: {lines[-1] if lines else f'exit status {done.status}'}"


def _join_parts(output: bytes) -> MemoryView:
    """Return the MemoryView whose fields are in the JSON lines that drgn's process wrote.

    A line that is not valid, such as a cut last line, is skipped and adds a message to `problems`.
    """
    parts: dict[str, Any] = {}
    problems: list[str] = []
    for line in output.splitlines():
        try:
            part = json.loads(line)
            _ADAPTER.validate_python(part)
        except (ValueError, ValidationError) as error:
            problems.append(f"a part of drgn's answer is not valid: {error}"[:200])
            continue
        parts.update(part)
    view = _ADAPTER.validate_python(parts)
    return replace(view, problems=(*view.problems, *problems))


def _with_places(view: MemoryView, roots: Sequence[Path]) -> MemoryView:
    def frame(one: MemoryFrame) -> MemoryFrame:
        return replace(one, place=shown_place(one.place, roots))

    def stack(one: MemoryStack) -> MemoryStack:
        return replace(one, frames=tuple(map(frame, one.frames)))

    return replace(
        view,
        cpus=tuple(map(stack, view.cpus)),
        task=stack(view.task) if view.task else None,
        blocked=tuple(map(stack, view.blocked)),
    )
