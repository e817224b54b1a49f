# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Choose few rows of the nightly matrix so that every pair of values still occurs in some row.

A row is a cell with its target, kernel, flavour and test set. Libraries for pairwise testing take
the values of each axis and make the rows themselves. Here the rows are given, because some
combinations are excluded, and only pairs that a given row has are wanted. The same rows give the
same choice in every night.
"""

import itertools
from collections.abc import Sequence

_Pair = tuple[int, str, int, str]


def reduced(rows: Sequence[tuple[str, ...]]) -> tuple[int, ...]:
    """Return the positions of the rows to keep, in their order.

    Two values that stand together in some row also stand together in a row that is kept. Each step
    keeps the row with the most pairs that no kept row has; of several, the first.
    """
    pairs = [_pairs(row) for row in rows]
    missing = set().union(*pairs)
    kept: list[int] = []
    while missing:
        best = max(range(len(rows)), key=lambda at: len(pairs[at] & missing))
        kept.append(best)
        missing -= pairs[best]
    return tuple(sorted(kept))


def _pairs(row: tuple[str, ...]) -> set[_Pair]:
    numbered = list(enumerate(row))
    return {(*one, *other) for one, other in itertools.combinations(numbered, 2)}
