# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Replace words in braces, such as {kdir} and {release}, in commands and parameters."""

import re
from collections.abc import Mapping


def filled(text: str, known: Mapping[str, str]) -> str:
    """Return a text in which {NAME} is replaced for each name in `known`; other braces stay."""
    # (?!) matches nothing.
    pattern = "|".join(map(re.escape, known)) or "(?!)"
    return re.sub(rf"\{{({pattern})\}}", lambda match: known[match[1]], text)
