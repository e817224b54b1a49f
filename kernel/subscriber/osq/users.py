# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The names of users as this host gives them now; they may have been others in a row's time."""

import pwd
from functools import lru_cache


@lru_cache(maxsize=4096)
def name_of(uid: int) -> str:
    """Return the name of a user, or "" for a uid that has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""
