# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read functions.txt, which sorts kernel functions into sections by their role in a report.

`functions.txt` describes its own format. A list is asked whether it contains a name. Each name is
looked up hundreds of times in one log, so the answers are cached.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("functions.txt")
_VARIANTS = "variants"
# Prefixes of an architecture's or a hypervisor's own variant of a function.
_OWNERS = ("arch_", "native_", "pv_")
# The cache has room for every function of a long report, and is bounded for a log with made-up
# names.
_KEPT_ANSWERS = 4096


class FunctionList:
    """The function names of one section of functions.txt, some of them as patterns with '*'."""

    def __init__(self, patterns: Iterator[str], variants: frozenset[str]) -> None:
        self._variants = variants
        self._named: set[str] = set()
        self._only: set[str] = set()
        begins, ends, within, never = [], [], [], []
        split: list[tuple[str, str]] = []
        for pattern in patterns:
            inner = pattern.strip("*")
            # "!name*" is the only form with '!', which a test of functions.txt checks, so each is a
            # prefix.
            if pattern.startswith("!"):
                never.append(pattern[1:].removesuffix("*"))
            elif pattern.startswith("="):
                self._only.add(pattern[1:])
            elif "*" in inner:
                begin, _, end = pattern.partition("*")
                split.append((begin, end))
            elif pattern == inner:
                self._named.add(pattern)
            elif pattern.startswith("*") and pattern.endswith("*"):
                within.append(inner)
            elif pattern.startswith("*"):
                ends.append(inner)
            else:
                begins.append(inner)
        # str.startswith and str.endswith compare with all texts of a tuple in one call.
        self._begins, self._ends, self._within = tuple(begins), tuple(ends), tuple(within)
        self._never = tuple(never)
        self._split = tuple(
            (begin, end.removesuffix("*"), end.endswith("*")) for begin, end in split
        )
        self.holds: Callable[[str], bool] = lru_cache(_KEPT_ANSWERS)(self._holds)

    def _holds(self, name: str) -> bool:
        """Return whether this section of functions.txt has a function, or its basic form.

        `name` is given without leading underscores. Its basic form lacks words such as _irq and
        prefixes such as arch_.
        """
        if name.startswith(self._never):
            return False
        if self._fits(name):
            return True
        owner = next((one for one in _OWNERS if name.startswith(one)), "")
        return bool(owner) and self._fits(name.removeprefix(owner))

    def _fits(self, name: str) -> bool:
        if name in self._only or self._is_variant(name):
            return True
        if name.startswith(self._begins) or name.endswith(self._ends):
            return True
        if any(word in name for word in self._within):
            return True
        return any(
            name.startswith(begin)
            and (end in name[len(begin) :] if open_end else name.endswith(end))
            for begin, end, open_end in self._split
        )

    def _is_variant(self, name: str) -> bool:
        """Return whether a function is listed, or is a variant such as NAME_irq of a listed one.

        The words after the name are those of the section [variants]; a number counts as such a
        word.
        """
        while name not in self._named:
            name, cut, word = name.rpartition("_")
            if not cut or not (word in self._variants or word.isdigit()):
                return False
        return True


@cache
def _sections() -> dict[str, list[str]]:
    """Return the names and patterns of each section of functions.txt, by the section's name.

    A section may have several parts.
    """
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in _FILE.read_text().splitlines():
        if line.startswith("["):
            lines = sections.setdefault(line.strip("[]").partition(":")[0], [])
        elif not line.startswith("#"):
            lines += line.split()
    return sections


@cache
def functions(section: str) -> FunctionList:
    """Return the list of functions in a section of functions.txt.

    Raises: KeyError for a section that the file does not have.
    """
    sections = _sections()
    return FunctionList(iter(sections[section]), frozenset(sections[_VARIANTS]))
