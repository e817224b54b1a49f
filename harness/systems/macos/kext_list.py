# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parse the list of loaded kexts, as kextstat and `kmutil showloaded` print it. Pure.

Index Refs Address            Size       Wired      Name (Version) UUID <Linked Against>
150    0 0xffffff7f83a21000 0x5000     0x5000     org.example.driver (1.0.0) UUID <5 4 3 1>

Both tools print the same columns. Addresses are 0 for a user without the right to see them.
"""

import re

from harness.model.loaded_module import ModuleEntry

_LINE = re.compile(
    r"^\s*(?P<index>\d+)\s+(?P<references>\d+)\s+(?P<address>0x[0-9a-f]+|0)\s+"
    r"(?P<size>0x[0-9a-f]+|\d+)\s+(?:0x[0-9a-f]+|\d+)\s+(?P<name>[\w.-]+)\s+\((?P<version>[^)]*)\)"
    r"(?:[^<]*<(?P<linked>[\d ]*)>)?"
)


def parse(text: str) -> dict[str, ModuleEntry]:
    """Return the kexts by their identifiers; headers and remarks are skipped.

    Each kext is added as a user to the kexts whose indexes it lists under Linked Against.
    """
    found = [match for line in text.splitlines() if (match := _LINE.match(line))]
    users: dict[str, list[str]] = {}
    for match in found:
        for index in (match["linked"] or "").split():
            users.setdefault(index, []).append(match["name"])
    return {
        match["name"]: ModuleEntry(
            name=match["name"],
            size_bytes=int(match["size"], 0),
            references=int(match["references"]),
            used_by=tuple(users.get(match["index"], ())),
            address=int(match["address"], 0),
            version=match["version"],
        )
        for match in found
    }
