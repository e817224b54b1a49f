# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One objection of kext-check to a kext: the broken rule, and what is wrong in words."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One objection of kext-check to a kext."""

    rule: str
    reason: str
