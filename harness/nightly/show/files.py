# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write the report files of a night: the page, and files for mail, chat, GitHub and feeds."""

from pathlib import Path

from harness.host import cache, whole_file
from harness.nightly.show import digest, feed, page
from harness.nightly.show.morning import Morning

_WRITERS = {
    "nightly.html": page.render,
    "nightly.md": digest.markdown,
    "chat.txt": digest.chat,
    "annotations.txt": digest.annotations,
    "feed.xml": feed.render,
}


def write(morning: Morning, folder: Path) -> tuple[Path, ...]:
    """Write every report file of a night into a folder, and return their paths, the page first.

    Each file is replaced as a whole, so no reader sees half of it.
    Raises: Lost when the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with cache.room(folder):
        for name, render in _WRITERS.items():
            whole_file.write(folder / name, render(morning))
    return tuple(folder / name for name in _WRITERS)
