# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.site: a good site passes, and each dead link is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.project import site
from tests.unit.project.documented import PROJECT

_CONFIG = "site_name: test\nplugins: []\nvalidation:\n  anchors: warn\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project with a site of two pages."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text(_CONFIG)
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[next](next.md#second)\n")
    (tmp_path / "docs" / "next.md").write_text("# First\n\n## Second\n")
    return tmp_path


def objections(project: Path) -> list[str]:
    """Return the check's objections, without mkdocs's remarks on its theme."""
    return [line for line in site.site(project) if "cdnjs" not in line]


def test_a_site_without_dead_links_is_built_and_no_problem_is_reported(project: Path) -> None:
    """A real mkdocs builds a small real site, and the check of its links returns no problem."""
    assert objections(project) == []
    assert (project / "build" / "site" / "next" / "index.html").is_file()


# mkdocs loads its hook again for each build; the tasks stay loaded.
_ASKS_TWICE = """
import json, runpy
for _build in range(2):
    texts = runpy.run_path("docs/site_hook.py")["task_texts"]()
    print(json.dumps([text for task in texts for _flag, text in task.options]))
"""


def test_each_option_of_a_task_has_its_text_in_the_second_build_of_the_site_too() -> None:
    """`mkdocs serve` builds the site again in one process, and no help text is lost by that."""
    command = (sys.executable, "-c", _ASKS_TWICE)

    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)

    first, second = map(json.loads, done.stdout.splitlines())
    assert "" not in first
    assert second == first


@pytest.mark.parametrize(
    ("link", "word"), [("gone.md", "gone.md"), ("next.md#gone", "#gone"), ("/x.html", "/x.html")]
)
def test_the_error_for_a_dead_link_of_the_site_names_it(
    project: Path, link: str, word: str
) -> None:
    """A link to a missing page or heading, or from the site's root, is named."""
    (project / "docs" / "index.md").write_text(f"# Start\n\n[next]({link})\n")

    lines = objections(project)

    assert any(word in line for line in lines), lines


def test_html_links_to_a_missing_file_or_heading_and_a_script_from_a_network_are_named(
    tmp_path: Path,
) -> None:
    """HTML links to missing files and headings are named, and so is a script from a network."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("<h1 id='there'>x</h1>")
    (tmp_path / "page.html").write_text(
        "<a id='here'></a><a href='#here'></a><a href='sub/#there'></a><a href='/page.html'></a>"
        "<a href='https://example.org/'>4</a> <img src='data:image/png;base64,AA=='>"
        "<a href='gone.html'>5</a> <a href='sub/#gone'>6</a> <a href='#nowhere'>7</a>"
        "<script src='https://example.org/x.js'></script>"
    )

    assert list(site.dead_links(tmp_path)) == [
        "page.html: gone.html: no such file",
        "page.html: sub/#gone: no such heading",
        "page.html: #nowhere: no such heading",
        "page.html: script is loaded from a network: https://example.org/x.js",
    ]
