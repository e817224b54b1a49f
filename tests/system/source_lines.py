# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find lines in the source of a module by their text, so that edits do not change the tests."""

import re
from pathlib import Path


def lines_of(source: Path, function: str, text: str) -> set[str]:
    """Return FILE:LINE of each line of a function that has a text, and of its loop around it."""
    lines = source.read_text().splitlines()
    begin = next(
        number for number, line in enumerate(lines) if re.match(rf"static .*\b{function}\(", line)
    )
    end = next(number for number, line in enumerate(lines[begin:], begin) if line == "}")
    found = {number for number in range(begin, end) if text in lines[number]}
    assert found, f"{function} has no line with {text}"
    loops = {number - 1 for number in found if "while (" in lines[number - 1]}
    return {f"{source.name}:{number + 1}" for number in found | loops}
