# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Cut a release: set number, changelog and tag in the tree, then build everything from the tag.

Nothing is pushed. When a step fails, the commit, the tag and the built files are removed, so that
the tree is as before. All files are built in a clone of the tag, never in the tree.
"""

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError, UsageError
from harness.host import toml_file, tool

_GIT_S = 60.0
_BUILD_S = 600.0
_PACKAGES_S = 3600.0
_NUMBER = re.compile(r"\d+\.\d+\.\d+")
_FRAGMENTS = "changelog.d"
_SUMS = "SHA256SUMS"
# The version is project.version in pyproject.toml. These files cannot read that file, so they
# repeat the version.
_PYPROJECT = re.compile(r'^version = "([^"]*)"$', re.MULTILINE)
_COPIES = {
    "kernel/subscriber/pyproject.toml": _PYPROJECT,
    "kernel/subscriber/osq/__init__.py": re.compile(r'^VERSION = "([^"]*)"$', re.MULTILINE),
    "kernel/uapi/osq_version.h": re.compile(r'^#define OSQ_VERSION "([^"]*)"$', re.MULTILINE),
    "kernel/os/macos/Info.plist": re.compile(
        r"<key>CFBundle(?:ShortVersionString|Version)</key>\s*<string>([^<]*)</string>"
    ),
}


@dataclass(frozen=True, kw_only=True)
class ReleaseRequest:
    """The release to make: its version number, and the folder `out` for its files.

    `packages` is False to leave out the Debian packages and the spec file.
    """

    project: Path
    number: str
    out: Path
    packages: bool = True


def copies_of_version(project: Path) -> Iterator[str]:
    """Yield an objection for each file whose copy of the version differs from pyproject.toml.

    A file without a copy is yielded, too. One that does not exist is left out.
    """
    number = _number(project)
    for name, pattern in _COPIES.items():
        file = project / name
        if not file.is_file():
            continue
        for found in pattern.findall(file.read_text()) or ("missing",):
            if found != number:
                yield f"{name}: version {found}, not {number}"


def cut(request: ReleaseRequest, note: Callable[[str], None]) -> tuple[Path, ...]:
    """Commit and tag the release, build it from the tag, and return the files.

    Raises: UsageError when the tree is not ready for a release; BuildError when a step fails.
    """
    _require_ready(request)
    with _undo_on_error(request):
        note(f"writing version and changelog of {request.number}")
        _write_number(request)
        _run(request.project, _towncrier(request.number), _GIT_S)
        _git(request.project, "commit", "--all", "--quiet", f"--message=release: {request.number}")
        tag = f"v{request.number}"
        _git(request.project, "tag", "--annotate", f"--message={tag}", tag)
        with tempfile.TemporaryDirectory() as scratch:
            clone = Path(scratch) / "clone"
            _git(request.project, "clone", "--quiet", f"--branch={tag}", ".", str(clone))
            return _build(request, clone, note)


def _require_ready(request: ReleaseRequest) -> None:
    """Raise UsageError when the release cannot be cut from the project's tree as it is.

    The version must be valid, not older than the present one and without a tag. The tree must be
    committed and have a changelog fragment, and the folder for the files must be empty.
    """
    project, number = request.project, request.number
    if not _NUMBER.fullmatch(number):
        raise UsageError(f"{number}: a version has three numbers, for example 0.2.0")
    if _git(project, "status", "--porcelain"):
        raise UsageError(
            "the tree has changes", hint="commit them, or put them aside with git stash"
        )
    if _git(project, "tag", "--list", f"v{number}"):
        raise UsageError(f"the tag v{number} exists already", hint="choose the next number")
    if _parts(number) < _parts(_number(project)):
        raise UsageError(f"{number} is older than the present version, {_number(project)}")
    if not any(one.suffix == ".md" for one in (project / _FRAGMENTS).glob("*.*.md")):
        raise UsageError(
            f"{_FRAGMENTS} has no fragment, so the changelog would be empty",
            hint="CONTRIBUTING.md, 'Changelog', explains how to write one",
        )
    if request.out.exists() and any(request.out.iterdir()):
        raise UsageError(f"{request.out} is not empty", hint="move its files away first")


@contextmanager
def _undo_on_error(request: ReleaseRequest) -> Iterator[None]:
    """Undo commit, tag and built files when the block fails.

    Before the block the tree must be clean, and request.out empty or missing.
    """
    before = _git(request.project, "rev-parse", "HEAD")
    try:
        yield
    except BaseException:
        _git(request.project, "reset", "--quiet", "--hard", before)
        if _git(request.project, "tag", "--list", f"v{request.number}"):
            _git(request.project, "tag", "--delete", f"v{request.number}")
        # The next attempt would refuse a folder that has files.
        shutil.rmtree(request.out, ignore_errors=True)
        raise


def _write_number(request: ReleaseRequest) -> None:
    for name, pattern in {"pyproject.toml": _PYPROJECT, **_COPIES}.items():
        file = request.project / name
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            if not pattern.search(text):
                raise UsageError(f"{name}: no line has the version")
            changed = pattern.sub(lambda one: one[0].replace(one[1], request.number), text)
            file.write_text(changed, encoding="utf-8")


def _build(request: ReleaseRequest, clone: Path, note: Callable[[str], None]) -> tuple[Path, ...]:
    """Build wheel, source archive and packages in the clone; return them and a file of digests."""
    request.out.mkdir(parents=True, exist_ok=True)
    epoch = _git(clone, "show", "--no-patch", "--format=%ct", "HEAD^{commit}")
    note("building the wheel and the source archive")
    # An isolated build would fetch the build tools from a network.
    build = (sys.executable, "-m", "build", "--no-isolation", f"--outdir={request.out}", ".")
    _run(clone, ("env", f"SOURCE_DATE_EPOCH={epoch}", *build), _BUILD_S)
    if request.packages:
        note("building the packages")
        folder = request.out / "packages"
        _run(clone, (sys.executable, "-m", "invoke", "packages", f"--out={folder}"), _PACKAGES_S)
    files = sorted(path for path in request.out.rglob("*") if path.is_file())
    sums = request.out / _SUMS
    lines = [f"{_digest(file)}  {file.relative_to(request.out)}\n" for file in files]
    sums.write_text("".join(lines), encoding="utf-8")
    return (*files, sums)


def _towncrier(number: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "towncrier", "build", "--yes", f"--version={number}")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _number(project: Path) -> str:
    return str(toml_file.read(project / "pyproject.toml")["project"]["version"])


def _parts(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))


def _run(cwd: Path, command: Sequence[str], deadline_s: float) -> None:
    tool.run(command, deadline_s=deadline_s, error=BuildError, cwd=cwd)


def _git(cwd: Path, *arguments: str) -> str:
    done = tool.run(("git", *arguments), deadline_s=_GIT_S, error=BuildError, cwd=cwd)
    return done.text.strip()
