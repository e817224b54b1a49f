# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""live: what is shown, and that showing never hurts."""

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
    """Show one run."""
    with view:
        view.stage("build")
        view.note("something [odd] happened")
        view.stage("tests")
        view.console("console ü \x00 line")
        view.running("t::good")
        view.test(GOOD)
        view.test(BAD)


def test_plain_lines_hold_what_matters() -> None:
    """Stages, notes and results; of a bad one its reason and words; no console line."""
    stream = io.StringIO()

    play(PlainView(stream=stream))

    text = stream.getvalue()
    for part in ("== build", "something [odd] happened", "passed   t::good", "because"):
        assert part in text
    assert "[bold]not markup[/bold]" in text
    assert "console" not in text


def test_a_view_leaves_the_terminal_aside() -> None:
    """No console line and no picture meanwhile; notes are shown, and everything is back after."""
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
    """Everything, when everything is asked for."""
    stream = io.StringIO()

    play(PlainView(verbose=True, stream=stream))

    assert " | console ü" in stream.getvalue()
    assert "running t::good" in stream.getvalue()


def test_an_ascii_stream_takes_any_text() -> None:
    """What cannot be shown is escaped, not raised."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    play(PlainView(verbose=True, stream=stream))

    stream.flush()
    assert b"console \\xfc" in raw.getvalue()


def test_a_closed_pipe_ends_the_showing_only() -> None:
    """Nobody looks any more; the run goes on."""
    stream = io.StringIO()
    view = PlainView(stream=stream)
    stream.close()

    play(view)


def test_a_terminal_sees_stages_and_results() -> None:
    """The live picture on a narrow terminal, markup in texts taken literally."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=40, color_system=None)

    play(RichView(console=console))

    text = stream.getvalue()
    for part in ("build", "t::good", "t::bad", "because", "[bold]not markup"):
        assert part in text
