# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the text of a Kbuild file or Makefile: which modules it builds, how it finds the kernel.

Only plain assignments are read. A Makefile that computes the names of its modules is run instead.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

# kbuild reads the first of them that is there; make prefers the last.
NAMES = ("Kbuild", "Makefile", "makefile", "GNUmakefile")
_CONTINUED = re.compile(r"\\\n\s*")
_COMMENT = re.compile(r"(?<!\\)#.*")
_OBJECTS = re.compile(
    r"^[ \t]*obj-(?:m|y|\$\([^)]*\)|\$\{[^}]*\})\s*[:+?]?=[ \t]*(.*)$", re.MULTILINE
)
_SWITCH = re.compile(r"^[ \t]*obj-\$[({](CONFIG_\w+)[)}]", re.MULTILINE)
_ASSIGNED = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*[:?]{0,2}=[ \t]*(.*?)[ \t]*$", re.MULTILINE
)
_USED = re.compile(r"\$[({](\w+)[)}]")
# Variables that name each other many times would otherwise make a text of gigabytes.
_MOST_CHARACTERS = 100_000
_RELEASE = re.compile(r"\buname\b.*-\w*r")


def objects(file: Path) -> tuple[str, ...]:
    """Return the names in obj-m, obj-y and obj-$(...) of a Kbuild file or Makefile.

    A module's name has no .o, and a folder's ends in a slash.
    """
    text = _text(file)
    values = dict(_ASSIGNED.findall(text))
    found = []
    for line in _OBJECTS.findall(text):
        for word in _expanded(line, values).split():
            if word.endswith("/"):
                found.append(word)
            elif word.endswith(".o") and "$" not in word:
                found.append(word.removesuffix(".o"))
    return tuple(dict.fromkeys(found))


def switches(file: Path) -> tuple[str, ...]:
    """Return the CONFIG_ variables that a Makefile uses as obj-$(CONFIG_X)."""
    return tuple(dict.fromkeys(_SWITCH.findall(_text(file))))


def modules(folder: Path) -> tuple[str, ...]:
    """Return the names of the modules that kbuild makes in a folder and below it."""
    return tuple(dict.fromkeys(Path(name).name for name in _named(folder, set())))


def _named(folder: Path, visited: set[Path]) -> Iterator[str]:
    """Yield the modules of a folder and of the folders that its Kbuild file descends to.

    `visited` has the folders that were read, since folders may name each other.
    """
    place = Path(os.path.realpath(folder))
    if place in visited:
        return
    visited.add(place)
    file = kbuild_file(place)
    for name in objects(file) if file is not None else ():
        if name.endswith("/"):
            yield from _named(place / name, visited)
        else:
            yield name


def kbuild_file(folder: Path) -> Path | None:
    """Return the Kbuild file or Makefile of a folder if it sets obj-m, obj-y or obj-$(...).

    None means that none of the files that kbuild would read sets them.
    """
    files = (folder / name for name in NAMES)
    return next((file for file in files if file.is_file() and objects(file)), None)


def makefile(folder: Path) -> Path | None:
    """Return the folder's Makefile, whether or not it sets obj-m; None without one."""
    files = (folder / name for name in reversed(NAMES) if name != "Kbuild")
    return next((file for file in files if file.is_file()), None)


def make_command(file: Path) -> str:
    """Return the make command that builds a Makefile's module for a kernel to be chosen later.

    Variables for the running kernel's headers or release are set to {kdir} or {release}. These
    placeholders stand for those of the chosen kernel.
    """
    words = [
        "make",
        *(["modules"] if re.search(r"^modules\s*:", _text(file), re.MULTILINE) else []),
    ]
    return " ".join([*words, *_kernel_variables(file)])


def _kernel_variables(file: Path) -> Iterator[str]:
    """Yield NAME={kdir} or NAME={release} for each of a Makefile's variables that name the kernel.

    {kdir} is for a value with a path of the kernel's headers, such as /lib/modules/.../build;
    {release} is for a value that `uname -r` computes. KERNELRELEASE and PWD are left out.
    """
    known: set[str] = set()
    for name, value in _ASSIGNED.findall(_text(file)):
        # A Makefile that finds KERNELRELEASE set believes that kbuild calls it.
        if name in known or name in {"KERNELRELEASE", "PWD"}:
            continue
        if re.search(r"/lib/modules/.*/build\b|/usr/src/(linux|kernels)\b", value):
            known.add(name)
            yield f"{name}={{kdir}}"
        elif _RELEASE.search(value) and "/" not in value:
            known.add(name)
            yield f"{name}={{release}}"


def _expanded(text: str, values: dict[str, str]) -> str:
    # A value may name other variables, and variables may name each other in a circle.
    for _ in range(3):
        used = [len(values.get(name, "")) for name in _USED.findall(text)]
        if len(text) + sum(used) > _MOST_CHARACTERS:
            break
        text = _USED.sub(lambda match: values.get(match[1], match[0]), text)
    return text


def _text(file: Path) -> str:
    # make, too, ignores a byte order mark at the start of a file.
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    return _COMMENT.sub("", _CONTINUED.sub(" ", text))
