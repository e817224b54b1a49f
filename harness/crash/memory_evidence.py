# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a stopped guest's memory gives for a Crash: stacks with lines, the driver's state, a dump.

Each part may fail for its own reason, which then stands in the Crash.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from harness.artefacts import kernel_symbols
from harness.crash.scene import Scene
from harness.errors import HarnessError, HypervisorError
from harness.host import cache
from harness.memory import inspect, memory_text, vmcore
from harness.memory.values import MemoryRequest, MemoryView, deadlocks
from harness.model.crash import Crash
from harness.symbols.symbolizer import source_lines

MEMORY_VALUES = "memory.json"
MEMORY_TEXT = "memory.txt"
_MIB = 1 << 20
_LOOK_S = 10.0
_MOST_VARIABLES = 6


def vmlinux(scene: Scene) -> Path | None:
    """Return the kernel's symbols where they have been fetched (`invoke kernel-symbols`)."""
    asked = scene.session.request
    return kernel_symbols.find(asked.kernel, root=asked.cache)


def with_source(found: Crash, scene: Scene) -> Crash:
    """Return the crash with the lines of source around its guilty one."""
    if not found.place:
        return found
    return replace(found, source=source_lines(found.place, scene.roots))


def look(scene: Scene) -> MemoryView:
    """Return what drgn sees in the memory of the stopped guest; its problems are in it."""
    live = scene.session
    symbols = vmlinux(scene)
    if symbols is None:
        hint = f"invoke kernel-symbols --kernel={live.request.kernel.name}"
        return MemoryView(problems=(f"the kernel's symbols are not here: {hint}",))
    try:
        registers = live.domain.hmp("info registers -a")
    except HypervisorError as error:
        return MemoryView(problems=(error.message,))
    request = MemoryRequest(
        qmp=str(live.qmp_socket),
        registers=registers,
        vmlinux=str(symbols),
        modules={name: str(path) for name, path in scene.modules.items()},
        plugin=str(scene.plugin or ""),
    )
    return inspect.look(request, deadline_s=live.deadline(_LOOK_S), roots=scene.roots)


def with_memory(found: Crash, view: MemoryView) -> Crash:
    """Return the crash with what its memory says in short; the whole lies in its folder."""
    with cache.room(found.folder):
        (found.folder / MEMORY_VALUES).write_text(json.dumps(asdict(view), indent=1) + "\n")
        text = "\n".join((*memory_text.lines(view), ""))
        (found.folder / MEMORY_TEXT).write_text(text, errors="backslashreplace")
    return replace(found, memory=tuple(_short(found, view)), notes=(*found.notes, *view.problems))


def _short(found: Crash, view: MemoryView) -> Iterator[str]:
    """Yield who waits for whom, the variables of the guilty function, the driver's state."""
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
    guilty = next((one for one in frames if one.function == found.function), None)
    if guilty is not None:
        for name, text in list(guilty.variables.items())[:_MOST_VARIABLES]:
            yield f"{guilty.function}: {name} = {text}"
    yield from view.driver


def with_vmcore(found: Crash, scene: Scene) -> Crash:
    """Return the crash with a dump of the stopped guest's memory, or the reason why not."""
    if scene.vmcores is None:
        return replace(found, vmcore_note="none: --no-vmcore")
    try:
        taken = vmcore.take(
            scene.session.domain.core_dump,
            found.folder,
            runs=scene.runs,
            keep=scene.vmcores,
            expected_bytes=scene.session.request.target.memory_mib * _MIB,
        )
    except HarnessError as error:
        return replace(found, vmcore_note=f"none: {error.message}")
    sizes = f"{taken.memory_bytes // _MIB} MiB of memory in {taken.size_bytes // _MIB} MiB"
    took = f"dumped in {taken.dump_s:.1f} s, packed in {taken.compress_s:.1f} s"
    return replace(found, vmcore=taken.file.name, vmcore_note=f"{sizes}, {took}")


def without_vmcore(found: Crash) -> Crash:
    """Return the crash of a guest that is gone, and its memory with it."""
    return replace(found, vmcore_note="none: the guest is gone, and its memory with it")
