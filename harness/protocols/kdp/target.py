# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a kernel reports about itself over KDP, as a value. Pure."""

from dataclasses import dataclass

from harness.errors import DebugError
from harness.protocols.kdp import registers
from harness.protocols.kdp.packets import VERSION_64_BIT, HostInfo, Version


@dataclass(frozen=True, kw_only=True)
class KdpTarget:
    """What a kernel has told of itself over KDP: CPU type, CPUs, KDP's version, its version text.

    `cpus_mask` has a bit for each CPU. `uuid` and `text_address` (where its code lies) are from
    the version text (`banner`); they are "" and 0 when it lacks them.
    """

    cpu_type: int
    cpu_subtype: int
    cpus_mask: int
    version: int
    feature: int
    banner: str
    uuid: str
    text_address: int


def kernel_target(version: Version, host: HostInfo, banner: str) -> KdpTarget:
    """Combine a kernel's replies to VERSION, HOSTINFO and KERNELVERSION (`banner`) into one value.

    Raises: DebugError for a CPU that is neither x86-64 nor arm64, or a protocol with 32-bit
        addresses.
    """
    if host.cpu_type not in registers.ARCHITECTURES:
        raise DebugError(f"the kernel's CPU type is {host.cpu_type:#x}: not known here")
    if version.version < VERSION_64_BIT:
        raise DebugError(f"the kernel speaks KDP {version.version}: 32 bits only")
    return KdpTarget(
        cpu_type=host.cpu_type,
        cpu_subtype=host.cpu_subtype,
        cpus_mask=host.cpus_mask,
        version=version.version,
        feature=version.feature,
        banner=banner,
        uuid=_word_after(banner, "UUID="),
        text_address=_address(_word_after(banner, "stext=")),
    )


def _word_after(text: str, mark: str) -> str:
    """Return the word that follows `mark` in a text, without punctuation; "" without the mark."""
    _, found, rest = text.partition(mark)
    words = rest.split()
    return words[0].rstrip(";,") if found and words else ""


def _address(word: str) -> int:
    """Return the hexadecimal address that a word of the version text is, 0 for another word."""
    try:
        return int(word, 16)
    except ValueError:
        return 0
