# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the commit of the module that introduced a crash, or the failure of a test.

git bisect chooses the commits, in a worktree of its own, so the user's files do not change. The
harness and the tests stay those of the present tree. A commit is bad when its run shows the crash
with the signature, or the test fails, whatever else happens. A commit that does not build or gives
no verdict is skipped.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.host import tool
from harness.model.request import KernelTestRequest
from harness.model.settings import RunReport, Verdict
from harness.report.live_view import LiveView
from harness.runs import kernel_test

_GIT_S = 60.0
_FIRST_BAD = re.compile(r"^([0-9a-f]{40}) is the first bad commit")
_WORDS = {Verdict.PASSED: "good", Verdict.FAILED: "bad", Verdict.CRASHED: "bad"}
_UNDECIDED = re.compile(r"only 'skip'ped commits left|There are only 'skip'ped commits")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One commit that was tried: the word for git (good, bad, skip), and the reason."""

    commit: str
    word: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What makes a commit bad: its run shows a crash with this whole signature.

    If `signature` is "", the commit is bad when the test `test` fails or crashes.
    """

    signature: str = ""
    test: str = ""


@dataclass(frozen=True, kw_only=True)
class FirstBad:
    """The first bad commit, and `git show --stat` of it as `text`."""

    commit: str
    text: str


def walk(
    request: KernelTestRequest,
    *,
    sought: Sought,
    good: str,
    bad: str,
    view: LiveView,
    on_step: Callable[[Step], None],
) -> FirstBad:
    """Run git bisect between two revisions, and return the first commit that is bad.

    `good` and `bad` are revisions of git. `on_step` is called after each tried commit.
    Raises: UsageError when git fails, for example for an unknown revision, and when only skipped
        commits are left; the errors of `kernel_test.run`.
    """
    # git prints the tree's path without symbolic links, so the source's path must have none.
    source = request.settings.module.source.resolve()
    root = Path(_git(source, "rev-parse", "--show-toplevel").strip())
    ends = [
        # An annotated tag is an object of its own; ^{commit} gives the commit that it names.
        _git(root, "rev-parse", "--verify", f"{end}^{{commit}}").strip()
        for end in (bad, good)
    ]
    with _worktree(root, ends[0]) as tree:
        # git takes the bad revision first.
        said = _git(tree, "bisect", "start", *ends, "--")
        while (found := _answer(said)) is None:
            commit = _git(tree, "rev-parse", "--short", "HEAD").strip()
            step = _try(request, tree / source.relative_to(root), sought, commit, view)
            on_step(step)
            said = _git(tree, "bisect", step.word)
        text = _git(tree, "show", "--stat", "--format=%h %an %ad%n%s%n%n%b", found)
        return FirstBad(commit=found, text=text)


def _answer(said: str) -> str | None:
    for line in said.splitlines():
        match = _FIRST_BAD.match(line)
        if match is not None:
            return match[1]
        if _UNDECIDED.search(line):
            raise UsageError("all remaining commits could not be tried", evidence=[said])
    return None


def _try(
    request: KernelTestRequest, source: Path, sought: Sought, commit: str, view: LiveView
) -> Step:
    settings = request.settings
    there = replace(settings, module=replace(settings.module, source=source))
    # Nobody looks into the memory of these guests, so none is dumped.
    found = kernel_test.run(replace(request, settings=there, run_id=None, vmcore=False), view)
    word, why = judge(found, sought)
    return Step(commit=commit, word=word, why=why)


def judge(found: RunReport, sought: Sought) -> tuple[str, str]:
    """Return git's word (good, bad, skip) for a commit whose run gave the report `found`.

    It is bad if the run shows what is sought, good if the run shows that this does not happen, and
    "skip" if the run cannot decide, for example because the module does not build. The second
    value is the reason.
    """
    if sought.signature:
        return _judge_crash(found, sought.signature)
    for result in found.results:
        if result.name == sought.test and result.verdict in _WORDS:
            return _WORDS[result.verdict], f"the test {result.verdict.value}"
    return "skip", found.reason


def _judge_crash(found: RunReport, signature: str) -> tuple[str, str]:
    if any(one.signature == signature for one in found.crashes):
        return "bad", "the run shows the crash"
    if found.verdict is Verdict.LOST or not found.results:
        return "skip", found.reason
    others = ", ".join(one.title for one in found.crashes)
    return "good", f"another crash: {others}" if others else found.reason


@contextmanager
def _worktree(root: Path, revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bisect-") as folder:
        tree = Path(folder) / "tree"
        _git(root, "worktree", "add", "--detach", "--quiet", str(tree), revision)
        try:
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = tool.run(command, deadline_s=_GIT_S, error=UsageError, check=False, cwd=folder)
    # git bisect also exits with an error when only skipped commits are left.
    if done.status != 0 and not _UNDECIDED.search(done.text):
        raise UsageError(f"git {' '.join(arguments)} failed", evidence=done.lines[-5:])
    return done.text
