# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write the nights as an Atom feed, with an entry for each night that has a new finding.

Pure. Source: RFC 4287, The Atom Syndication Format.
"""

import uuid
from xml.etree import ElementTree as ET

from harness.nightly.judge.findings import Judgement
from harness.nightly.judge.nights import Night
from harness.nightly.show import words
from harness.nightly.show.morning import Morning
from harness.report import run_report

_NAMESPACE = "http://www.w3.org/2005/Atom"
_MOST_ENTRIES = 30


def render(morning: Morning) -> str:
    """Return the XML of the Atom feed: the latest 30 nights that have news, the latest first."""
    feed = ET.Element("feed", {"xmlns": _NAMESPACE, "xml:lang": "en"})
    _add(feed, "id", _name(morning.project))
    _add(feed, "title", f"{morning.project}: nights with news")
    _add(feed, "updated", morning.made_at)
    _add(feed, "generator", "modlab")
    _add(ET.SubElement(feed, "author"), "name", morning.project)
    if morning.address:
        ET.SubElement(feed, "link", {"rel": "alternate", "href": morning.address})
    pairs = zip(reversed(morning.nights), reversed(morning.judgements), strict=True)
    with_news = [(night, judgement) for night, judgement in pairs if judgement.news]
    for night, judgement in with_news[:_MOST_ENTRIES]:
        _add_entry(feed, night, judgement, morning)
    ET.indent(feed)
    body = ET.tostring(feed, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _add_entry(feed: ET.Element, night: Night, judgement: Judgement, morning: Morning) -> None:
    lines = [words.event(one) for one in judgement.news]
    title = lines[0] if len(lines) == 1 else f"{len(lines)} findings"
    entry = ET.SubElement(feed, "entry")
    _add(entry, "id", _name(f"{morning.project}/nights/{night.name}"))
    _add(entry, "title", f"{night.name}: {title}")
    _add(entry, "updated", night.started_at)
    _add(entry, "content", "\n".join(lines)).set("type", "text")
    if morning.address:
        ET.SubElement(entry, "link", {"rel": "alternate", "href": morning.address})


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    child = ET.SubElement(parent, name)
    # ElementTree escapes markup, but would write control characters that XML cannot hold.
    child.text = run_report.xml_text(text)
    return child


def _name(text: str) -> str:
    """Return the Atom id of a name: a UUID that is the same in every version of the feed."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"modlab:{text}").urn
