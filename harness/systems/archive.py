# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make a tar archive of host files, each with the path that it gets in the guest."""

import io
import tarfile
import time
from collections.abc import Sequence

from harness.model.settings import PushSpec


def tar(files: Sequence[PushSpec]) -> bytes:
    """Return a tar archive of host files with the path and mode that each gets in the guest.

    All files are owned by root.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in files:
            data = file.source.read_bytes()
            # tar would strip the slash as well, and warn about it.
            entry = tarfile.TarInfo(file.target.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(data), file.mode, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
