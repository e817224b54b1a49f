# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Check the text that people read: spelling, phrases of the style guide, links, pinned actions.

Each check yields one line for each objection. `site` checks the pages that are built from docs/;
this module checks the files themselves.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import HarnessError
from harness.host import tool
from harness.project.tree_checks import tracked

_LINT_S = 60.0
_SPELLING_S = 120.0
# Texts of other authors, and generated lists.
_NOT_CHECKED = ("LICENSES/", "tests/data/", "requirements.lock")
# Phrases that the style guide replaces; only in prose, because names in code may contain them.
_CLIPPED = {
    r"\banew\b": "again",
    r"\bof ours\b": "our",
    r"\bis said\b": "is reported",
    r"\bgoes by\b": "uses",
    r"\bthe law holds\b": "the counters add up",
    r"\blast word\b": "final log check",
    r"\bpassed, 0 not\b": "0 failed",
}
_YAML = {".yml", ".yaml"}
_PROSE = {".md", ".1", ".3", ".5", ".8"}
_USES = re.compile(r"^\s*(?:-\s+)?uses:\s*(\S+)")
_PINNED = re.compile(r"^(?:\./\S+|[\w./-]+@[0-9a-f]{40})$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^#+\s+(.*?)\s*#*$")
_MADE_BY_THE_SITE = "docs/reference/"


def spelling(project: Path) -> Iterable[str]:
    """Return a line for every spelling mistake that codespell reports.

    [tool.codespell] in pyproject.toml lists the names that only look like mistakes. If codespell
    is not installed, the only line says so.
    """
    program = Path(sys.executable).with_name("codespell")
    if not program.exists():
        return ["codespell is not in the project's environment; ./dev installs it"]
    files = [_name(path, project) for path in tracked(project)]
    checked = [name for name in files if not name.startswith(_NOT_CHECKED)]
    if not checked:
        return []
    done = tool.run(
        (program, *checked), deadline_s=_SPELLING_S, error=HarnessError, check=False, cwd=project
    )
    return _objections(done, "codespell")


def clipped_words(project: Path) -> Iterator[str]:
    """Yield every line of prose that contains a phrase which the style guide replaces."""
    for path in tracked(project):
        name = _name(path, project)
        if path.suffix not in _PROSE or name.startswith(_NOT_CHECKED):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            for pattern, instead in _CLIPPED.items():
                match = re.search(pattern, line, re.IGNORECASE)
                if match:
                    yield f"{name}:{number}: {match.group()}: write '{instead}'"


def pinned_actions(project: Path) -> Iterator[str]:
    """Yield every action of a CI workflow that is not pinned by a commit.

    The owner of an action can move a tag to other code, but not a commit.
    """
    for path in tracked(project):
        name = _name(path, project)
        if not name.startswith(".github/") or path.suffix not in _YAML:
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            match = _USES.match(line)
            if match and not _PINNED.match(match.group(1)):
                yield f"{name}:{number}: {match.group(1)} is not pinned by a commit"


def workflows(project: Path) -> Iterable[str]:
    """Return a line for every objection of actionlint to the CI workflows.

    Its own look at scripts depends on what else a machine has, so it is switched off. If
    actionlint is not installed, the only line says so.
    """
    program = Path(sys.executable).with_name("actionlint")
    if not program.exists():
        return ["actionlint is not in the project's environment; ./dev installs it"]
    files = [
        path
        for path in tracked(project)
        if _name(path, project).startswith(".github/workflows/") and path.suffix in _YAML
    ]
    if not files:
        return []
    command: list[str | Path] = [
        program,
        "-no-color",
        "-oneline",
        "-shellcheck=",
        "-pyflakes=",
        *files,
    ]
    done = tool.run(command, deadline_s=_LINT_S, error=HarnessError, check=False, cwd=project)
    return _objections(done, "actionlint")


def _objections(done: tool.Output, program: str) -> list[str]:
    """Return the lines that a program printed, and that it failed if it failed without a line.

    The status None of a program that did not end in time is a failure, too.
    """
    if done.status != 0 and not done.stdout:
        return [*done.lines, f"{program} ended with status {done.status}"]
    return done.text.splitlines()


def links(project: Path) -> Iterator[str]:
    """Yield 'FILE:LINE: TARGET: REASON' for each dead relative link in the Markdown files.

    A link is dead when it leads to no file, to no heading of a page, or out of the project.
    """
    for path in tracked(project):
        name = _name(path, project)
        if path.suffix != ".md" or name.startswith(_NOT_CHECKED):
            continue
        for number, target in _targets(path.read_text()):
            objection = _dead(path, target, project)
            if objection:
                yield f"{name}:{number}: {target}: {objection}"


def _targets(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the target of each link in Markdown, except links in code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if _FENCE.match(line):
            fenced = not fenced
        if fenced:
            continue
        for match in _LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            yield number, match.group(1) or match.group(2)


def _dead(page: Path, target: str, project: Path) -> str:
    """Return the reason why a link leads nowhere, or "" when no fault of it is known.

    Addresses such as https: and the pages below docs/reference, which the site makes, are not
    examined.
    """
    if re.match(r"[a-z]+:", target):
        return ""
    place, _, anchor = target.partition("#")
    file = (page.parent / place).resolve() if place else page
    if not file.is_relative_to(project.resolve()):
        return "leads out of the project"
    if file.relative_to(project.resolve()).as_posix().startswith(_MADE_BY_THE_SITE):
        return ""  # the site's own check follows links to pages that are generated
    if not file.exists():
        return "no such file"
    if anchor and file.suffix == ".md" and anchor not in _anchors(file.read_text()):
        return "no such heading"
    return ""


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and the site make from a page's headings."""
    anchors = set()
    for line in text.splitlines():
        match = _HEADING.match(line)
        if match:
            words = re.sub(r"[^\w\s-]", "", match.group(1)).strip().lower()
            anchors.add(re.sub(r"\s", "-", words))
    return anchors


def _name(path: Path, project: Path) -> str:
    return path.relative_to(project).as_posix()
