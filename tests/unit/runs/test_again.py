# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.again: a change leads to another run, none is lost, and counts are exact."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.host import config
from harness.model.settings import Settings
from harness.runs import again
from harness.runs.again import State

FILE = Path("a.c")


class Ended(Exception):
    """Raised by a run to leave the endless loop of a test."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the files without a pause."""
    monkeypatch.setattr(again, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(again, "_SETTLE_S", 0.0)


def looks(*states: State) -> Callable[[], State]:
    """Return a function that gives these states in turn, and then ends as Ctrl-C does."""
    waiting = iter(states)

    def look() -> State:
        state = next(waiting, None)
        if state is None:
            raise KeyboardInterrupt
        return state

    return look


def settings_of(root: Path) -> Settings:
    """Return the settings of a module with one source file and a test folder beside it."""
    (root / "src").mkdir(parents=True)
    (root / "src" / "Kbuild").write_text("obj-m := a.o\n")
    (root / "src" / "a.c").write_text("int a;\n")
    (root / "checks").mkdir()
    (root / "checks" / "test_a.py").write_text("")
    (root / "modlab.toml").write_text(
        '[module]\nname = "a"\nsource = "src"\n[[tests]]\nname = "t"\npytest = "checks"\n'
    )
    return config.load(root / "modlab.toml")


def test_watch_runs_again_after_a_change_and_on_ctrl_c_returns_the_last_exit_code() -> None:
    """With --watch, the tests run again when a source file changes, until Ctrl-C."""
    codes = iter([1, 0])
    said: list[str] = []
    one, two = {FILE: (1, 1)}, {FILE: (2, 1)}

    code = again.watch(lambda: next(codes), looks(one, one, two, two, two), said.append)

    assert code == 0
    assert said[1] == "\na.c changed: run 2"
    assert said[-1] == "\nended after 2 runs"


def test_ctrl_c_right_after_the_watch_says_that_it_waits_returns_the_runs_exit_code() -> None:
    """Ctrl-C during the output of --watch's line 'watching' ends it like a later Ctrl-C.

    The signal once ended the command with 130 when it came between this line and the wait.
    """
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("watching"):
            raise KeyboardInterrupt

    assert again.watch(lambda: 1, looks({}), say) == 1
    assert said[-1] == "\nended after 1 runs"


def test_a_file_that_is_saved_during_a_run_causes_another_run_after_it() -> None:
    """With --watch, a source that changes while the tests run is not missed."""
    now: State = {FILE: (1, 1)}
    runs: list[int] = []

    def run() -> int:
        runs.append(1)
        if len(runs) == 2:
            raise Ended
        now[FILE] = (2, 1)
        return 0

    with pytest.raises(Ended):
        again.watch(run, lambda: dict(now), lambda _: None)


def test_a_file_that_changes_at_three_polls_in_a_row_causes_one_further_run() -> None:
    """With --watch, the tests wait until a source file no longer changes."""
    states = ({FILE: (1, 1)}, {FILE: (2, 1)}, {FILE: (3, 1)}, {FILE: (4, 1)}, {FILE: (4, 1)})
    count: list[int] = []

    def run() -> int:
        count.append(1)
        return 0

    again.watch(run, looks(*states, {FILE: (4, 1)}), lambda _: None)

    assert len(count) == 2


def test_a_temporary_file_that_is_gone_again_causes_no_run() -> None:
    """With --watch, an editor's file that is gone at the next look does not start the tests."""
    one, other = {FILE: (1, 1)}, {FILE: (1, 1), Path("4913"): (1, 1)}
    count: list[int] = []

    def run() -> int:
        count.append(1)
        return 0

    again.watch(run, looks(one, other, one, one), lambda _: None)

    assert len(count) == 1


def test_ctrl_c_during_a_run_ends_the_watch_with_a_keyboard_interrupt() -> None:
    """With --watch, Ctrl-C while the tests run leaves the loop as a KeyboardInterrupt."""

    def run() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again.watch(run, dict, lambda _: None)


def test_watch_notices_changed_new_and_removed_files_and_looks_at_the_configuration_file(
    tmp_path: Path,
) -> None:
    """With --watch, a changed or new source file and a removed test are noticed."""
    settings = settings_of(tmp_path)
    before = again.state(settings)

    (tmp_path / "src" / "a.c").write_text("int other;\n")
    (tmp_path / "src" / "b.c").write_text("")
    (tmp_path / "checks" / "test_a.py").unlink()
    changed = again.changed(before, again.state(settings))

    names = [file.relative_to(tmp_path).as_posix() for file in changed]
    assert names == ["checks/test_a.py", "src/a.c", "src/b.c"]
    assert tmp_path / "modlab.toml" in before


def test_results_objects_and_caches_of_a_run_cause_no_new_run(tmp_path: Path) -> None:
    """With --watch, files that a test run itself writes, and an editor's, are no change."""
    settings = settings_of(tmp_path)
    before = again.state(settings)

    left = ("build/runs/r/report.json", "src/a.o", "checks/__pycache__/a.pyc", "my.log")
    for name in (*left, ".a.c.swp", "src/a.c~", "src/#a.c#"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    assert again.changed(before, again.state(settings)) == ()


def test_in_a_kernel_tree_only_the_configuration_file_and_the_modules_folder_are_watched(
    tmp_path: Path,
) -> None:
    """With --watch, the other files of a module's kernel tree, which are many, are left out."""
    settings = settings_of(tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "Kbuild.include").write_text("")
    (tmp_path / "MAINTAINERS").write_text("")

    found = again.state(replace(settings, tests=()))

    names = {file.relative_to(tmp_path).as_posix() for file in found}
    assert names == {"modlab.toml", "src/Kbuild", "src/a.c"}


def codes_of(*codes: int) -> Callable[[], int]:
    """Return a run that ends in these exit codes in turn."""
    waiting: Iterator[int] = iter(codes)
    return lambda: next(waiting)


@pytest.mark.parametrize(
    ("until_fail", "code", "last"),
    [
        (False, 3, "4 of 4 runs: 2 passed, 2 did not"),
        (True, 1, "2 of 4 runs: 1 passed, 1 did not"),
    ],
)
def test_repeat_returns_the_worst_exit_code_and_can_stop_at_a_failure(
    *, until_fail: bool, code: int, last: str
) -> None:
    """With --repeat all runs count; with --until-fail the first bad run is the last one."""
    said: list[str] = []

    found = again.repeat(codes_of(0, 1, 0, 3), 4, said.append, until_fail=until_fail)

    assert (found, said[-1]) == (code, last)
