# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Replace files atomically: write a temporary file in the same folder, then rename it.

A reader sees either the old content or the new. `cache` does the same for folders.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path beside `file`; it replaces `file` if the block succeeds.

    If the block raises, `file` is not changed and the temporary file is removed.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield beside
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def write(file: Path, content: str | bytes) -> None:
    """Replace the content of a file; characters that UTF-8 cannot encode become escapes."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with replacing(file) as beside:
        beside.write_bytes(data)
