# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build the documentation site, and check every link of the built pages.

mkdocs runs in strict mode: a warning ends the build, for example a page in the navigation that
does not exist, or a dead link in a page. The built HTML is then checked as well, because some
pages are made from docstrings, and because the site must not load anything from a network.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.host import process
from harness.model import build_folder

_DEADLINE_S = 600.0
# Without this variable mkdocs-material prints a coloured advertisement, among which the errors are
# hard to see.
_QUIET = ("env", "NO_MKDOCS_2_WARNING=1", "NO_COLOR=1")
_LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src")}


def site(project: Path) -> Iterator[str]:
    """Build the site into build/site; yield every dead link, or why mkdocs could not build it.

    The reason is mkdocs' own messages and its status.
    """
    out = build_folder.within(project, "site")
    command = (*_QUIET, sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(out))
    ended = process.run(command, cwd=project, deadline_s=_DEADLINE_S)
    if ended.status != 0:
        yield from (line for line in ended.lines if not line.startswith("INFO"))
        yield f"mkdocs ended with status {ended.status}"
        return
    yield from dead_links(out)


def dead_links(folder: Path) -> Iterator[str]:
    """Yield every link of the pages in a folder that leads nowhere or loads from a network."""
    pages = {path: _Page(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        for element, target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if element in _LOADED and parts.scheme != "data":
                    yield f"{name}: {element[0]} is loaded from a network: {target}"
                continue
            file = _file_of(folder, path, unquote(parts.path))
            if not file.exists():
                yield f"{name}: {target}: no such file"
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file]:
                yield f"{name}: {target}: no such heading"


def _file_of(folder: Path, page: Path, place: str) -> Path:
    """Return the file in the built site to which a link of a page leads.

    `place` is the link's path without its anchor; "" means the page itself.
    """
    if not place:
        return page
    base = folder if place.startswith("/") else page.parent
    file = (base / place.lstrip("/")).resolve()
    return file / "index.html" if file.is_dir() else file


class _Page(HTMLParser):
    """A parser that collects the links and the anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[tuple[tuple[str, str], str]] = []
        self._anchors: set[str] = {"__skip"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the links of an element, and its anchor."""
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.targets.append(((tag, name), value))
            elif name in {"id", "name"} and value:
                self._anchors.add(value)

    def __contains__(self, anchor: str) -> bool:
        return anchor in self._anchors
