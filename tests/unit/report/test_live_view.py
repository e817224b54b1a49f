# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.live_view: it shows the progress of a run, and never ends the run."""

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
    """Show the events of one run in a view."""
    with view:
        view.stage("build")
        view.note("something [odd] happened")
        view.stage("tests")
        view.console("console ü \x00 line")
        view.plan(104)
        view.output("a line of the user's command")
        view.running("t::good")
        view.test(GOOD)
        view.test(BAD)


def test_the_plain_view_prints_results_and_no_console() -> None:
    """A run's plain text output has stages, notes and failures, but no line of the guest."""
    stream = io.StringIO()

    play(PlainView(stream=stream))

    text = stream.getvalue()
    for part in (
        "== build",
        "something [odd] happened",
        "a line of the user's command",
        "passed   t::good (0.5 s, 1 of 104)",
        "failed   t::bad (1.0 s, 2 of 104)",
        "because",
    ):
        assert part in text
    assert "[bold]not markup[/bold]" in text
    assert "console" not in text


def test_a_view_prints_notes_but_no_console_lines_while_a_debugger_has_the_terminal() -> None:
    """A run's plain and live output keep the guest's lines off a debugger's terminal.

    Console lines that come later are printed.
    """
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
    assert "said" in stream.getvalue()
    assert "back" in stream.getvalue()
    assert screen.getvalue()[shown:].count("said") == 1
    assert "hidden" not in screen.getvalue()
    assert "| back" in screen.getvalue()


def test_a_verbose_view_prints_the_console() -> None:
    """With --verbose a run's plain output has the guest's console and each started test."""
    stream = io.StringIO()

    play(PlainView(verbose=True, stream=stream))

    assert " | console ü" in stream.getvalue()
    assert "running t::good" in stream.getvalue()


def test_a_view_escapes_text_that_its_stream_cannot_encode() -> None:
    r"""A run whose output stream is ASCII prints other letters as escapes such as \xfc."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    play(PlainView(verbose=True, stream=stream))

    stream.flush()
    assert b"console \\xfc" in raw.getvalue()


def test_a_plain_view_with_a_closed_output_stream_takes_all_events_without_an_error() -> None:
    """A run whose output goes to `head` continues silently after `head` has ended."""
    stream = io.StringIO()
    view = PlainView(stream=stream)
    stream.close()

    play(view)


def test_on_a_40_column_terminal_the_live_view_shows_tests_and_prints_markup_literally() -> None:
    """In 40 columns it shows stage, tests and the failure's reason; '[bold]' stays as it is."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=40, color_system=None)

    play(RichView(console=console))

    text = stream.getvalue()
    for part in ("build", "t::good", "t::bad", "because", "[bold]not markup"):
        assert part in text


def test_the_live_view_shows_results_of_planned_tests_until_there_are_more_than_planned() -> None:
    """The live display says '1 of 2', and no total once a suite has surplus results."""
    stream = io.StringIO()
    view = RichView(console=Console(file=stream, force_terminal=True, width=80))

    with view:
        view.stage("tests")
        view.plan(2)
        view.test(GOOD)
        view.running("t::next")
        first = view._picture()
        view.test(GOOD)
        view.test(GOOD)
        last = view._picture()

    console = Console(file=io.StringIO(), width=80)
    with console.capture() as shown:
        console.print(first)
    assert "1 of 2  t::next  1 passed" in shown.get()
    with console.capture() as shown:
        console.print(last)
    assert " of " not in shown.get()
