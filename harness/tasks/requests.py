# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn the options of a command into the request for a run."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.tasks.common import TaskContext

if TYPE_CHECKING:
    from harness.model.machines import MachineChange
    from harness.model.request import KernelTestRequest
    from harness.model.settings import Settings


def request_from(context: TaskContext, options: dict[str, Any]) -> "KernelTestRequest":
    """Return the request for a run of kernel-test, made from a command's options.

    Raises: UsageError for a value that no run can use.
    """
    from harness.model.request import KernelTestRequest, Selection, for_long_run
    from harness.model.settings import Accel

    accel = options.get("accel")
    if accel not in {None, "kvm", "tcg"}:
        raise UsageError(f"--accel {accel}: kvm or tcg is expected")
    share = options.get("share")
    if share is not None and not Path(share).is_dir():
        raise UsageError(f"--share {share}: no such folder")
    is_long = bool(options.get("long"))
    settings = context.settings
    if options.get("build"):
        settings = _with_make(settings, options.get("target"), options.get("kernel"))
    return KernelTestRequest(
        settings=for_long_run(settings) if is_long else settings,
        environment=context.environment,
        target_name=options.get("target"),
        kernel_name=options.get("kernel"),
        selection=Selection(
            expression=options.get("k") or "",
            tests=tuple(options.get("test") or ()),
            long=is_long,
            groups=("crash",) if options.get("crash_tests") else ("",),
        ),
        accel=Accel(accel) if accel else None,
        uri=options.get("uri"),
        fresh=bool(options.get("fresh")),
        keep=bool(options.get("keep")),
        share=Path(share).resolve() if share else None,
        writable=bool(options.get("writable")),
        run_id=_run_id(options.get("run_id")),
        variant=options.get("variant"),
        command=options.get("command") or "",
        machine=_machine(options),
        most_crashes=int(options.get("maxcrash", 3)),
        vmcore=not options.get("no_vmcore"),
        debug_on_crash=options.get("debugger", "") if options.get("debug_on_crash") else "",
    )


def _with_make(settings: "Settings", target: str | None, kernel: str | None) -> "Settings":
    """Return the settings, changed so that the chosen kernel's source tree is built before use.

    This implements --build.
    Raises: UsageError when the chosen kernel is not a source tree.
    """
    from harness.host import config

    name = config.choose_target(settings, target, kernel).kernel
    spec = settings.kernels[name]
    if spec.tree is None:
        raise UsageError(
            f"--build: the kernel {name} is no tree",
            hint='choose one with --kernel; [tool.harness.kernels] has NAME = { tree = "..." }',
        )
    return replace(settings, kernels={**settings.kernels, name: replace(spec, build=True)})


def _machine(options: dict[str, Any]) -> "MachineChange":
    """Return the changes of the target's machine (CPUs, memory, arguments) that options ask for.

    Raises: UsageError for a number that no machine can have.
    """
    from harness.model.machines import MachineChange, out_of_range

    numbers: dict[str, int] = {}
    for key, option in (("vcpus", "cpus"), ("memory_mib", "memory")):
        text = options.get(option)
        if text is None:
            continue
        # The options have no default, so invoke does not know that they are numbers. int() itself
        # would also accept signs, blanks, underscores and digits of other scripts.
        if not re.fullmatch("[0-9]{1,9}", text):
            raise UsageError(f"--{option} {text}: a number is expected")
        if expected := out_of_range(key, int(text)):
            raise UsageError(f"--{option}: {expected}")
        numbers[key] = int(text)
    return MachineChange(**numbers, append=options.get("append") or "")


def _run_id(name: str | None) -> str | None:
    """Return the name that the user gave for the run's folder, None if none was given.

    Raises: UsageError for a path, because the folder is made beside those of the other runs.
    """
    if name is not None and (not name or name.startswith((".", "-")) or "/" in name):
        raise UsageError(f"--run-id {name!r}: a name for a folder is expected, not a path")
    return name
