# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Replace files as a whole: write a temporary file in the same folder, then rename it.

A reader sees the old content or the new one. `cache` does the same for folders.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path beside `file`; it replaces `file` when the block succeeds.

    When the block raises, `file` stays as it was and the temporary file is removed.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield beside
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def write(file: Path, content: str | bytes) -> None:
    """Replace the content of a file; what UTF-8 cannot encode is written as escapes."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    with replacing(file) as beside:
        beside.write_bytes(data)
