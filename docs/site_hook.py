# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Give mkdocs the pages that are made from code, and those that lie outside of docs/.

mkdocs calls `on_files` while it builds. The pages are never written to the tree.
"""

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke.parser.argument import Argument
from invoke.parser.context import to_flag
from invoke.tasks import Task
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import tasks as project_tasks  # noqa: E402
from harness.project import reference_pages  # noqa: E402
from harness.project.reference_pages import TaskText  # noqa: E402

# Pages of the site, by their file in the tree: these are read on their own, too.
_ELSEWHERE = {
    "kernel/README.md": "explanation/driver.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "vulnerabilities.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add to the site the pages that are no files in docs/: the reference, and files of the root.

    mkdocs calls this with the files of docs/. The reference (configuration keys, exit codes,
    tasks, Python API) is made from the code here. The files of the root are those in _ELSEWHERE.
    """
    pages = {
        "reference/configuration.md": reference_pages.configuration(),
        "reference/environment.md": reference_pages.environment_variables(),
        "reference/exit-codes.md": reference_pages.exit_codes(),
        "reference/tasks.md": reference_pages.tasks(task_texts()),
        **{page: _moved(source, page) for source, page in _ELSEWHERE.items()},
        **dict(api_pages()),
    }
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def task_texts() -> tuple[TaskText, ...]:
    """Return every task of tasks.py as the command line shows it."""
    collection = project_tasks.namespace
    return tuple(
        TaskText(
            name=collection.transform(task.name),
            aliases=tuple(task.aliases),
            text=_unwrapped(task.__doc__ or ""),
            options=tuple(_option(argument) for argument in _arguments(task)),
        )
        for task in collection.tasks.values()
    )


def _arguments(task: Task[Any]) -> list[Argument]:
    """Return the arguments of a task, each with its help text.

    `get_arguments` removes the texts from the task. They are put back, because `mkdocs serve`
    builds the site again in the same process.
    """
    texts = dict(task.help)
    arguments = task.get_arguments()
    task.help.update(texts)
    return arguments


def _option(argument: Argument) -> tuple[str, str]:
    """Return how an argument is written on the command line, and its help text."""
    flag = to_flag(argument.name or "")
    if argument.positional:
        return flag.lstrip("-").upper(), argument.help or ""
    word = flag.lstrip("-").upper() if len(flag) > 2 else "VALUE"
    return flag if argument.kind is bool else f"{flag} {word}", argument.help or ""


def _unwrapped(text: str) -> str:
    """Return a docstring in which each paragraph is one line."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def on_page_markdown(markdown: str, *, page: Page, **_rest: object) -> str:
    """Return a page of docs/ whose links to files outside of docs/ lead to pages of the site.

    For example, ../CONTRIBUTING.md becomes the site's own page made from that file. Pages that
    were generated are returned unchanged.
    """
    name = page.file.src_uri
    return markdown if page.file.generated_by else _relinked(markdown, f"docs/{name}", name)


def _moved(source: str, page: str) -> str:
    """Return the Markdown of the file `source`, with links as the page `page` needs them."""
    return _relinked((PROJECT / source).read_text(encoding="utf-8"), source, page)


def _relinked(text: str, source: str, page: str) -> str:
    """Return Markdown with each relative link changed to the site's page of the linked file.

    `source` is the file that the text is from, and `page` is where the site shows it. A link to a
    file of which the site has no page is replaced by the link's words.
    """

    def link(match: re.Match[str]) -> str:
        picture, words, target, anchor = match.groups()
        if re.match(r"[a-z]+:", target):
            return match.group(0)
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = _ELSEWHERE.get(place, place.removeprefix("docs/"))
        is_page = place in _ELSEWHERE or (PROJECT / place).is_file() or "reference/" in place
        if not is_page or (place not in _ELSEWHERE and not place.startswith("docs/")):
            return words
        shown = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{picture}[{words}]({shown}{anchor or ''})"

    return _LINK.sub(link, text)


def api_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each package of harness and subscriber, with all of its public names."""
    rows = []
    for root, folder in _packages():
        name = ".".join(folder.relative_to(root).parts)
        first = _docstring(folder / "__init__.py").splitlines()[0]
        rows.append(f"| [`{name}`]({name}.md) | {first} |")
        modules = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
        parts = [f"# {name}", _docstring(folder / "__init__.py")]
        parts += [f"::: {name}.{path.stem}" for path in modules]
        yield f"reference/api/{name}.md", "\n\n".join(parts) + "\n"
    table = "\n".join(("| package | purpose |", "|---|---|", *rows))
    yield "reference/api/index.md", f"# Python API\n\n{_API}\n\n{table}\n"


def _packages() -> Iterator[tuple[Path, Path]]:
    """Yield the folder of each Python package, after the folder from which it is imported."""
    for root, name in ((PROJECT, "harness"), (PROJECT / "kernel" / "subscriber", "osq")):
        folders = sorted({path.parent for path in (root / name).rglob("*.py")})
        yield from ((root, folder) for folder in folders)


_API = (
    "These pages are made from the docstrings. A test of your module needs three names only: the "
    "fixtures `guest`, `driver` and `variant` of [`harness.pytest_plugin`](harness.md). The "
    "package `osq` is the subscriber. The C library libosq is documented by its manual page "
    "`kernel/client/man/libosq.3` and by the header `kernel/client/libosq.h`."
)


def _docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
