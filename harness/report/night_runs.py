# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The folders of runs that a night has made, which are removed when they take too much room.

A run that a person has started has no mark, and is never removed here.
"""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.host import cache, whole_file
from harness.model.settings import Verdict

_MARK = "night"
# Crashes are removed last: their dumps and logs cannot be had again by another run.
_ORDER = (Verdict.PASSED, Verdict.SKIPPED, Verdict.LOST, Verdict.FAILED, Verdict.CRASHED)


@dataclass(frozen=True, kw_only=True)
class _NightRun:
    """A run that was marked as made by a night: its folder, verdict and size on the disk."""

    folder: Path
    verdict: Verdict
    size_bytes: int


def mark(folder: Path, verdict: Verdict) -> None:
    """Mark a run's folder as made by a night, so that `prune` may remove it later.

    Nothing is done if the folder does not exist.
    """
    if folder.is_dir():
        whole_file.write(folder / _MARK, verdict.value)


def prune(runs: Path, *, most_bytes: int, keep: Collection[str]) -> tuple[str, ...]:
    """Remove marked runs until the rest takes no more than `most_bytes`; return the removed names.

    Runs that passed are removed first and runs that crashed last, the oldest of each first. Those
    named in `keep` are not removed, although their size counts.
    """
    found = sorted(_marked(runs), key=lambda run: (_ORDER.index(run.verdict), run.folder.name))
    total = sum(run.size_bytes for run in found)
    removed = []
    for run in found:
        if total <= most_bytes:
            break
        if run.folder.name not in keep:
            shutil.rmtree(run.folder, ignore_errors=True)
            total -= run.size_bytes
            removed.append(run.folder.name)
    return tuple(removed)


def _marked(runs: Path) -> Iterator[_NightRun]:
    for file in runs.glob(f"*/{_MARK}"):
        try:
            verdict = Verdict(file.read_text())
        except (OSError, ValueError):
            # It is being removed by another process, or a run has a file of this name.
            continue
        size = cache.size_bytes(file.parent)
        yield _NightRun(folder=file.parent, verdict=verdict, size_bytes=size)
