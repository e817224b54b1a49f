# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What an ELF file says of itself: its symbols with their sizes, and its build id.

Read with binutils, which know every format that their own linker writes.
"""

import re
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

_DEADLINE_S = 60.0
# objdump --syms: value, flags, section, size, some column of versions, visibility, name.
_SYMBOL = re.compile(
    r"(?P<value>[0-9a-f]{8,16}) (?P<flags>.{7}) (?P<section>\S+)\t(?P<size>[0-9a-f]{8,16})"
    r" +(?:\.(?:hidden|internal|protected) |0x[0-9a-f]+ )?(?P<name>\S+)"
)
# 'd' marks the names of files and sections, which the kernel does not print.
_OF_SECTION = r"^([0-9a-f]{{8,16}}) .{{5}}[^d]. {section}\t.*?(\S+)$"
_BUILD_ID = re.compile(r"Build ID: ([0-9a-f]+)")
# objtool's names for the padding before a function; some kernels leave them out of kallsyms.
_PADDING = "__pfx_"
# Behind the last symbol of a module's section the kernel counts up to the next one, or to the
# end of the page, so its size is not known here; it is more than this only for another build.
_TAIL_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """One named address; `value` is relative to its section in a relocatable file.

    `extents` are the sizes that a kernel may print for it: kallsyms has no sizes and counts up to
    the next symbol. `last` means that no symbol follows in the section. `is_data` is for what is
    no code: of its size the kernel has a wrong idea.
    """

    name: str
    section: str
    value: int
    size: int
    extents: tuple[int, ...]
    last: bool
    is_data: bool = False

    def fits(self, size: int) -> bool:
        """Return whether a kernel that runs this very file can print this size."""
        if size == self.size or size in self.extents:
            return True
        return self.last and self.size <= size < self.size + _TAIL_BYTES


class SymbolTable:
    """The symbols of one file, looked up by name; a kernel has over 100,000, a report a few.

    Raises: UsageError when the file is no ELF file, or binutils are missing.
    """

    def __init__(self, path: Path) -> None:
        self._text = "\n" + _output("objdump", "--syms", "--wide", str(path)) + "\n"
        self._values: dict[str, tuple[list[int], list[int]]] = {}

    def find(self, name: str) -> tuple[Symbol, ...]:
        """Return every defined symbol of a name; static ones can share one."""
        found = (_SYMBOL.fullmatch(line) for line in self._lines_ending(f" {name}\n"))
        return tuple(
            self._symbol(one)
            for one in found
            if one is not None and "d" not in one["flags"] and not one["section"].startswith("*")
        )

    def _lines_ending(self, end: str) -> Iterator[str]:
        at = self._text.find(end)
        while at >= 0:
            yield self._text[self._text.rfind("\n", 0, at) + 1 : at + len(end) - 1]
            at = self._text.find(end, at + 1)

    def _symbol(self, found: re.Match[str]) -> Symbol:
        value = int(found["value"], 16)
        following = [_next(value, ordered) for ordered in self._ordered(found["section"])]
        return Symbol(
            name=found["name"],
            section=found["section"],
            value=value,
            size=int(found["size"], 16),
            extents=tuple(sorted({after - value for after in following if after is not None})),
            last=None in following,
            is_data=found["flags"].endswith("O"),
        )

    def _ordered(self, section: str) -> tuple[list[int], list[int]]:
        """Return a section's addresses in order: of all symbols, and of all but padding."""
        if section not in self._values:
            pattern = _OF_SECTION.format(section=re.escape(section))
            pairs = re.findall(pattern, self._text, re.MULTILINE)
            every = sorted({int(value, 16) for value, _ in pairs})
            solid = sorted({int(value, 16) for value, name in pairs if name[:6] != _PADDING})
            self._values[section] = (every, solid)
        return self._values[section]


def build_id(path: Path) -> str:
    """Return the build id that the linker wrote, in hex; "" for a file without one.

    Raises: UsageError when the file is no ELF file, or binutils are missing.
    """
    found = _BUILD_ID.search(_output("readelf", "--notes", "--wide", str(path)))
    return found.group(1) if found else ""


def _next(value: int, ordered: list[int]) -> int | None:
    index = bisect_right(ordered, value)
    return ordered[index] if index < len(ordered) else None


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_DEADLINE_S
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"{command[0]} is not installed", hint="./dev installs binutils"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{command[0]} took over {_DEADLINE_S:.0f} s") from error
    if done.returncode != 0:
        raise UsageError(
            f"{command[0]} cannot read {command[-1]}", evidence=done.stderr.splitlines()[-3:]
        )
    return done.stdout
