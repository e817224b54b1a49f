# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read fragments of kernel configurations, and find each line that a kernel did not accept.

A fragment is a file with lines as in a kernel's .config. A line may end in `# before 6.9` or
`# from 6.9`; it then holds for those kernels only. kconfig silently drops an option that it does
not know, or whose dependencies are not met, so the result is compared with the fragments.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import KernelError

Version = tuple[int, int]

_SET = re.compile(r"(?P<name>CONFIG_\w+)=(?P<value>\"[^\"]*\"|\S+)$")
_UNSET = re.compile(r"# (?P<name>CONFIG_\w+) is not set$")
_RANGE = re.compile(r"\s+# (?P<word>before|from) (?P<major>\d+)\.(?P<minor>\d+)$")
_HEADS = ("config ", "menuconfig ")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a kernel configuration's fragment: its file, its number, its text for .config."""

    file: Path
    number: int
    name: str
    text: str

    @property
    def is_off(self) -> bool:
        """Whether the line switches its kernel option off."""
        return self.text.startswith("#") or self.text == f"{self.name}=n"

    def __str__(self) -> str:
        """Return FILE:LINE and the text, as in a compiler's message."""
        return f"{self.file}:{self.number}: {self.text}"


def read(files: Iterable[Path], version: Version) -> tuple[Line, ...]:
    """Return the options that fragments set for a kernel of this version, in order.

    Of several lines for one option the last is returned, so a later fragment wins.
    Raises: KernelError with file and line for a line that no .config can have.
    """
    found: dict[str, Line] = {}
    for file in files:
        for number, text in enumerate(file.read_text().splitlines(), start=1):
            line = _parsed(file, number, text.rstrip(), version)
            if line is not None:
                found.pop(line.name, None)
                found[line.name] = line
    return tuple(found.values())


def _parsed(file: Path, number: int, text: str, version: Version) -> Line | None:
    """Return the kernel option that a fragment's line sets; None for a comment or an empty line.

    None is also returned for a line that is not for kernels of this version.
    Raises: KernelError with file and line for a line that no .config can have.
    """
    limit = _RANGE.search(text)
    if limit is not None:
        since = (int(limit["major"]), int(limit["minor"]))
        if (version < since) is not (limit["word"] == "before"):
            return None
        text = text[: limit.start()]
    match = _SET.match(text) or _UNSET.match(text)
    if match is not None:
        return Line(file=file, number=number, name=match["name"], text=text)
    if text and not text.startswith("#"):
        raise KernelError(
            f"{file}:{number}: {text!r} is no line of a kernel's configuration",
            hint="a line is CONFIG_NAME=VALUE or '# CONFIG_NAME is not set'",
        )
    return None


def text_of(lines: Iterable[Line]) -> str:
    """Return the lines of fragments as the text of one file for kconfig."""
    return "".join(f"{line.text}\n" for line in lines)


def refused(lines: Iterable[Line], config: str) -> tuple[Line, ...]:
    """Return those lines of fragments that a finished .config does not have."""
    present = set(config.splitlines())
    return tuple(
        line
        for line in lines
        if not (_is_off(line.name, config) if line.is_off else line.text in present)
    )


def _is_off(name: str, config: str) -> bool:
    return re.search(rf"^{name}=", config, re.MULTILINE) is None


def reason(line: Line, kconfigs: Sequence[str], config: str) -> str:
    """Return why a kernel refused a line, for a person who has to correct it.

    `kconfigs` are the texts of the source's Kconfig files, `config` the finished .config.
    """
    name = line.name.removeprefix("CONFIG_")
    needs: list[str] = []
    known = False
    for text in kconfigs:
        for block in _blocks(text, name):
            known = True
            needs += [one.strip() for one in block if one.strip().startswith("depends on ")]
    if not known:
        return "this source has no such option"
    got = next((one for one in config.splitlines() if f"{line.name}=" in one), "it is off")
    if not needs:
        return f"{got}; nothing can be chosen, or a menu around it is off"
    return f"{got}; it {'; '.join(dict.fromkeys(needs))}"


def _blocks(text: str, name: str) -> Iterable[list[str]]:
    """Yield the attributes of each definition of an option in the text of a Kconfig file.

    Shape: for each definition, the indented lines below it.
    """
    block: list[str] | None = None
    for line in text.splitlines():
        if line.strip() in {f"{head}{name}" for head in _HEADS}:
            if block is not None:
                yield block
            block = []
        elif block is not None and line and not line[0].isspace():
            yield block
            block = None
        elif block is not None:
            block.append(line)
    if block is not None:
        yield block
