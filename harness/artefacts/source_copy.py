# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Keep a copy of a module's source folder up to date, in which the module is built.

In a git repository, the files that git ignores and untracked files in build/ are left out.
Elsewhere build/ and the products of an earlier make are left out.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_GIT_S = 60.0
_BUILD = "build"
# Files that kbuild leaves beside the source; an object file counts if its source is beside it.
_PRODUCTS = re.compile(
    r"\.(?:ko|mod|mod\.c|mod\.o|cmd|order|symvers)$|^\.tmp_|^(?:Module\.symvers|modules\.order)$"
)


def files(source: Path) -> tuple[Path, ...]:
    """Return the files of a source folder that a build needs, relative to it, sorted.

    Files that git ignores and the products of earlier builds are left out.
    """
    found = _of_git(source)
    return tuple(sorted(_of_folder(source) if found is None else found))


def contents(source: Path) -> Iterator[str | Path]:
    """Yield the parts of a cache key that change with a source folder: each file's name and path.

    For a link to a place inside the source, the link's target follows the name instead of the
    path.
    """
    for path in files(source):
        link = _inner_link(source, source / path)
        yield str(path)
        yield source / path if link is None else str(link)


def mirror(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`: write changed files, and delete files that have vanished.

    Files that a build made in `target`, such as objects, stay there. A link to a place inside the
    source stays a link; for any other link, the file to which it points is copied.
    """
    wanted = files(source)
    manifest = target.with_name(f"{target.name}.manifest")
    known = set(manifest.read_text().splitlines()) if manifest.is_file() else set()
    for name in known - {str(path) for path in wanted}:
        (target / name).unlink(missing_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    for path in wanted:
        _bring(source, path, target / path)
    manifest.write_text("".join(f"{path}\n" for path in wanted))


def _bring(source: Path, path: Path, copy: Path) -> None:
    original = source / path
    if copy.is_dir() and not copy.is_symlink():
        # A folder of the source has become a file. Objects of its files are not needed any more.
        shutil.rmtree(copy)
    link = _inner_link(source, original)
    if link is not None:
        if not copy.is_symlink() or copy.readlink() != link:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            copy.symlink_to(link)
        return
    # A copy has the time of its original; make, too, decides by it what to compile again.
    if copy.is_file() and copy.stat().st_mtime_ns == original.stat().st_mtime_ns:
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    # The copy of a read-only file is read-only, and a link would lead the new content elsewhere.
    if copy.is_symlink() or (copy.exists() and not os.access(copy, os.W_OK)):
        copy.unlink()
    shutil.copy2(original, copy)


def _inner_link(source: Path, path: Path) -> Path | None:
    """Return a link's target if it is relative and inside the source, else None.

    None is also returned for a path that is no link, and for a link that leads to itself, maybe
    over other links.
    """
    if not path.is_symlink() or path.readlink().is_absolute():
        return None
    try:
        place = path.resolve()
    except (OSError, RuntimeError):
        # Python 3.11 raises a RuntimeError for a circle of links.
        return None
    return path.readlink() if place.is_relative_to(source.resolve()) else None


def _of_git(source: Path) -> set[Path] | None:
    """Return the files that git tracks or does not ignore, without untracked ones in build/.

    The result is None when git is missing, fails, or lists no file, as in a folder outside of git.
    """
    tracked = _listed(source, "--cached")
    new = _listed(source, "--others", "--exclude-standard")
    if tracked is None or new is None or not (tracked or new):
        return None
    found = {*tracked, *(path for path in new if path.parts[0] != _BUILD)}
    # git lists a submodule, or a repository within this one, as one path.
    below = {
        path for path in found if (source / path).is_dir() and not (source / path).is_symlink()
    }
    inside = {folder / path for folder in below for path in files(source / folder)}
    return {path for path in found - below if _exists(source, source / path)} | inside


def _listed(source: Path, *options: str) -> list[Path] | None:
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", *options],
            cwd=source,
            check=False,
            capture_output=True,
            timeout=_GIT_S,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]


def _of_folder(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [
            name
            for name in folders
            if name not in {".git", ".tmp_versions"} and (here != source or name != _BUILD)
        ]
        for name in (*names, *links):
            path = here / name
            if not _is_product(path) and _exists(source, path):
                yield path.relative_to(source)


def _exists(source: Path, path: Path) -> bool:
    """Return whether a path is a file, or a link to a place inside the source."""
    return path.is_file() or _inner_link(source, path) is not None


def _is_product(path: Path) -> bool:
    if _PRODUCTS.search(path.name):
        return True
    sources = (path.with_suffix(suffix) for suffix in (".c", ".S"))
    return path.suffix == ".o" and any(source.is_file() for source in sources)
