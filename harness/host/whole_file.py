# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Files that are written whole or not at all: beside their place first, then renamed.

A reader sees the old content or the new one. Folders are published by `cache`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path beside `file`; what is there when the block ends without an error replaces it.

    When the block raises, `file` stays as it was and nothing is left beside it.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield beside
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def write(file: Path, content: str | bytes) -> None:
    """Replace the content of a file; of a text, what is no UTF-8 is written as an escape."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with replacing(file) as beside:
        beside.write_bytes(data)
