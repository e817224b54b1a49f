# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.show.digest: Markdown, the chat message and annotations of GitHub."""

import re
from dataclasses import replace

from markdown_it import MarkdownIt

from harness.model.settings import Verdict
from harness.nightly.judge.judge import judge
from harness.nightly.show import digest
from harness.nightly.show.morning import Morning
from tests.unit.nightly import mornings, synthetic


def test_markdown_shows_the_news_with_cause_and_commands() -> None:
    """The night's summary has both kernel versions of a broken build and the command for it."""
    html = (
        MarkdownIt("commonmark").enable("table").render(digest.markdown(mornings.long_morning()))
    )

    assert "<strong>new failure</strong>: the module's build fails" in html
    assert f"{synthetic.OLD_VERSION} was good, {synthetic.NEW_VERSION} is bad" in html
    assert "<code>./dev kernel-build --target debian-12 --kernel 6.12-rt</code>" in html
    assert "<td>6.12-rt</td>" in html
    assert '<a href="https://ci.example.org/nightly/">' in html


def test_markdown_shows_what_a_guest_printed_as_it_is() -> None:
    """In the night's summary, HTML, Markdown and @names in a guest's text have no effect."""
    good = mornings.cell("one", mornings.result("test_a"))
    bad = replace(good, warnings=("<script>1</script> *loud* `x` [a](b) @root",))
    nights = (mornings.night(1, good), mornings.night(2, bad))
    morning = Morning(
        project="greeter",
        made_at=mornings.MADE_AT,
        nights=nights,
        judgements=judge(nights),
    )

    text = digest.markdown(morning)

    html = MarkdownIt("commonmark").render(text)
    assert "&lt;script&gt;1&lt;/script&gt; *loud* `x` [a](b) @root" in html
    assert "@" not in text


def test_a_night_without_news_says_so() -> None:
    """The Markdown says 'Nothing changed since the night before'; there are no CI annotations."""
    quiet = mornings.long_morning()
    # The night before the regression has no news.
    size = synthetic.REGRESSION_NIGHT
    quiet = replace(quiet, nights=quiet.nights[:size], judgements=quiet.judgements[:size])

    assert "Nothing changed since the night before" in digest.markdown(quiet)
    assert digest.annotations(quiet) == ""


def test_a_chat_message_is_short() -> None:
    """The night's message has a count, a line for each piece of news, and the page's address."""
    lines = digest.chat(mornings.long_morning()).splitlines()

    assert lines == [
        "greeter, night 2026-11-29: 1 new finding; 3 known from earlier nights",
        "- new failure: the module's build fails, in 8 of 40 cells, on 6.12-rt",
        "https://ci.example.org/nightly/",
    ]


def test_annotations_are_workflow_commands_at_the_place_of_the_failure() -> None:
    """Each piece of the night's news is a line '::error file=...,line=...' for GitHub."""
    found = digest.annotations(mornings.long_morning())

    assert found.count("\n") == 1
    match = re.fullmatch(r"::error file=([^,]+),line=(\d+),title=([^,:]+)::(.*)\n", found)
    assert match is not None
    assert match.groups()[:3] == ("os/linux/hooks.c", "57", "The module's build fails")
    assert "%0A" in match[4]


def test_annotations_have_a_level_for_each_kind() -> None:
    """In GitHub's annotations of a night, a failure is an error and a repaired test a notice."""
    lines = digest.annotations(mornings.colourful_morning()).splitlines()

    assert [line.split(" ")[0] for line in lines] == [
        "::error",
        *["::warning"] * 4,
        "::notice",
    ]


def test_more_annotations_than_github_shows_are_left_out() -> None:
    """Of a night's twelve new failures, ten become annotations, GitHub's limit for a step."""
    tests = [mornings.result(f"test_{number}") for number in range(12)]
    failed = [replace(one, verdict=Verdict.FAILED) for one in tests]
    nights = (
        mornings.night(1, mornings.cell("one", *tests, commit="a")),
        mornings.night(2, mornings.cell("one", *failed, commit="b")),
    )
    many = Morning(
        project="greeter",
        made_at=mornings.MADE_AT,
        nights=nights,
        judgements=judge(nights),
    )

    assert len(digest.annotations(many).splitlines()) == 10
    assert "and 4 more" in digest.chat(many)
