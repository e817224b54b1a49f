# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Publish a release into a folder, complete or not at all, with the checksums of its files."""

import hashlib
import shutil
from pathlib import Path

from harness.errors import UsageError
from harness.host import cache

SUMS = "SHA256SUMS"


def check_free(folder: Path) -> None:
    """Check that the release may replace this folder: it is missing, empty, or contains a release.

    Raises: UsageError when the folder contains anything else.
    """
    if folder.exists() and not (folder / SUMS).is_file() and any(folder.iterdir()):
        raise UsageError(f"{folder} exists and contains no release, so it is not overwritten")


def write_sums(folder: Path) -> None:
    """Write the SHA-256 sums of the files in a folder into its file SHA256SUMS, as sha256sum does.

    Files in subfolders are left out.
    """
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name != SUMS
    ]
    (folder / SUMS).write_text("".join(lines))


def publish(made: Path, final: Path) -> None:
    """Copy the finished release `made` to the folder `final`, where it replaces an older release.

    If the copy fails, the older release stays as it is.
    Raises: Lost when the disk is full.
    """
    with cache.publish(final.absolute()) as beside:
        # shutil.copytree would hide the error of a full disk in a list of texts.
        for source in sorted(made.rglob("*")):
            target = beside / source.relative_to(made)
            if source.is_dir():
                target.mkdir()
            else:
                shutil.copy2(source, target)
