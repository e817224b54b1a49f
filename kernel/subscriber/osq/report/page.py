# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The whole page: one file without script, that loads nothing and sends nothing."""

import os
import tempfile
from pathlib import Path

from osq.errors import OsqError
from osq.report.facts import Facts
from osq.report.markup import Html, joined, tag
from osq.report.sections import SECTIONS, between, figures
from osq.report.window import stamp

_STYLE = Path(__file__).with_name("style.css")
# Even if a value of the store were taken for HTML, nothing could run or be fetched.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(facts: Facts, *, host: str, made_s: int) -> Html:
    """Return the report as a complete HTML document.

    host: the name of the machine; made_s: when the report is made, in seconds since the epoch.
    """
    title = f"{host}: events from {between(facts.window)}"
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", title),
        tag("style", Html(_STYLE.read_text("utf-8"))),
    )
    top = tag(
        "header",
        tag("h1", f"What happened on {host}"),
        tag("p", f"{between(facts.window)}, local time. Made by osq report at {stamp(made_s)}."),
        _tiles(facts),
    )
    main = tag("main", *(make(facts) for _, _, make in SECTIONS), id="main")
    body = tag(
        "body",
        tag("a", "Skip to the sections", href="#main", class_="skip"),
        top,
        main,
        tag("footer", _FOOTER),
    )
    return joined(Html("<!DOCTYPE html>\n"), tag("html", head, body, lang="en"), Html("\n"))


_FOOTER = (
    "A byte that is no text is shown as \\xff, a control character by its number. Users' names are"
    " those of the host on which the report was made."
)


def _tiles(facts: Facts) -> Html:
    """Return the row of figures at the top of the page, each a link to its section."""
    tiles = []
    for name, number, what in figures(facts):
        is_bad = name in {"completeness", "escalations"} and number not in {"complete", "0"}
        kind = "bad" if is_bad else "good" if number == "complete" else None
        link = tag("a", tag("b", number), " ", tag("span", what), href=f"#{name}", class_=kind)
        tiles.append(tag("li", link))
    return tag("nav", tag("ul", *tiles), aria_label="Sections")


def write(text: str, file: Path) -> None:
    """Write the report into a file that only its owner may read: command lines may hold secrets.

    Raises: OsqError when the file cannot be written; an earlier file is then unchanged.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as out:
                out.write(text)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        hint = "name a file in a folder where you may write, or - for the standard output"
        raise OsqError(f"{file}: {error.strerror}", hint=hint) from error
