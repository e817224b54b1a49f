# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the line in the driver's source where a crash is made, by its text.

So edits of the source do not change the tests.
"""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "kernel" / "os" / "linux"


def place_of(file: str, function: str, text: str) -> str:
    """Return FILE:LINE of the first line in a function that contains a text."""
    lines = (SOURCE / file).read_text().splitlines()
    begin = next(
        number for number, line in enumerate(lines) if re.match(rf"^static .*\b{function}\(", line)
    )
    line = next(number for number, line in enumerate(lines[begin:], begin) if text in line)
    return f"{file}:{line + 1}"
