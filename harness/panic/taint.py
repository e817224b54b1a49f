# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The meaning of the letters after 'Tainted:' in a report of the kernel.

Source: Documentation/admin-guide/tainted-kernels.rst. G only says that no module is proprietary.
"""

_MEANINGS = {
    "P": "a proprietary module was loaded",
    "F": "a module was loaded by force",
    "S": "the processor or its use is out of specification",
    "R": "a module was unloaded by force",
    "M": "the processor reported a machine check",
    "B": "a page was in a bad state",
    "U": "a user asked for the mark",
    "D": "the kernel had an oops or a BUG before",
    "A": "an ACPI table was replaced",
    "W": "the kernel had a warning before",
    "C": "a staging driver was loaded",
    "I": "the kernel works around a fault of the firmware",
    "O": "an out-of-tree module was loaded",
    "E": "an unsigned module was loaded",
    "L": "a CPU had a soft lockup before",
    "K": "the kernel was live-patched",
    "X": "the distribution set its own mark",
    "T": "the layout of structures is randomised",
    "N": "a test ran in the kernel",
    "J": "a process changed a device by fwctl",
}


def meanings(letters: str) -> tuple[str, ...]:
    """Return 'LETTER: meaning' for each known taint letter in `letters`, in their order."""
    return tuple(f"{one}: {_MEANINGS[one]}" for one in letters if one in _MEANINGS)
