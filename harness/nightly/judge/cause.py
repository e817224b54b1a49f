# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide what may have caused a new failure: the module's commits, the kernel, or both. Pure.

The decision compares each failing cell with the cell as it was when the test last passed there.
When both have changed, cells in which only one of them changed decide.
"""

from collections.abc import Sequence

from harness.nightly.judge.failures import Event
from harness.nightly.judge.findings import Cause, Suspect
from harness.nightly.judge.nights import CellOnce

Pair = tuple[CellOnce, CellOnce]


def of_failure(events: Sequence[Event], good: Sequence[Pair]) -> Cause:
    """Return what may have caused a new failure, the evidence for it, and the range to bisect.

    The suspect is what changed since the last pass: the module's commits, the kernel's version,
    both or nothing; FIRST when no cell has a good result before. `events` are the failure in each
    cell that shows it. `good` are the cells in which the same test passes tonight: each as it is
    now, and as it was in its run before.
    """
    bad = [(event.cell, event.last_good) for event in events if event.last_good is not None]
    pairs = [(now, then) for now, then in bad if then is not None]
    if not pairs:
        words = (f"{_cells(len(events))} never had a good result of this.",)
        return Cause(suspect=Suspect.FIRST, cell=events[0].cell.cell, evidence=words)
    suspect, evidence = _suspect(pairs, good)
    # The narrowest range is that of the cell which passed last.
    fitting = [pair for pair in pairs if _changed(pair) == _changes(suspect)] or pairs
    now, then = fitting[-1]
    return Cause(
        suspect=suspect,
        cell=now.cell,
        evidence=evidence,
        commits=(then.commit, now.commit) if _changes(suspect)[0] else (),
        versions=(then.kernel_version, now.kernel_version) if _changes(suspect)[1] else (),
    )


def _changed(pair: Pair) -> tuple[bool, bool]:
    now, then = pair
    return now.commit != then.commit, now.kernel_version != then.kernel_version


def _changes(suspect: Suspect) -> tuple[bool, bool]:
    return suspect in {Suspect.COMMITS, Suspect.BOTH}, suspect in {Suspect.KERNELS, Suspect.BOTH}


def _suspect(bad: Sequence[Pair], good: Sequence[Pair]) -> tuple[Suspect, tuple[str, ...]]:
    changes = [_changed(pair) for pair in bad]
    only_commit, only_kernel = changes.count((True, False)), changes.count((False, True))
    if only_commit:
        words = f"The kernel of {_of(only_commit, bad)} did not change, the module's commit did."
        return Suspect.COMMITS, (words, *_still_good(good, bad))
    if only_kernel:
        words = f"The module's commit did not change in {_of(only_kernel, bad)}, the kernel did."
        return Suspect.KERNELS, (words, *_still_good(good, bad))
    if (True, True) not in changes:
        words = "Neither the module's commit nor the kernel's version changed since the last pass."
        return Suspect.NOTHING, (words,)
    return _of_both(bad, good)


def _of_both(bad: Sequence[Pair], good: Sequence[Pair]) -> tuple[Suspect, tuple[str, ...]]:
    """Return both suspects, for cells in which the module's commit and the kernel both changed.

    The commit stays suspect although other kernels pass, because the fault may need this kernel.
    """
    words = f"The module's commit and the kernel changed together in {_of(len(bad), bad)}."
    first = "The first step is the last good commit on the new kernel."
    return Suspect.BOTH, (words, *_still_good(good, bad), first)


def _still_good(good: Sequence[Pair], bad: Sequence[Pair]) -> tuple[str, ...]:
    """Return a sentence that counts the cells that pass with the same commit, () for none."""
    now = bad[-1][0]
    same = [pair for pair in good if pair[0].commit == now.commit]
    if not same:
        return ()
    return (f"It is good in {_cells(len(same))} with the same commit.",)


def _of(count: int, bad: Sequence[Pair]) -> str:
    return _cells(count) if count == len(bad) else f"{count} of {_cells(len(bad))}"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
