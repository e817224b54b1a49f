# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Parse the marker lines that the harness itself writes into a guest's kernel log.

harness-test-begin NAME          harness-test-end NAME
harness-canary TOKEN: ...        harness-heartbeat RUN N        harness-last-word TOKEN

A canary is a planted report that the scanner must find. A last word shows that the log is
complete.
"""

from dataclasses import dataclass
from enum import Enum

from harness.panic.intake.lines import kernel_text

_WORD = "harness-"


class MarkerKind(Enum):
    """The kinds of lines that the harness writes into a guest's kernel log.

    Each value is the word with which such a line begins.
    """

    TEST_BEGIN = "harness-test-begin"
    TEST_END = "harness-test-end"
    CANARY = "harness-canary"
    HEARTBEAT = "harness-heartbeat"
    LAST_WORD = "harness-last-word"


@dataclass(frozen=True, kw_only=True)
class Marker:
    """One line that the harness wrote into the kernel log.

    `name` is a test, a token or a run, and `number` the count of a heartbeat.
    """

    kind: MarkerKind
    name: str
    number: int = 0


_KINDS = {kind.value: kind for kind in MarkerKind}


def parse_marker(line: str) -> Marker | None:
    """Return the harness's marker in a console line, None for any other line.

    The same text from user space is no marker.
    """
    if _WORD not in line:
        return None
    text = kernel_text(line)
    words = text.split() if text is not None and text.startswith(_WORD) else []
    kind = _KINDS.get(words[0]) if len(words) > 1 else None
    if kind is None:
        return None
    last = words[-1]
    number = int(last) if kind is MarkerKind.HEARTBEAT and last.isdigit() else 0
    return Marker(kind=kind, name=words[1].rstrip(":"), number=number)
