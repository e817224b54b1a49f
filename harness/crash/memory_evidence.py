# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a stopped guest's memory for a Crash: stacks with lines, the driver's state, a dump.

Each part may fail without the others; the Crash then contains the reason.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from harness import hints
from harness.crash import crash_text
from harness.crash.scene import Scene
from harness.errors import HarnessError, HypervisorError, Lost
from harness.host import cache
from harness.memory import inspect, memory_text, vmcore
from harness.memory.values import MemoryRequest, MemoryView, deadlocks

MEMORY_VALUES = "memory.json"
MEMORY_TEXT = "memory.txt"
_MIB = 1 << 20
_LOOK_S = 10.0
_MOST_VARIABLES = 6


@dataclass(frozen=True, kw_only=True)
class Dump:
    """The file name of a guest's memory dump and a note on its size.

    Without a dump the name is "", and the note says why there is none.
    """

    file: str
    note: str


def look(scene: Scene) -> MemoryView:
    """Return a stopped guest's stacks, tasks and log as drgn reads them from its memory.

    What could not be read is named in the view's `problems`.
    """
    live = scene.session
    if scene.vmlinux is None:
        hint = hints.command("kernel-symbols", f"--kernel={scene.kernel}")
        return MemoryView(problems=(f"the kernel's symbols are not here: {hint}",))
    try:
        registers = live.domain.hmp("info registers -a")
    except HypervisorError as error:
        return MemoryView(problems=(error.message,))
    request = MemoryRequest(
        qmp=str(live.qmp_socket),
        registers=registers,
        vmlinux=str(scene.vmlinux),
        modules={name: str(path) for name, path in scene.modules.items()},
        plugin=str(scene.plugin or ""),
    )
    return inspect.look(request, deadline_s=live.deadline(_LOOK_S), roots=scene.roots)


def write(scene: Scene, view: MemoryView, function: str) -> tuple[str, ...]:
    """Write stacks, variables and driver state from a guest's memory into the crash's folder.

    Return the lines of a summary, which shows the variables of the guilty function `function`.
    When the disk is full, the first line says that the files are incomplete.
    """
    try:
        with cache.room(scene.folder):
            (scene.folder / MEMORY_VALUES).write_text(json.dumps(asdict(view), indent=1) + "\n")
            text = "\n".join((*memory_text.lines(view), ""))
            (scene.folder / MEMORY_TEXT).write_text(text, errors="backslashreplace")
    except Lost as error:
        return (f"{MEMORY_TEXT} is incomplete: {error.message}", *_short(view, function))
    return tuple(_short(view, function))


def _short(view: MemoryView, function: str) -> Iterator[str]:
    """Yield a summary of a guest's memory: lock waits, the driver's state, variables.

    The variables are those of the guilty function `function`.
    """
    for circle in deadlocks(view.waits):
        names = " -> ".join(f"{wait.comm} ({wait.pid})" for wait in (*circle, circle[0]))
        yield f"deadlock: {names}"
    in_circle = {wait.pid for circle in deadlocks(view.waits) for wait in circle}
    for wait in view.waits:
        holder = f"{wait.holder_comm} ({wait.holder_pid})" if wait.holder_pid else "somebody"
        if wait.pid not in in_circle:
            yield f"{wait.comm} ({wait.pid}) waits for {wait.kind} {wait.lock}, held by {holder}"
    stacks = (*view.cpus, *view.blocked, *((view.task,) if view.task is not None else ()))
    frames = (frame for stack in stacks for frame in stack.frames)
    guilty = next((one for one in frames if one.function == function), None)
    if guilty is not None:
        for name, text in list(guilty.variables.items())[:_MOST_VARIABLES]:
            yield f"{guilty.function}: {name} = {text}"
    yield from view.driver


def dump(scene: Scene) -> Dump:
    """Dump a halted guest's memory into the crash's folder; return the file name, or why not."""
    if scene.vmcores is None:
        return Dump(file="", note="none: --no-vmcore")
    scene.note(f"dumping the guest's memory of {scene.memory_mib} MiB")
    try:
        taken = vmcore.take(
            scene.session.domain.core_dump,
            scene.folder,
            runs=scene.runs,
            keep=scene.vmcores,
            expected_bytes=scene.memory_mib * _MIB,
        )
    except HarnessError as error:
        return Dump(file="", note=f"none: {error.message}")
    sizes = f"{taken.memory_bytes // _MIB} MiB of memory in {taken.size_bytes // _MIB} MiB"
    took = f"dumped in {taken.dump_s:.1f} s, packed in {taken.compress_s:.1f} s"
    scene.note(f"{sizes}: {taken.file}")
    for file in taken.removed:
        scene.note(f"removed an older dump: {file}")
        crash_text.record_removal(file.parent)
    return Dump(file=taken.file.name, note=f"{sizes}, {took}")
