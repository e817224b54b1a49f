# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find what is new in the message buffer of XNU, which dmesg prints. Pure.

The buffer is a ring of bytes: when it is full, each new message overwrites the oldest bytes. So
the number of lines says nothing about what is new.
"""

from collections.abc import Sequence


def new_lines(before: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of `now` that were not in the buffer `before`.

    The first line of `now` may be the end of an older line. The last line of `before` counts as
    new if the kernel has continued it. If nothing of `before` is left, all lines are new.
    """
    text = "\n".join(now)
    for number, line in enumerate(before):
        if not now or not line.endswith(now[0]):
            continue
        kept = "\n".join((now[0], *before[number + 1 :]))
        if text.startswith(kept):
            is_continued = text[len(kept) : len(kept) + 1] not in {"", "\n"}
            return tuple(now[len(before) - number - is_continued :])
    return tuple(now)
