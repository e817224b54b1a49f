# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the suites in which each allocation of a module fails once. Pure.

A suite runs a command in the guest under `failnth`, which is compiled on this host. The kernel
needs the fragment `faults`.
"""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.errors import UsageError
from harness.model import build_folder
from harness.model.settings import PushSpec, Settings, TestSpec
from harness.systems.linux import load_script

_SOURCE = Path(__file__).with_name("failnth.c")
_PROGRAM = f"{load_script.FOLDER}/failnth"
_SUITE_S = 3600.0
# Only slab allocations and copies of user memory fail, also where they may wait. The kernel
# complains in its log about pages that are missing, even if the caller copes with it.
_PREPARE = """
cd /sys/kernel/debug/failslab || {
	echo 'KTAP version 1'
	echo 'Bail out! the kernel has no failslab: choose one with the fragment faults'
	exit 1
}
echo N > ignore-gfp-wait
cd .. && for one in failslab fail_page_alloc fail_usercopy; do echo 0 > $one/verbose; done
echo 100 > fail_page_alloc/min-order
"""
# What the log says of allocations that fail; whether the module copes with them is the question.
_ALLOWED = ("page allocation failure", "vmalloc error", "Call Trace:")


def with_faults(settings: Settings, command: str) -> Settings:
    """Return the settings whose suites let each allocation of the module fail once.

    With a command it is one suite, for the command's calls. With "" they are those of opening the
    module's devices and of loading it.
    Raises: UsageError for parameters of the module that only a build can fill in.
    """
    module = settings.module
    for name, text in module.parameters.items():
        if "{" in text:
            raise UsageError(f"fault-test: the parameter {name} has a word in braces: {text}")
    program = build_folder.within(settings.root) / "fault-test" / "failnth"
    words = f"mkdir -p {shlex.quote(str(program.parent))} && gcc -static -O2 -o"
    compile_it = f"{words} {shlex.join((str(program), str(_SOURCE)))}"
    return replace(
        settings,
        module=replace(
            module,
            companions=(*module.companions, ("sh", "-c", compile_it)),
            push=(*module.push, PushSpec(source=program, target=_PROGRAM)),
        ),
        tests=tuple(_suites(settings, command)),
        allow_kernel_lines=(*settings.allow_kernel_lines, *_ALLOWED),
    )


def _suites(settings: Settings, command: str) -> Iterator[TestSpec]:
    module = settings.module
    if command:
        yield _suite("command", module.devices, command)
        return
    for device in module.devices:
        open_it = f": < {shlex.quote(device)}"
        yield _suite(f"open {Path(device).name}", module.devices, open_it)
    # Loading comes last, because the other suites need the module. Companions stay loaded.
    words = [f"{key}={text}" for key, text in module.parameters.items() if "." not in key]
    file = load_script.module_path(module.name)
    yield _spec("load", f"rmmod {module.name}\n", "--load", file, module.name, " ".join(words))


def _suite(name: str, devices: tuple[str, ...], command: str) -> TestSpec:
    return _spec(name, "", *devices, "--", "sh", "-c", command)


def _spec(name: str, before: str, *words: str) -> TestSpec:
    script = f"{_PREPARE}{before}exec {shlex.join((_PROGRAM, name, *words))}"
    return TestSpec(name=name, command=script, deadline_s=_SUITE_S)
