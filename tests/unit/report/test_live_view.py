# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The live view shows the right things and never ends a run."""

import io

from rich.console import Console

from harness.model.settings import TestResult, Verdict
from harness.report.live_view import LiveView, PlainView, RichView

BAD = TestResult(
    name="t::bad",
    verdict=Verdict.FAILED,
    reason="because",
    diagnostics=("\x1b[31mred\udc80", "[bold]not markup[/bold]"),
    duration_s=1.0,
)
GOOD = TestResult(name="t::good", verdict=Verdict.PASSED, duration_s=0.5)


def play(view: LiveView) -> None:
    """Show the events of one run."""
    with view:
        view.stage("build")
        view.note("something [odd] happened")
        view.stage("tests")
        view.console("console ü \x00 line")
        view.running("t::good")
        view.test(GOOD)
        view.test(BAD)


def test_plain_lines_hold_what_matters() -> None:
    """Plain lines have stages, notes, results and a failure's reason, but no console line."""
    stream = io.StringIO()

    play(PlainView(stream=stream))

    text = stream.getvalue()
    for part in ("== build", "something [odd] happened", "passed   t::good", "because"):
        assert part in text
    assert "[bold]not markup[/bold]" in text
    assert "console" not in text


def test_a_view_leaves_the_terminal_aside() -> None:
    """While the terminal is given away only notes are shown, and later everything again."""
    stream, screen = io.StringIO(), io.StringIO()
    rich = RichView(console=Console(file=screen, force_terminal=True, width=80))
    for view in (PlainView(verbose=True, stream=stream), rich):
        with view:
            with view.aside():
                shown = len(screen.getvalue())
                view.console("hidden")
                view.note("said")
            view.console("back")
            view.note("again")

    assert "hidden" not in stream.getvalue()
    assert "back" in stream.getvalue()
    assert screen.getvalue()[shown:].count("said") == 1
    assert "hidden" not in screen.getvalue()
    assert "| back" in screen.getvalue()


def test_verbose_lines_hold_the_console() -> None:
    """Verbose lines also have the console and the running test."""
    stream = io.StringIO()

    play(PlainView(verbose=True, stream=stream))

    assert " | console ü" in stream.getvalue()
    assert "running t::good" in stream.getvalue()


def test_an_ascii_stream_takes_any_text() -> None:
    """Characters that the stream cannot encode are escaped."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    play(PlainView(verbose=True, stream=stream))

    stream.flush()
    assert b"console \\xfc" in raw.getvalue()


def test_a_closed_pipe_ends_the_showing_only() -> None:
    """A closed pipe ends the view, and the run goes on."""
    stream = io.StringIO()
    view = PlainView(stream=stream)
    stream.close()

    play(view)


def test_a_terminal_sees_stages_and_results() -> None:
    """The live picture fits a narrow terminal and takes markup literally."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=40, color_system=None)

    play(RichView(console=console))

    text = stream.getvalue()
    for part in ("build", "t::good", "t::bad", "because", "[bold]not markup"):
        assert part in text
