# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Copy and pack the source of a release: the files that git tracks in some places, without tests.

The configuration has patterns and no list of files, so a new source file becomes part of the next
release.
"""

import fnmatch
import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.host import tool

_GIT_S = 30.0


def stage(
    project: Path, places: Sequence[str], *, without: Sequence[str], target: Path
) -> tuple[str, ...]:
    """Copy the files that git tracks in some places to an empty folder; return the sorted names.

    Shape: `places` are folders or files of the project. `without` are patterns of names to leave
        out (fnmatch on the whole name: * matches a slash, too).
    Raises: UsageError when a place contains no tracked file or a pattern matches nothing, because
        one of them is probably misspelt.
    """
    names = sorted({name for place in places for name in _tracked(project, place)})
    for pattern in without:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"the pattern {pattern} of sources to leave out matches nothing")
    kept = tuple(name for name in names if not any(fnmatch.fnmatch(name, one) for one in without))
    for name in kept:
        original, copy = project / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(original.read_bytes())
        # git tracks only whether a file is executable; the other bits are those of somebody's
        # umask.
        copy.chmod(0o755 if original.stat().st_mode & 0o100 else 0o644)
    return kept


def pack(folder: Path, archive: Path, *, top: str, epoch_s: int) -> None:
    """Write a folder as .tar.gz below the top folder `top`; each file gets the time `epoch_s`.

    The same files give the same bytes.
    """
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(f"{top}/{path.relative_to(folder).as_posix()}")
            info.size = path.stat().st_size
            info.mode = path.stat().st_mode & 0o777
            info.mtime = epoch_s
            info.uname = info.gname = "root"
            with path.open("rb") as content:
                tar.addfile(info, content)
    # gzip would write the present time into its header.
    archive.write_bytes(gzip.compress(data.getvalue(), mtime=0))


def _tracked(project: Path, place: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--", place]
    done = tool.run(command, deadline_s=_GIT_S, error=UsageError, check=False, cwd=project)
    names = [name for name in done.text.split("\0") if name and (project / name).is_file()]
    if not names:
        raise UsageError(
            f"git tracks no file in {place}, which belongs to the release",
            evidence=done.lines[-5:],
        )
    return names
