# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Shorten the path of a source file: make it relative to the top of its tree. Pure.

No file is accessed.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

# The ways in which distributions' kernels and headers name their files. Everything before the path
# in the tree is removed.
_KERNEL_TREE = re.compile(r"^(?:.*/)?(?:linux-(?:headers-)?\d[^/]*/|debian/build/build_[^/]*/)+")


def shown_path(file: str, roots: Sequence[Path]) -> str:
    """Return a file relative to the first root that it is in, or to the kernel's tree.

    The path of a file in neither is returned as it is, without '.' and '..'.
    """
    path = os.path.normpath(file)
    for root in roots:
        if Path(path).is_relative_to(root):
            return str(Path(path).relative_to(root))
    return os.path.normpath(_KERNEL_TREE.sub("", path))


def shown_place(place: str, roots: Sequence[Path]) -> str:
    """Return file:line with the file as `shown_path` returns it; other text is unchanged."""
    file, colon, line = place.rpartition(":")
    return f"{shown_path(file, roots)}:{line}" if colon else place
