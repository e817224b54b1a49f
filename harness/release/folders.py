# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The folder that a release is published into: whole or not at all, with the sums of its files."""

import hashlib
import shutil
from pathlib import Path

from harness.errors import UsageError

SUMS = "SHA256SUMS"


def check_free(folder: Path) -> None:
    """Return when a release may replace the folder: there is none, or it holds a release.

    Raises: UsageError when it holds something else.
    """
    if folder.exists() and not (folder / SUMS).is_file() and any(folder.iterdir()):
        raise UsageError(f"{folder} holds something else than a release: it is not overwritten")


def write_sums(folder: Path) -> None:
    """Write the sums of a folder's files into it, as sha256sum reads them."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name != SUMS
    ]
    (folder / SUMS).write_text("".join(lines))


def publish(made: Path, final: Path) -> None:
    """Put all of a folder in its final place; an older release there goes."""
    if final.exists():
        shutil.rmtree(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, final)
