# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write a script that runs QEMU with all emulated CPUs in one thread, for libvirt to start.

QEMU before 8.1 may execute a stale translation of code that another emulated CPU has just patched
(fixed by its commit deba78709ae8). Work that patches much code, such as a test that loads a
tracing module hundreds of times, then hangs the guest: a CPU executes, over and over, an int3 that
is no longer there. With one thread for all CPUs no translation is stale. libvirt 9 has no XML
element for this option, and an option that is added to the command line comes after libvirt's own,
so a script between libvirt and QEMU changes the command line.

QEMU 7.2 was also seen to leave half of a pointer in EFLAGS after the cmpxchg16b of Debian 13's
allocator; the kernel then dies of a trap that nobody has set. So these CPUs do not have that
instruction.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.errors import HypervisorError
from harness.host import cache, programs, whole_file
from harness.model.machines import TargetSpec
from harness.model.settings import Accel

_QEMU = "qemu-system-x86_64"
_FIXED_IN = (8, 1)
_SCRIPT = """#!/bin/sh
# The script runs {qemu} with all CPUs in one thread and without cmpxchg16b: it adds one option
# each to the words after -accel and -cpu.
before=
for word in "$@"; do
	shift
	[ "$before" = -accel ] && [ "$word" = tcg ] && word=tcg,thread=single
	[ "$before" = -cpu ] && word=$word,cx16=off
	before=$word
	set -- "$@" "$word"
done
exec {qemu} "$@"
"""


def emulator(
    target: TargetSpec, accel: Accel, versions: Mapping[str, str], *, root: Path
) -> Path | None:
    """Return the program that runs a guest with one thread for all CPUs, or None.

    None means that libvirt's own QEMU is right: the guest is not emulated, its target does not ask
    for this, or QEMU has no such fault. `versions` are version numbers by program name, as libvirt
    reports them; `root` is the cache, in which the program is written when it is not there yet.
    Raises: HypervisorError when QEMU is not installed.
    """
    if target.one_thread and accel is Accel.TCG and runs_stale_code(versions):
        return one_thread_program(root)
    return None


def one_thread_program(root: Path) -> Path:
    """Return the path of a program that runs QEMU with one thread for all emulated CPUs.

    Raises: HypervisorError when QEMU is not installed.
    """
    qemu = programs.find(_QEMU, error=HypervisorError)
    text = _SCRIPT.format(qemu=qemu)
    file = root / "emulators" / f"qemu-one-thread-{cache.key_of(text)}"
    if not file.is_file():
        with cache.room(root):
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file.replacing(file) as beside:
                beside.write_text(text)
                beside.chmod(0o755)
    return file


def runs_stale_code(versions: Mapping[str, str]) -> bool:
    """Return whether this QEMU may execute stale translations of code that a guest has patched.

    It is True when QEMU's version is not known. `versions` are version numbers by program name, as
    libvirt reports them.
    """
    numbers = versions.get("qemu", "0").split(".")
    return tuple(int(part) for part in numbers[:2]) < _FIXED_IN
