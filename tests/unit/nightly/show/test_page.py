# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.show.page in a real browser: on a screen, a phone, paper and in the dark."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from harness.nightly.show import page
from tests import browser
from tests.unit.nightly import mornings, synthetic

_MOST_BYTES = 3_000_000
_MOST_LOAD_S = 2.0
# Axe and WCAG 2.2 AA, 1.4.3: 4.5 for text; 1.4.11: 3 for what is drawn.
_CONTRAST = Path(__file__).with_name("contrast.js").read_text()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the pages of the synthetic history and of a night of every kind of finding."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "long": page.render(mornings.long_morning()),
        "colourful": page.render(mornings.colourful_morning()),
        "pale": "<!DOCTYPE html><body style='background:#fff'><p style='color:#aaa'>pale</p>",
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def tab() -> Iterator[browser.Page]:
    """Yield a tab of a browser that serves all tests of this file."""
    with browser.opened() as found:
        yield found


def test_the_report_of_sixty_nights_names_each_planted_event(files: dict[str, Path]) -> None:
    """The HTML page of a synthetic history names the commit at fault, the flake and the rest."""
    text = files["long"].read_text()

    assert f"Commit {mornings.COMMIT[:12]} introduced it" in text
    assert f"{synthetic.OLD_VERSION} was good, {synthetic.NEW_VERSION} is bad" in text
    assert "test_random_order is flaky" in text
    assert "test_throughput becomes slower little by little" in text
    assert "lost: worker kvm-3 was lost (10 cells)" in text


def test_the_report_of_sixty_nights_is_small_and_opens_quickly(
    files: dict[str, Path], tab: browser.Page
) -> None:
    """A browser loads the page of sixty nights, below 3 MB, in less than 2 s."""
    tab.show(files["pale"], width=1280, height=900)
    load_s = min(tab.show(files["long"], width=1280, height=900) for _ in range(3))

    assert files["long"].stat().st_size < _MOST_BYTES
    assert load_s < _MOST_LOAD_S


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(
    files: dict[str, Path], tab: browser.Page
) -> None:
    """In a browser the night's page loads one file; a <script> in a guest's text is escaped."""
    tab.show(files["colourful"], width=1280, height=900)

    sent = [one for one in tab.events if one.get("method") == "Network.requestWillBeSent"]
    assert [one["params"]["request"]["url"] for one in sent] == [files["colourful"].as_uri()]
    assert tab.value("document.scripts.length") == 0
    assert "&lt;script&gt;alert(1)" in files["colourful"].read_text()


@pytest.mark.parametrize("name", ["long", "colourful"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_does_not_scroll_sideways(
    name: str, width: int, files: dict[str, Path], tab: browser.Page
) -> None:
    """In a browser 320, 390 or 1280 pixels wide, the night's page is not wider than the window."""
    tab.show(files[name], width=width, height=800)
    tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert tab.value("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["long", "colourful"])
@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_has_the_contrast_of_wcag_aa(
    name: str, files: dict[str, Path], tab: browser.Page, *, dark: bool
) -> None:
    """On the night's page a browser computes at least 4.5 for text, 3 for bars and lines."""
    tab.show(files[name], width=1280, height=900, dark=dark)
    tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert tab.value(_CONTRAST) == []


def test_the_check_of_contrast_finds_a_pale_text(
    files: dict[str, Path], tab: browser.Page
) -> None:
    """For a page with light grey text on white, the tests' check reports the text and its 2.32."""
    tab.show(files["pale"], width=1280, height=900)

    assert tab.value(_CONTRAST) == ["2.32 p: pale"]


def test_the_page_can_be_read_with_a_keyboard(files: dict[str, Path], tab: browser.Page) -> None:
    """In a browser, the page's first Tab leads to a link to the news, and Enter opens a detail."""
    tab.show(files["long"], width=1280, height=900)
    tab.press("Tab", 9)

    assert tab.value("document.activeElement.textContent") == "Skip to what changed"
    assert tab.value("document.activeElement.getBoundingClientRect().left >= 0")
    tab.press("Enter", 13)
    assert tab.value("location.hash") == "#changed"
    for _ in range(40):
        tab.press("Tab", 9)
        if tab.value("document.activeElement.matches('details:not([open]) > summary')"):
            break
    tab.press("Enter", 13)
    assert tab.value("document.activeElement.parentElement.open")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert tab.value(outline) == "solid"


def test_the_page_has_the_landmarks_and_names_that_a_screen_reader_needs(
    files: dict[str, Path], tab: browser.Page
) -> None:
    """The night's page has one h1, a main part, no skipped heading level and named drawings."""
    tab.show(files["colourful"], width=1280, height=900)

    levels = tab.value("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert tab.value("document.documentElement.lang") == "en"
    assert tab.value("document.querySelectorAll('main').length") == 1
    unnamed = "svg:not([aria-label]):not([aria-hidden])"
    assert tab.value(f"document.querySelectorAll('{unnamed}').length") == 0
    ids = "[...document.querySelectorAll('[id]')].map(one => one.id)"
    assert tab.value(f"{ids}.length - new Set({ids}).size") == 0
    dead = (
        "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash)).length"
    )
    assert tab.value(dead) == 0


def test_the_page_can_be_printed(files: dict[str, Path], tab: browser.Page) -> None:
    """A browser prints the page of sixty nights to a PDF of one to eight sheets."""
    tab.show(files["long"], width=1280, height=900)

    found = tab.printed()

    assert found.startswith(b"%PDF")
    assert 1 <= found.count(b"/Type /Page\n") <= 8
