# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the tests again: after each change of the project's files, or a given number of times.

A run is a function that ends in an exit code. Files are compared with their state before the run
began, so a change that is saved during a run leads to another run.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.artefacts import source_copy
from harness.model.settings import Settings

# The time of its last change and the size of each watched file.
State = dict[Path, tuple[int, int]]
Run = Callable[[], int]

_LOOK_EVERY_S = 0.5
# An editor writes several files for one save; the run begins when nothing has changed for so long.
_SETTLE_S = 0.2
# What tools write beside the sources, at any time; a log may be that of this very command.
_ASIDE = re.compile(r"^[.#]|^__pycache__$|~$|\.(?:log|tmp|swp)$")
# A file of the kernel's sources that no other project has.
_OF_A_KERNEL = Path("scripts/Kbuild.include")


def state(settings: Settings) -> State:
    """Return the time and size of each file that a run depends on: source, configuration, tests.

    What git ignores, build/, hidden files, logs and what editors and Python leave are left out.
    """
    found: State = {}
    for path in sorted(_files(settings)):
        try:
            status = path.stat()
        except OSError:
            # The file was removed after it was listed.
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _files(settings: Settings) -> Iterator[Path]:
    if settings.file.is_file():
        yield settings.file
    for folder in _folders(settings):
        for path in source_copy.files(folder):
            if not any(_ASIDE.search(part) for part in path.parts):
                yield folder / path
    for spec in settings.tests:
        if spec.pytest is not None and spec.pytest.is_file():
            yield spec.pytest


def _folders(settings: Settings) -> set[Path]:
    """Return the folders to watch: the project, its tests and the module's source.

    A project that is a whole kernel tree is too large, so only the other two are watched.
    """
    root, tests = settings.root, [spec.pytest for spec in settings.tests]
    found = {folder for folder in tests if folder is not None and folder.is_dir()}
    found |= {settings.module.source}
    return found if (root / _OF_A_KERNEL).is_file() else found | {root}


def changed(before: State, now: State) -> tuple[Path, ...]:
    """Return the files that are new, gone or different, sorted."""
    names = before.keys() | now.keys()
    return tuple(sorted(name for name in names if before.get(name) != now.get(name)))


def watch(run: Run, look: Callable[[], State], say: Callable[[str], None]) -> int:
    """Run again after each change of a file, until Ctrl-C; return the last run's exit code.

    `look` returns the state of the watched files, and `say` prints a line.
    Raises: KeyboardInterrupt for a Ctrl-C during a run, after that run has cleaned up.
    """
    number = 1
    while True:
        before = look()
        code = run()
        try:
            # A Ctrl-C answers this line as soon as it is visible, so it is printed inside.
            say(
                f"watching {len(before)} files; a change starts run {number + 1}, Ctrl-C ends this"
            )
            files = _await_change(before, look)
        except KeyboardInterrupt:
            say(f"\nended after {number} runs")
            return code
        number += 1
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        say(f"\n{files[0].name}{more} changed: run {number}")


def _await_change(before: State, look: Callable[[], State]) -> tuple[Path, ...]:
    """Wait until files differ from the state `before`, and return the changed ones.

    The wait has no deadline. It ends when the files did not change again for a moment, so that an
    editor or git has written all of them.
    """
    while True:
        now = look()
        if changed(before, now):
            time.sleep(_SETTLE_S)
            later = look()
            if later == now:
                return changed(before, now)
            continue
        time.sleep(_LOOK_EVERY_S)


def repeat(run: Run, count: int, say: Callable[[str], None], *, until_fail: bool) -> int:
    """Call `run` up to `count` times and return the highest exit code.

    With `until_fail`, stop after the first run that does not pass. `say` prints a line.
    """
    codes: list[int] = []
    while len(codes) < count and not (until_fail and any(codes)):
        say(f"run {len(codes) + 1} of {count}")
        codes.append(run())
    bad = sum(code != 0 for code in codes)
    say(f"{len(codes)} of {count} runs: {len(codes) - bad} passed, {bad} did not")
    return max(codes, default=0)
