# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The guest of a recording: an init of ours, and what it says on the console. Pure.

There is no network to ask it by, so it says all that is needed: how far it is, where the
module's sections are, how the command ended. Its words go through the kernel's log, whole lines
in the right order.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.model.settings import ModuleSpec

_FOLDER = "/harness"
_MARK = re.compile(r"harness-record (\w+)(?: (.*))?$")
# In an object file they are not where the kernel keeps its own copy.
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
class Said:
    """What the init has said so far; `stages` in order: load, command, status or refused."""

    stages: tuple[str, ...] = ()
    status: int | None = None
    sections: dict[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether the kernel did not take the module."""
        return "refused" in self.stages


def files(
    module: ModuleSpec, stripped: bytes, programs: Mapping[str, tuple[bytes, int]], command: str
) -> dict[str, tuple[bytes, int]]:
    """Return what lies over the kernel's own initrd: data and mode by absolute path."""
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
    """Return the stage that a console line announces, "" for any other line."""
    found = _MARK.search(line)
    return found[1] if found is not None else ""


def read_console(lines: Iterable[str]) -> Said:
    """Return what the init says in a console."""
    stages: list[str] = []
    sections: dict[str, int] = {}
    status = None
    for found in filter(None, map(_MARK.search, lines)):
        words = (found[2] or "").split()
        if found[1] != "section":
            stages.append(found[1])
            status = int(words[0]) if words and words[0].isdigit() else status
        elif len(words) == 2 and re.fullmatch("0x[0-9a-f]{1,16}", words[1]):
            sections[words[0]] = int(words[1], 16)
    for name in _NOT_LOADED & sections.keys():
        del sections[name]
    return Said(stages=tuple(stages), status=status, sections=sections)
