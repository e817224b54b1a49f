# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Explain an OSError of a full disk or an unusable file as an error of the harness.

Every write of the harness may raise such an error, so they are explained in one place, where a
task ends.
"""

import errno
import os
import shutil
from pathlib import Path

from harness import hints
from harness.errors import HarnessError, Lost, UsageError
from harness.model import build_folder
from harness.model.environment import Environment

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
# The error of a full disk may not name a file; then every place with less room is suspected.
_LITTLE_BYTES = 16 << 20


def explain(error: OSError, environment: Environment, project: Path) -> HarnessError | None:
    """Return the harness's error for a full disk or an unusable file, else None.

    A file is unusable if access to it is refused, if a file is in the place of a folder or a
    folder in the place of a file, or if it is missing in the cache. None is also returned when the
    error names no file, unless the disk is full. `project` is the folder of the project whose
    results are written.
    """
    if error.errno in _FULL:
        return _full(error, environment, project)
    place = error.filename
    if not isinstance(place, str | os.PathLike):
        return None
    file = Path(place)
    in_cache = file.is_relative_to(environment.cache) or environment.cache.is_relative_to(file)
    # When a cache folder could not be made, later errors are ENOENT, which hides the cause.
    if error.errno not in _REFUSED and not (in_cache and error.errno == errno.ENOENT):
        return None
    reason = error.strerror
    if error.errno in {errno.EEXIST, errno.ENOTDIR} and (blocking := _blocking_file(file)):
        file, reason = blocking, "it is a file, and a folder is expected"
    if in_cache:
        return UsageError(
            f"the cache {environment.cache} cannot be used: {file}: {reason}",
            hint="HARNESS_CACHE=FOLDER names another folder for it",
        )
    if file.is_relative_to(build_folder.within(project)):
        return UsageError(
            f"{build_folder.within(project)} cannot be written to: {file}: {reason}",
            hint=f"results lie there: make it writable, or copy the project and call "
            f"{hints.program()} in the copy",
        )
    return UsageError(f"{file}: {reason}")


def _blocking_file(path: Path) -> Path | None:
    """Return the first part of a path that is a file where a folder is needed, or None."""
    return next((part for part in (path, *path.parents) if part.is_file()), None)


def _full(error: OSError, environment: Environment, project: Path) -> Lost:
    """Return the error for a full disk, which says how much space is free in which folder.

    The text names the folder of the error's file. For an error without a file, the text names
    those of the folders for the cache, the results and the sockets that have little space; if none
    of them has little space, it names all that exist.
    """
    if isinstance(error.filename, str):
        places = [Path(error.filename).parent]
    else:
        places = [environment.cache, build_folder.within(project), environment.runtime]
    free = {place: shutil.disk_usage(place).free for place in places if place.is_dir()}
    full = [place for place, size in free.items() if size < _LITTLE_BYTES]
    where = ", ".join(f"{free[place] // 2**20} MiB are free in {place}" for place in full or free)
    return Lost(
        f"{(error.strerror or 'the disk is full').lower()}: {where}"
        if where
        else "a disk is full",
        hint=f"free some space, `{hints.command('clean', '--all', '--runs')}`, "
        "or set HARNESS_CACHE to a folder on a larger disk",
    )
