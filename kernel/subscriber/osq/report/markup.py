# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""HTML as values: every text is escaped unless it is HTML already."""

import html

from osq.output import shown


class Html(str):
    """A piece of HTML; any other text is escaped when it becomes part of one."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Return a value as HTML text: escaped, unless it is HTML already.

    What a reader could not see, such as a control character, is shown as an escape.
    """
    return value if isinstance(value, Html) else Html(html.escape(shown(str(value))))


def verbatim(text: str) -> Html:
    """Return a text of this program (not of a record) as HTML: escaped, with its line breaks."""
    return Html(html.escape(text))


def joined(*parts: object) -> Html:
    """Return one piece of HTML from several values, each escaped unless it is HTML already."""
    return Html("".join(escaped(part) for part in parts))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an HTML element with this content and these attributes.

    An attribute's name may end in _, as in class_, and its other _ become -. An attribute that is
    None is left out, one that is "" has no value.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + (f'="{escaped(value)}"' if value != "" else "")
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{joined(*content)}</{name}>")
