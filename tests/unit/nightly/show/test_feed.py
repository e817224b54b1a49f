# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.show.feed, against the rules of RFC 4287."""

import re
from xml.etree import ElementTree as ET

import pytest

from harness.nightly.show import feed
from tests.unit.nightly import mornings

_ATOM = "{http://www.w3.org/2005/Atom}"
# RFC 3339 as RFC 4287, section 3.3 demands it: an uppercase T, and an offset.
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_IRI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


def faults(text: str) -> list[str]:
    """Return how a document breaks the rules for feeds and entries, section 4.1 of RFC 4287."""
    root = ET.fromstring(text)  # noqa: S314 - our own feed
    found = [] if root.tag == f"{_ATOM}feed" else ["the root is no feed"]
    has_author = root.find(f"{_ATOM}author/{_ATOM}name") is not None
    entries = root.findall(f"{_ATOM}entry")
    for element in (root, *entries):
        found += _faults_of(element)
        if element.find(f"{_ATOM}author/{_ATOM}name") is None and not has_author:
            found.append("no author")
    for entry in entries:
        links = [one for one in entry.findall(f"{_ATOM}link") if one.get("rel") == "alternate"]
        if not links and entry.find(f"{_ATOM}content") is None:
            found.append("an entry with neither content nor an alternate link")
    ids = [one.text for one in root.iter(f"{_ATOM}id")]
    return [*found, *(["an id is there twice"] if len(set(ids)) < len(ids) else [])]


def _faults_of(element: ET.Element) -> list[str]:
    found = []
    for name, form in (("id", _IRI), ("title", re.compile(".+")), ("updated", _DATE)):
        values = [one.text or "" for one in element.findall(f"{_ATOM}{name}")]
        if len(values) != 1 or not form.fullmatch(values[0]):
            found.append(f"{name}: {values}")
    return found


def test_the_feed_keeps_the_rules_of_atom() -> None:
    """The Atom feed of the nights is valid with and without the address of its page."""
    assert faults(feed.render(mornings.long_morning())) == []
    assert faults(feed.render(mornings.colourful_morning())) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<updated>2026-11-29T", "<updated>2026-11-29 "),
        ("<name>greeter</name>", ""),
        ("urn:uuid:", "not an iri "),
        ("<title>", "<title/><title>"),
    ],
)
def test_the_check_of_the_feed_finds_a_broken_rule(old: str, new: str) -> None:
    """The tests' check of Atom reports a wrong date, no author, a wrong id or a second title."""
    assert faults(feed.render(mornings.long_morning()).replace(old, new)) != []


def test_the_feed_has_an_entry_for_each_night_with_news_the_latest_first() -> None:
    """A history with five planted events in five nights gives five entries of the Atom feed."""
    text = feed.render(mornings.long_morning())
    root = ET.fromstring(text)  # noqa: S314 - our own feed
    titles = [one.findtext(f"{_ATOM}title") for one in root.findall(f"{_ATOM}entry")]

    assert [title.partition(":")[0] for title in titles if title] == [
        "2026-11-29",
        "2026-11-28",
        "2026-11-25",
        "2026-11-07",
        "2026-10-01",
    ]


def test_an_entry_keeps_its_id_when_the_feed_is_made_again() -> None:
    """The Atom feed of one history, rendered twice, is the same text, with the same ids."""
    first, second = (feed.render(mornings.colourful_morning()) for _ in range(2))

    assert first == second
