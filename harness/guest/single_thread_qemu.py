# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A QEMU whose emulated CPUs share one thread, in the form that libvirt takes: a program.

QEMU before 8.1 may execute a stale translation of code that another emulated CPU has just patched
(its commit deba78709ae8). What patches much code, as a test that loads a tracing module hundreds
of times, then hangs its guest: a CPU takes an int3 for ever that is no longer there. With one
thread for all CPUs nothing is stale. libvirt 9 has no element for it, and an option of ours would
come behind its own.

QEMU 7.2 was also seen to leave half of a pointer in EFLAGS behind the cmpxchg16b of Debian 13's
allocator, and the kernel then dies of a trap that nobody has set. So these CPUs do not have that
instruction.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.errors import HypervisorError
from harness.host import cache, programs, whole_file

_QEMU = "qemu-system-x86_64"
_MENDED = (8, 1)
_SCRIPT = """#!/bin/sh
# {qemu}, its CPUs in one thread, without cmpxchg16b: what is behind -accel and -cpu gets an
# option more.
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


def one_thread_program(root: Path) -> Path:
    """Return a program in the cache that is QEMU with one thread for all emulated CPUs.

    Raises: HypervisorError when there is no QEMU.
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
    """Return whether this QEMU has the fault; one whose version is not known may have it.

    `versions`: by name, as libvirt tells them.
    """
    known = versions.get("qemu", "0").split(".")
    return tuple(int(part) for part in known[:2]) < _MENDED
