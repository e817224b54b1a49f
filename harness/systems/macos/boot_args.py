# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Add words to the kernel's boot arguments of macOS in a way that can be undone. Pure.

Arguments with other names are kept unchanged, because a Mac may need its own arguments to boot.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from harness.errors import UsageError

# xnu, osfmk/kern/debug.h: DB_NMI, DB_ARP, and 0x100 (DB_LOG_PI_SCRN), obsolete but accepted.
DEBUG_FLAGS = 0x144
# Before OS X 10.11 this argument alone let unsigned kexts load. It has had no effect since.
KEXT_DEV_MODE = ("kext-dev-mode=1",)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of a list of arguments: the added words, and the words that they replaced."""

    added: tuple[str, ...]
    replaced: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the change as one line, which is stored beside the changed arguments."""
        return json.dumps(asdict(self))


def read_change(text: str) -> Change:
    """Return a change from its stored line.

    Raises: UsageError when the text is not such a line.
    """
    try:
        found = json.loads(text)
        return Change(added=tuple(found["added"]), replaced=tuple(found["replaced"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "the record of what was changed cannot be read", evidence=text.splitlines()[:5]
        ) from error


def merge(current: str, wanted: Sequence[str]) -> tuple[str, Change]:
    """Add words to the boot arguments `current`; return them and the change that was made.

    A word NAME=VALUE replaces another value of NAME. A word that is already there is not added
    again.
    """
    words = current.split()
    added = tuple(word for word in wanted if word not in words)
    names = {_name(word) for word in added if "=" in word}
    replaced = tuple(word for word in words if "=" in word and _name(word) in names)
    kept = [word for word in words if word not in replaced]
    return " ".join([*kept, *added]), Change(added=added, replaced=replaced)


def revert(current: str, change: Change) -> str:
    """Undo a change of boot arguments: remove the added words, restore those that they replaced.

    Words that another program has added in the meantime are kept.
    """
    kept = [word for word in current.split() if word not in change.added]
    names = {_name(word) for word in kept}
    back = [word for word in change.replaced if _name(word) not in names]
    return " ".join([*kept, *back])


def for_debugging(*, arch: str, link: str) -> tuple[str, ...]:
    """Return the boot arguments with which a kernel can be debugged and its panics read.

    `link` is the device on which KDP listens: an interface (en0), 'serial', or '' when a
    hypervisor's stub is used. A kernel on Apple silicon accepts no live debugger; there the
    arguments only improve its panic texts.
    """
    if arch == "arm64":
        return ("keepsyms=1", "-v")
    kdp = (f"kdp_match_name={link}",) if link else ()
    return (f"debug={DEBUG_FLAGS:#x}", "keepsyms=1", "-v", *kdp)


def _name(word: str) -> str:
    return word.partition("=")[0]
