# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The init program of a recorded guest, and a parser for the marks that it prints.

A recorded guest has no network, so the harness cannot query it. Its init therefore prints
everything that the harness needs: the stage that it has reached, the addresses of the module's
sections, and the status of the command. It prints to /dev/kmsg, which keeps lines whole and in
order. This module itself reads and writes no files.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.model.settings import ModuleSpec

_FOLDER = "/harness"
_MARK = re.compile(r"harness-record (\w+)(?: (.*))?$")
# These sections have no address in the kernel, which keeps its own copy of the symbols.
_NOT_LOADED = {".symtab", ".strtab"}
_INIT = """#!/bin/sh
export PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
say() {{
	echo "<6>harness-record $*" >/dev/kmsg
}}
say load
if insmod {module} {parameters}; then
	for section in /sys/module/{name}/sections/.* /sys/module/{name}/sections/*; do
		[ -f "$section" ] && say section "${{section##*/}}" "$(cat "$section")"
	done
	say command
	sh {folder}/command </dev/null >/dev/console 2>&1
	say status $?
else
	say refused $?
fi
sync
poweroff -f
"""


@dataclass(frozen=True, kw_only=True)
class InitProgress:
    """The progress of a recorded guest, from the marks that its init has printed so far.

    `stages` are those that were reached: "load", "command", "status" in this order, or "load",
    "refused". `status` is the exit status of the command, or that of insmod after "refused"; None
    before either. `sections` are the addresses of the module's sections by name.
    """

    stages: tuple[str, ...] = ()
    status: int | None = None
    sections: dict[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether the kernel refused to load the module."""
        return "refused" in self.stages


def files(
    module: ModuleSpec, stripped: bytes, programs: Mapping[str, tuple[bytes, int]], command: str
) -> dict[str, tuple[bytes, int]]:
    """Return the files to add to the kernel's own initrd: content and mode by absolute path.

    They are the init program, the module, the shell command to run, and `programs`. `stripped` is
    the content of the module's file. `programs` are more files in the same form.
    """
    name = module.name.replace("-", "_")
    place = f"{_FOLDER}/{module.name}.ko"
    words = shlex.join(f"{key}={value}" for key, value in module.parameters.items())
    init = _INIT.format(
        module=shlex.quote(place), parameters=words, name=shlex.quote(name), folder=_FOLDER
    )
    return {
        **programs,
        place: (stripped, 0o600),
        f"{_FOLDER}/command": (f"{command}\n".encode(), 0o600),
        "/init": (init.encode(), 0o755),
    }


def mark(line: str) -> str:
    """Return what the recorded guest's init announces in a console line, as one word.

    It is "load" or "command" when that stage begins, "status" when the command has ended, and
    "refused" when the kernel has refused the module. It is "section" for a line with the address
    of a module's section, and "" for a line that the init has not marked.
    """
    found = _MARK.search(line)
    return found[1] if found is not None else ""


def read_console(lines: Iterable[str]) -> InitProgress:
    """Return what the init has printed among these console lines."""
    stages: list[str] = []
    sections: dict[str, int] = {}
    status = None
    for found in filter(None, map(_MARK.search, lines)):
        words = (found[2] or "").split()
        if found[1] != "section":
            stages.append(found[1])
            is_status = bool(words) and re.fullmatch("[0-9]{1,3}", words[0]) is not None
            status = int(words[0]) if is_status else status
        elif len(words) == 2 and re.fullmatch("0x[0-9a-f]{1,16}", words[1]):
            sections[words[0]] = int(words[1], 16)
    for name in _NOT_LOADED & sections.keys():
        del sections[name]
    return InitProgress(stages=tuple(stages), status=status, sections=sections)
