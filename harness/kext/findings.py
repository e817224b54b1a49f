# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What kext-check objects to in a kext: the broken rule, and what is wrong in words."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One objection of kext-check: the broken rule's name, and what is wrong with the kext."""

    rule: str
    reason: str
