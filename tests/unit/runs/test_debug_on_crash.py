# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.debug_on_crash: a debugger gets the terminal, or a note says why it does not."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.debugger import attach
from harness.errors import GuestCrashed, GuestGone, HarnessError, KernelComplained, UsageError
from harness.host import debuggers
from harness.model.request import KernelTestRequest
from harness.runs import debug_on_crash
from harness.runs.loaded_guest import LoadedGuest


class View:
    """A stand-in for the live view that records notes and whether the terminal was given away."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.asides = 0

    def note(self, text: str) -> None:
        """Record the note."""
        self.notes.append(text)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Record that the terminal was given away."""
        self.asides += 1
        yield


def request(debugger: str) -> KernelTestRequest:
    """Return a request with only those values that debug_on_crash reads."""
    found = SimpleNamespace(
        debug_on_crash=debugger, settings=None, environment=None, kernel_name=None
    )
    return cast("KernelTestRequest", found)


def loaded(view: View, debugger: str = "gdb") -> LoadedGuest:
    """Return a stand-in for a guest with only those values that debug_on_crash reads."""
    session = SimpleNamespace(entry="entry", health=SimpleNamespace(settle=lambda: None))
    found = SimpleNamespace(
        request=request(debugger), record=SimpleNamespace(view=view), session=session
    )
    return cast("LoadedGuest", found)


@pytest.mark.parametrize(
    ("debugger", "error", "times"),
    [
        ("gdb", GuestCrashed("dead"), 1),
        ("", GuestCrashed("dead"), 0),
        ("gdb", GuestGone("reset"), 0),
        ("gdb", KernelComplained("a warning"), 0),
    ],
)
def test_a_debugger_starts_for_a_crashed_guest_but_not_for_one_that_has_gone_or_still_runs(
    monkeypatch: pytest.MonkeyPatch, debugger: str, error: HarnessError, times: int
) -> None:
    """With --debug-on-crash a fake guest that crashes starts gdb; a reset or warning does not."""
    calls: list[Any] = []
    monkeypatch.setattr(attach, "attach_to", lambda *words: calls.append(words))
    view = View()

    held_s = debug_on_crash.hand_over(loaded(view, debugger), error)

    assert (len(calls), view.asides) == (times, times)
    assert (held_s > 0) == bool(times)


def test_a_debugger_that_cannot_start_leads_to_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """If --debug-on-crash cannot start its debugger, the run goes on and prints the reason."""

    def refuse(*_: object) -> int:
        raise UsageError("another debugger is there")

    monkeypatch.setattr(attach, "attach_to", refuse)
    view = View()

    debug_on_crash.hand_over(loaded(view), GuestCrashed("dead"))

    assert view.notes[-1] == "no debugger: another debugger is there"


def test_a_missing_terminal_or_debugger_is_an_error_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run with --debug-on-crash needs both and is refused without them; other runs are not."""
    monkeypatch.setattr(debuggers, "_path", lambda: [tmp_path])
    debug_on_crash.check(request(""))

    with pytest.raises(UsageError, match="there is none"):
        debug_on_crash.check(request("gdb"))
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="no gdb is installed"):
        debug_on_crash.check(request("gdb"))
