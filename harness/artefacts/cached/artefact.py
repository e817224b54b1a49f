# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Take an artefact from the cache of this host, or from the shared cache, or make it.

lock -> look -> take from the shared cache, or make -> publish -> give to the shared cache

Every module that makes artefacts goes this way, so that none appears half made, none is made twice
at once, and none that is damaged is used.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.artefacts.cached import shared_cache
from harness.artefacts.cached.shared_cache import Shelf
from harness.host import cache

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """An artefact that is a folder of the cache.

    `folder` is named by a hash of everything that the artefact is made from. `what` is its name in
    messages. `lock_s` is how long another process on this host may need to make it. `shared` is
    the folder of the shared cache, None without one. `shared_name` is the artefact's name there,
    by default that of the folder.
    """

    folder: Path
    what: str
    lock_s: float
    shared: Path | None = None
    shared_name: str = ""

    @property
    def shelf(self) -> Shelf | None:
        """The place of this artefact in the shared cache, None without a shared cache."""
        if self.shared is None:
            return None
        name = self.shared_name or self.folder.name
        return Shelf(shared=self.shared, kind=self.folder.parent.name, name=name)


def ensure(
    wanted: Artefact,
    make: Callable[[Path], None],
    *,
    problem: Callable[[Path], str],
    progress: Progress,
) -> Path:
    """Return the folder of an artefact, which is taken or made if the cache has no usable one.

    The shared cache is asked first, if there is one. `make` fills an empty folder. `problem`
    returns the reason why a folder is unusable, or "".
    Raises: CacheBusy while another process makes it, Lost when the disk is full; and the errors of
        `make`.
    """
    folder, made = wanted.folder, False
    held = cache.lock(
        folder.with_name(f".{folder.name}.lock"),
        what=wanted.what,
        deadline_s=wanted.lock_s,
        progress=progress,
    )
    with held:
        found = problem(folder)
        if found and folder.exists():
            progress(f"{wanted.what} in the cache is replaced: {found}")
        if found:
            shelf = wanted.shelf
            made = shelf is None or not shared_cache.take(
                shelf, folder, problem=problem, progress=progress
            )
            if made:
                with cache.publish(folder) as beside:
                    make(beside)
            cache.forget_unused(folder.parent)
        os.utime(folder)
    if made:
        give(wanted, progress)
    return folder


def give(made: Artefact, progress: Progress) -> None:
    """Give an artefact that was made here to the shared cache, if there is one."""
    if made.shelf is not None:
        shared_cache.give(made.shelf, made.folder, progress=progress)


def lack_of(name: str) -> Callable[[Path], str]:
    """Return a function that tells why an artefact's folder is unusable: it lacks the file `name`.

    The function takes the folder; it returns that reason, or "" when the folder has the file.
    """
    return lambda folder: "" if (folder / name).is_file() else f"it has no {name}"
